package lockstep

import "time"

// Meter follows the transfers of a run: how far each is, and how fast. It is a
// fold of the run's events and of the progress that travels beside them. Its
// zero value is ready; it is not safe for concurrent use.
type Meter struct {
	flows map[StepID]*Flow
}

// Flow is one transfer, or several taken together.
type Flow struct {
	Bytes int64
	Total int64 // 0: not known
	// PerSecond is the rate, smoothed over some seconds.
	PerSecond float64

	at      time.Time // of the last report that the rate was taken from
	counted int64     // bytes then
}

// Left is how long the rest takes at this rate, or 0 where that is not known.
func (f Flow) Left() time.Duration {
	if f.PerSecond <= 0 || f.Total <= f.Bytes {
		return 0
	}
	return time.Duration(float64(f.Total-f.Bytes) / f.PerSecond * float64(time.Second))
}

// Follow takes the run's next event in.
func (m *Meter) Follow(e Event) {
	switch d := e.Data.(type) {
	case StepStarted:
		m.begin(d.Step, e.Time)
	case StepFinished:
		delete(m.flows, d.Step)
	case Progress:
		m.progress(d, e.Time)
	}
}

func (m *Meter) begin(id StepID, at time.Time) *Flow {
	if m.flows == nil {
		m.flows = map[StepID]*Flow{}
	}
	m.flows[id] = &Flow{at: at}
	return m.flows[id]
}

func (m *Meter) progress(p Progress, at time.Time) {
	f := m.flows[p.Step]
	if f == nil {
		f = m.begin(p.Step, at)
	}
	if passed := at.Sub(f.at).Seconds(); passed > 0.2 {
		weight := min(1, passed/5)
		if f.PerSecond == 0 {
			weight = 1
		}
		f.PerSecond += weight * (float64(p.Bytes-f.counted)/passed - f.PerSecond)
		f.at, f.counted = at, p.Bytes
	}
	f.Bytes, f.Total = p.Bytes, max(f.Total, p.Total)
}

// Of is the transfer of a step, all zero where it moves nothing now.
func (m *Meter) Of(id StepID) Flow {
	if f := m.flows[id]; f != nil {
		return *f
	}
	return Flow{}
}

// Sum adds up the transfers that are under way and says how many they are. The
// total is 0 unless all of them know theirs.
func (m *Meter) Sum() (all Flow, n int) {
	known := true
	for _, f := range m.flows {
		if f.Bytes == 0 && f.Total == 0 {
			continue
		}
		n++
		all.Bytes += f.Bytes
		all.Total += f.Total
		all.PerSecond += f.PerSecond
		known = known && f.Total > 0
	}
	if !known {
		all.Total = 0
	}
	return all, n
}
