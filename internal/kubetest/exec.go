package kubetest

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"encoding/json"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// streams are those of one exec, towards the client.
type streams struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	end            func(status metav1.Status) // tells how it ended, and closes
}

// exec begins a command as the API does: what is wrong is told before any session.
func (s *Server) exec(w http.ResponseWriter, r *http.Request, q request) {
	s.mu.Lock()
	pod, there := s.pods[q.namespace+"/"+q.name]
	old, silent := s.old, s.silent[q.namespace+"/"+q.name]
	s.mu.Unlock()
	container := r.URL.Query().Get("container")
	if ended(pod, container) {
		silent = fmt.Sprintf("Internal error occurred: unable to upgrade connection: container not found (%q)", container)
	}
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded { // the kubelet says so
		silent = "Internal error occurred: unable to upgrade connection: container not found"
	}
	query := r.URL.Query()
	switch {
	case !there:
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("pods %q not found", q.name))
		return
	case pod.Status.Phase == corev1.PodPending:
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, fmt.Sprintf("pod %s does not have a host assigned", q.name))
		return
	case container == "" && len(pod.Spec.Containers) > 1:
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, fmt.Sprintf("a container name must be specified for pod %s, choose one of: [a b]", q.name))
		return
	case container != "" && !has(pod, container):
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, fmt.Sprintf("container %s is not valid for pod %s", container, q.name))
		return
	case websocket.IsWebSocketUpgrade(r) && !old:
		s.overWebSocket(w, r, query["command"], silent)
	case websocket.IsWebSocketUpgrade(r):
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "Upgrade request required")
	case silent != "":
		refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, silent)
	default:
		s.overSPDY(w, r, query["command"])
	}
}

func has(pod corev1.Pod, container string) bool {
	for _, c := range pod.Spec.Containers {
		if c.Name == container {
			return true
		}
	}
	for _, c := range pod.Spec.EphemeralContainers {
		if c.Name == container {
			return true
		}
	}
	return false
}

// ended reports whether an ephemeral container does not run any more.
func ended(pod corev1.Pod, container string) bool {
	for _, c := range pod.Status.EphemeralContainerStatuses {
		if c.Name == container {
			return c.State.Running == nil
		}
	}
	return false
}

// run runs a command to its end. It lives on when the client is gone, with an input
// that has ended, as in a container.
func (s *Server) run(argv []string, to streams) {
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir = s.dir
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err1 := c.StdinPipe()
	stdout, err2 := c.StdoutPipe()
	stderr, err3 := c.StderrPipe()
	if err1 != nil || err2 != nil || err3 != nil || c.Start() != nil {
		to.end(metav1.Status{Status: metav1.StatusFailure, Message: "it cannot be started"})
		return
	}
	s.mu.Lock()
	s.processes[c.Process.Pid] = true
	s.mu.Unlock()
	go func() {
		_, _ = io.Copy(stdin, to.stdin)
		_ = stdin.Close()
	}()
	var wg sync.WaitGroup
	wg.Go(func() { pump(to.stdout, stdout) })
	wg.Go(func() { pump(to.stderr, stderr) })
	wg.Wait()
	status := metav1.Status{Status: metav1.StatusSuccess}
	if err := c.Wait(); err != nil {
		status = metav1.Status{Status: metav1.StatusFailure, Reason: "NonZeroExitCode", Message: err.Error(),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: "ExitCode", Message: fmt.Sprint(c.ProcessState.ExitCode())}}}}
	}
	to.end(status)
}

// pump carries output, and goes on taking it when nobody listens any more.
func pump(to io.Writer, from io.Reader) {
	if _, err := io.Copy(to, from); err != nil {
		_, _ = io.Copy(io.Discard, from)
	}
}

func (s *Server) begin(one session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[one] = true
}

func (s *Server) over(one session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, one)
}

// Channels of a WebSocket session.
const (
	channelStdin, channelStdout, channelStderr, channelStatus = 0, 1, 2, 3
	channelClose                                              = 255
)

type socketSession struct {
	conn *websocket.Conn
	mu   sync.Mutex
}

func (s *Server) overWebSocket(w http.ResponseWriter, r *http.Request, argv []string, silent string) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"v5.channel.k8s.io"}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	one := &socketSession{conn: conn}
	if silent != "" {
		one.status(metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Message: silent})
		one.vanish()
		return
	}
	s.begin(one)
	defer s.over(one)
	stdin, fromClient := io.Pipe()
	go one.read(fromClient)
	s.run(argv, streams{stdin, one.channel(channelStdout), one.channel(channelStderr), func(status metav1.Status) {
		one.status(status)
		one.vanish()
	}})
}

func (o *socketSession) read(stdin *io.PipeWriter) {
	defer stdin.Close()
	for {
		_, message, err := o.conn.ReadMessage()
		if err != nil {
			return
		}
		switch {
		case len(message) > 0 && message[0] == channelStdin:
			_, _ = stdin.Write(message[1:])
		case len(message) > 1 && message[0] == channelClose && message[1] == channelStdin:
			_ = stdin.Close()
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (o *socketSession) channel(id byte) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(p), o.conn.WriteMessage(websocket.BinaryMessage, append([]byte{id}, p...))
	})
}

func (o *socketSession) status(status metav1.Status) {
	data, _ := json.Marshal(status)
	_, _ = o.channel(channelStatus).Write(data)
}

func (o *socketSession) cut() { _ = o.conn.NetConn().Close() }

func (o *socketSession) vanish() {
	_ = o.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	_ = o.conn.Close()
}

func (o *socketSession) lie() { o.over(metav1.Status{Status: metav1.StatusSuccess}) }

func (o *socketSession) deny(text string) {
	o.over(metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Message: text})
}

func (o *socketSession) over(status metav1.Status) {
	// A write of output may be under way that nobody takes: then it is as if cut.
	if o.mu.TryLock() {
		data, _ := json.Marshal(status)
		_ = o.conn.WriteMessage(websocket.BinaryMessage, append([]byte{channelStatus}, data...))
		o.mu.Unlock()
	}
	o.vanish()
}

type spdySession struct {
	conn    httpstream.Connection
	streams map[string]httpstream.Stream
}

func (s *Server) overSPDY(w http.ResponseWriter, r *http.Request, argv []string) {
	w.Header().Set(httpstream.HeaderProtocolVersion, "v4.channel.k8s.io")
	came := make(chan httpstream.Stream, 4)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, _ <-chan struct{}) error {
		came <- stream
		return nil
	})
	if conn == nil {
		return
	}
	one := &spdySession{conn, map[string]httpstream.Stream{}}
	for range 4 {
		select {
		case stream := <-came:
			one.streams[stream.Headers().Get(corev1.StreamType)] = stream
		case <-time.After(10 * time.Second):
			_ = conn.Close()
			return
		}
	}
	s.begin(one)
	defer s.over(one)
	s.run(argv, streams{one.streams[corev1.StreamTypeStdin], one.streams[corev1.StreamTypeStdout], one.streams[corev1.StreamTypeStderr],
		func(status metav1.Status) {
			one.status(status)
			one.vanish()
		}})
}

func (o *spdySession) status(status metav1.Status) {
	data, _ := json.Marshal(status)
	_, _ = o.streams[corev1.StreamTypeError].Write(data)
}

func (o *spdySession) cut() { _ = o.conn.Close() }

func (o *spdySession) vanish() {
	for _, stream := range o.streams {
		_ = stream.Close()
	}
	_ = o.conn.Close()
}

func (o *spdySession) lie() {
	o.status(metav1.Status{Status: metav1.StatusSuccess})
	o.vanish()
}

func (o *spdySession) deny(text string) {
	o.status(metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Message: text})
	o.vanish()
}
