package lockstep

// Leading says which of the servers on one database works through schedules and
// notices. The others follow, and one of them takes over when it has gone.
type Leading struct {
	// Shared: there may be other servers. Where there may not, the one leads.
	Shared bool `json:"shared"`
	// Leads: the server that says this is the leader.
	Leads bool `json:"leads"`
	// Leader is who leads, as the server that says this saw it last; "" where it is not
	// known, or nobody does.
	Leader string `json:"leader,omitempty"`
}

// Word is the server's place among the others in a word: "leader" or "follower"; ""
// where there are no others.
func (l Leading) Word() string {
	switch {
	case !l.Shared:
		return ""
	case l.Leads:
		return "leader"
	}
	return "follower"
}
