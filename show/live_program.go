package show

import (
	"sync"
	"sync/atomic"
	"time"

	tea "charm.land/bubbletea/v2"

	"lockstep"
)

// liveReporter shows the live view on the terminal of stderr. The terminal has
// a goroutine of its own and is fed from a queue without bounds: one that does
// not take its output must not keep anybody from canceling or from hearing of
// the end.
type liveReporter struct {
	console *console
	program *tea.Program
	// plain words the lines that go above the view, and takes over if the
	// view cannot be shown.
	plain *plainReporter
	dead  atomic.Bool
	ended chan struct{}

	mu    sync.Mutex
	queue []tea.Msg
	wake  chan struct{}
}

// liveCloseWithin is how long the end of a run waits for the last picture.
const liveCloseWithin = 3 * time.Second

// newLiveReporter starts the view.
func newLiveReporter(t *Terminal) *liveReporter {
	r := &liveReporter{
		console: t.Console, plain: NewPlainReporter(t),
		ended: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	// The keyboard stays with the terminal: Ctrl-C is the signal it always is.
	r.program = tea.NewProgram(
		liveModel{view: newLiveView(t.Err), clock: t.now, last: &lastPicture{}},
		tea.WithInput(nil), tea.WithOutput(t.stderr), tea.WithEnvironment(t.env),
		tea.WithoutSignalHandler(), tea.WithFPS(15),
	)
	t.Console.divert(func(s string) { r.send(aboveMsg(s)) })
	go func() {
		defer close(r.ended)
		if _, err := r.program.Run(); err != nil {
			r.dead.Store(true)
			t.Console.divert(nil)
			t.Log.Debug("the live view ended: " + err.Error())
		}
	}()
	go r.pump()
	return r
}

// aboveMsg is a line to show above the view, where it stays.
type aboveMsg string

// eventMsg is an event to fold into the view.
type eventMsg lockstep.Event

// tickMsg moves the clocks.
type tickMsg struct{}

func (r *liveReporter) send(m tea.Msg) {
	r.mu.Lock()
	r.queue = append(r.queue, m)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// pump hands the queue to the terminal, in order, until the view has ended.
func (r *liveReporter) pump() {
	for {
		r.mu.Lock()
		batch := r.queue
		r.queue = nil
		r.mu.Unlock()
		for _, m := range batch {
			if above, ok := m.(aboveMsg); ok {
				m = tea.Println(string(above))()
			}
			r.program.Send(m)
		}
		select {
		case <-r.wake:
		case <-r.ended:
			return
		}
	}
}

// Event folds the event into the view. What should outlast the view, failures
// and warnings, is also a line above it.
func (r *liveReporter) Event(run *lockstep.Run, e lockstep.Event, tail []string) {
	r.send(eventMsg(e))
	if r.dead.Load() || lasting(e) {
		r.plain.Event(run, e, tail)
		return
	}
	r.plain.watch(e)
}

// lasting reports whether an event is worth a line that stays.
func lasting(e lockstep.Event) bool {
	switch d := e.Data.(type) {
	case lockstep.StepFinished:
		return !d.Outcome.OK() || len(d.Warnings) > 0
	case lockstep.Noted:
		return d.Level == "warn"
	case lockstep.LeaseFired, lockstep.LockWindowExceeded, lockstep.CancelRequested, lockstep.RunFailed, lockstep.RunRecovering:
		return true
	}
	return false
}

func (r *liveReporter) Say(line string) { r.plain.Say(line) }

// Close draws the last picture and gives the terminal back.
func (r *liveReporter) Close() {
	r.send(tea.Quit())
	select {
	case <-r.ended:
	case <-time.After(liveCloseWithin):
	}
	r.console.divert(nil)
}

// liveModel is the liveView as Bubble Tea wants it.
type liveModel struct {
	view          *liveView
	clock         func() time.Time
	width, height int
	last          *lastPicture
}

// lastPicture is what was drawn last. A picture is asked for after each event,
// thousands of times a second in a large run; nobody sees that many.
type lastPicture struct {
	text string
	at   time.Time
}

// drawEvery is how often the picture is drawn at most.
const drawEvery = 80 * time.Millisecond

func tick() tea.Cmd {
	return tea.Tick(250*time.Millisecond, func(time.Time) tea.Msg { return tickMsg{} })
}

// Init starts the clocks.
func (m liveModel) Init() tea.Cmd { return tick() }

// Update folds a message in.
func (m liveModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case eventMsg:
		m.view.Event(lockstep.Event(msg))
	case tickMsg:
		return m, tick()
	}
	return m, nil
}

// View draws the picture. The one of an ended run is always the newest.
func (m liveModel) View() tea.View {
	width, height := m.width, m.height
	if width == 0 {
		width, height = 80, 24
	}
	now := m.clock()
	if m.view.run.Ending != nil || now.Sub(m.last.at) >= drawEvery {
		*m.last = lastPicture{m.view.Render(now, width, height-1), now}
	}
	picture := tea.NewView(m.last.text)
	picture.DisableBracketedPasteMode = true // nobody types into it
	return picture
}
