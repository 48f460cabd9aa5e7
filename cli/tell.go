package cli

import (
	"context"
	"time"
)

// tellEvery is how often it is said how far something long is.
const tellEvery = 10 * time.Second

// tell says from time to time how far something is, until its result is called.
func (i *invocation) tell(ctx context.Context, say func() string) func() {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				i.Log.Info(say())
			}
		}
	}()
	return func() {
		stop()
		<-ended
	}
}
