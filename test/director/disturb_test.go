package director

import (
	"net/http"
	"strings"
	"sync"
)

// stopAt holds the first request back whose METHOD URL ends so, until the
// function is called; asked is closed when it has come.
func (s *site) stopAt(suffix string) (asked chan struct{}, goOn func()) {
	asked, on := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.director.Disturb(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.Method+" "+r.URL.String(), suffix) {
			once.Do(func() {
				close(asked)
				<-on
			})
		}
		return false
	})
	return asked, sync.OnceFunc(func() { close(on) })
}
