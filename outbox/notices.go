package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lockstep"
	"lockstep/state"
)

// Receivers implements lockstep.Notices.
func (o *Outbox) Receivers(ctx context.Context) ([]lockstep.Receiver, error) {
	counts, err := o.cfg.Store.CountDeliveries(ctx)
	if err != nil {
		return nil, err
	}
	list := []lockstep.Receiver{}
	for _, r := range o.cfg.Receivers {
		x := lockstep.Receiver{Name: r.Name, Type: r.Sender.Type(), Target: r.Sender.Target(), Kinds: r.Kinds, Deployments: r.Deployments}
		for _, c := range counts {
			if c.Receiver == r.Name {
				count(&x, c)
			}
		}
		list = append(list, x)
	}
	return list, nil
}

func count(r *lockstep.Receiver, c state.DeliveryCount) {
	switch c.State {
	case lockstep.DeliveryPending:
		r.Pending, r.Oldest = c.Count, c.Oldest
	case lockstep.DeliveryDelivered:
		r.Delivered = c.Count
	case lockstep.DeliveryFailed:
		r.Failed = c.Count
	case lockstep.DeliveryDropped:
		r.Dropped = c.Count
	}
}

// Deliveries implements lockstep.Notices.
func (o *Outbox) Deliveries(ctx context.Context, filter lockstep.DeliveryFilter) ([]lockstep.Delivery, error) {
	return o.cfg.Store.Deliveries(ctx, filter)
}

// Test implements lockstep.Notices.
func (o *Outbox) Test(ctx context.Context, receiver string) ([]lockstep.TestResult, error) {
	results := []lockstep.TestResult{}
	var names []string
	for _, r := range o.cfg.Receivers {
		names = append(names, r.Name)
		if receiver != "" && r.Name != receiver {
			continue
		}
		n := lockstep.Notice{
			ID: o.newID(), Kind: lockstep.NoticeTest, Time: o.cfg.Now().UTC(), Title: "A test from lockstep: this is how notices arrive",
			Text: "Somebody asked for it. Nothing happened to any deployment.", URL: o.cfg.PublicURL,
		}
		result := lockstep.TestResult{Receiver: r.Name}
		began := o.cfg.Now()
		if err := send(ctx, r.Sender, n); err != nil {
			result.Error = err.Error()
		} else {
			result.OK = true
		}
		result.Took = o.cfg.Now().Sub(began).Seconds()
		results = append(results, result)
	}
	if len(results) == 0 {
		hint := "none is configured; `lockstep config generate` shows how"
		if len(names) > 0 {
			hint = "configured are: " + strings.Join(names, ", ")
		}
		return nil, &lockstep.Error{
			Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find receiver of notices %q", receiver),
			Err: errors.New("not in the configuration"), Hint: hint,
		}
	}
	return results, nil
}
