package docker

import "time"

// GoAfter sets how long a sidecar that is made from now on stays where nothing runs in it.
func (s *Sidecar) GoAfter(idle time.Duration) { s.idle = idle }
