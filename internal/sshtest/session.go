package sshtest

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// session is one command on a connection.
type session struct {
	peer    *peer
	channel ssh.Channel
	env     []string
	command *exec.Cmd
	ours    [3]*os.File // this side's ends of the command's standard streams
	open    sync.Once
}

// serve answers a session's requests until its channel is closed.
func (x *session) serve(requests <-chan *ssh.Request) {
	for request := range requests {
		ok := false
		switch request.Type {
		case "env":
			ok = x.setEnv(request.Payload)
		case "exec":
			x.exec(request)
			continue
		}
		if request.WantReply {
			_ = request.Reply(ok, nil)
		}
	}
	x.letGo()
	if x.command == nil {
		x.peer.sessions.Add(-1)
	}
}

// letGo closes this side's ends of the streams, and no more: as under sshd,
// the command runs on.
func (x *session) letGo() {
	x.open.Do(func() {
		for _, f := range x.ours {
			if f != nil {
				_ = f.Close()
			}
		}
	})
}

func (x *session) setEnv(payload []byte) bool {
	var v struct{ Name, Value string }
	if ssh.Unmarshal(payload, &v) != nil {
		return false
	}
	x.env = append(x.env[:len(x.env):len(x.env)], v.Name+"="+v.Value)
	return true
}

// exec starts the command and answers the request.
func (x *session) exec(request *ssh.Request) {
	server := x.peer.server
	var v struct{ Command string }
	switch {
	case x.command != nil || server.has(RefuseExec) || ssh.Unmarshal(request.Payload, &v) != nil:
		_ = request.Reply(false, nil)
		return
	case server.has(DropBeforeExec):
		_ = x.peer.conn.Close()
		return
	case server.has(MuteExec):
		return
	}
	if err := x.start(v.Command); err != nil {
		_ = request.Reply(false, nil)
		return
	}
	server.execs.Add(1)
	switch {
	case server.has(DropAfterStart):
		_ = x.peer.conn.Close()
	case server.has(CloseWithoutExit):
		_ = request.Reply(true, nil)
		_ = x.channel.Close()
	default:
		_ = request.Reply(true, nil)
	}
	x.run()
}

// start starts the command in a session (of processes) of its own.
func (x *session) start(command string) error {
	theirs, ours, err := pipes()
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	server := x.peer.server
	cmd := exec.Command(server.config.Shell, "-c", command)
	cmd.Dir = server.config.Dir
	cmd.Env = append(x.env[:len(x.env):len(x.env)], marker+server.id)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}

	server.mu.Lock()
	defer server.mu.Unlock()
	if server.closed {
		err = net.ErrClosed
	} else {
		err = cmd.Start()
	}
	if err != nil {
		for _, f := range ours {
			_ = f.Close()
		}
		return err
	}
	server.children[cmd.Process.Pid] = struct{}{}
	server.running.Add(1)
	x.command, x.ours = cmd, ours
	return nil
}

// pipes makes the standard streams: the command's ends and this side's ends.
func pipes() (theirs, ours [3]*os.File, err error) {
	for i := range theirs {
		r, w, perr := os.Pipe()
		if perr != nil {
			for j := range i {
				_ = theirs[j].Close()
				_ = ours[j].Close()
			}
			return theirs, ours, perr
		}
		theirs[i], ours[i] = w, r
		if i == 0 {
			theirs[i], ours[i] = r, w
		}
	}
	return theirs, ours, nil
}

// run carries the streams and reports how the command ended. As under sshd
// the exit status goes out when the command ends, and the channel is closed
// when nobody holds the output open any more.
func (x *session) run() {
	go func() {
		pump(x.ours[0], x.channel)
		_ = x.ours[0].Close()
	}()
	var output sync.WaitGroup
	output.Go(func() { pump(x.channel, x.ours[1]) })
	output.Go(func() { pump(x.channel.Stderr(), x.ours[2]) })
	go func() {
		defer x.peer.server.running.Done()
		err := x.command.Wait()
		x.peer.server.forget(x.command.Process.Pid)
		x.reportExit(err)
		go func() {
			output.Wait()
			x.peer.sessions.Add(-1)
			_ = x.channel.CloseWrite()
			_ = x.channel.Close()
			x.letGo()
		}()
	}()
}

func (x *session) reportExit(err error) {
	status, ok := x.command.ProcessState.Sys().(syscall.WaitStatus)
	var exited *exec.ExitError
	if !ok || err != nil && !errors.As(err, &exited) {
		return
	}
	if status.Signaled() {
		v := struct {
			Signal     string
			CoreDumped bool
			Message    string
			Language   string
		}{Signal: signalName(status.Signal()), CoreDumped: status.CoreDump()}
		_, _ = x.channel.SendRequest("exit-signal", false, ssh.Marshal(&v))
		return
	}
	v := struct{ Status uint32 }{uint32(status.ExitStatus())}
	_, _ = x.channel.SendRequest("exit-status", false, ssh.Marshal(&v))
}

// pump copies until src ends or dst fails. It begins with a small buffer, so
// that a thousand idle sessions cost little, and takes a large one once that
// was filled.
func pump(dst io.Writer, src io.Reader) {
	buf := make([]byte, 2<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
		if n == len(buf) && n < 32<<10 {
			buf = make([]byte, 32<<10)
		}
	}
}
