package sshtest

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

// Config says what a server is. The zero value is a server that lets nobody in.
type Config struct {
	// Addr is where to listen; "" is a free port on 127.0.0.1.
	Addr string
	// Dir is the working folder of commands; "" is that of this process.
	Dir string
	// Env is the whole environment of commands, as "NAME=value".
	Env []string
	// Shell runs a command as Shell -c COMMAND; "" is "sh".
	Shell string

	// HostKeys are offered to clients; a signer made by ssh.NewCertSigner
	// offers a host certificate. None: one ed25519 key is generated.
	HostKeys []ssh.Signer
	// User is the only user name let in; "" is any.
	User string
	// AuthorizedKeys may log in.
	AuthorizedKeys []ssh.PublicKey
	// UserCAs may sign the certificates of users. The user name must be
	// among a certificate's principals.
	UserCAs []ssh.PublicKey

	// MaxSessions bounds the commands at once on one connection, as sshd
	// counts them: a command counts until it has ended, even after its
	// channel was closed. 0 is 10, negative is none at all.
	MaxSessions int
	// Forward allows clients to open TCP connections through this server,
	// which is what ProxyJump needs.
	Forward bool
	// KeyExchanges, in order of preference; nil is the library's choice.
	KeyExchanges []string
	// KillStrays makes Close also look for processes which commands left
	// behind in sessions of their own (daemons), and kill them. Linux only;
	// it reads /proc once.
	KillStrays bool
}

// Server is a running SSH server. All methods may be called concurrently.
type Server struct {
	config   Config
	listener net.Listener
	id       string

	fault    atomic.Int32
	accepted atomic.Int64
	execs    atomic.Int64
	logins   atomic.Int64

	mu       sync.Mutex
	ssh      *ssh.ServerConfig
	hostKeys []ssh.Signer
	conns    map[*gateConn]struct{}
	children map[int]struct{} // sessions (and process groups) of running commands
	closed   bool
	running  sync.WaitGroup // accept loop, connections, commands
}

// Start starts a server. The caller closes it.
func Start(config Config) (*Server, error) {
	if config.Addr == "" {
		config.Addr = "127.0.0.1:0"
	}
	if config.Shell == "" {
		config.Shell = "sh"
	}
	if config.MaxSessions == 0 {
		config.MaxSessions = 10
	}
	if len(config.HostKeys) == 0 {
		key, err := GenerateKey()
		if err != nil {
			return nil, err
		}
		config.HostKeys = []ssh.Signer{key}
	}
	listener, err := net.Listen("tcp", config.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", config.Addr, err)
	}
	s := &Server{
		config:   config,
		listener: listener,
		id:       listener.Addr().String(),
		conns:    map[*gateConn]struct{}{},
		children: map[int]struct{}{},
	}
	s.SetHostKeys(config.HostKeys...)
	s.running.Add(1)
	go s.accept()
	return s, nil
}

// GenerateKey makes a new ed25519 key.
func GenerateKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("generate ed25519 key: %w", err)
	}
	return ssh.NewSignerFromKey(private)
}

// Addr is the address of the server as HOST:PORT.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// HostKey is the first host key that new connections are offered.
func (s *Server) HostKey() ssh.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hostKeys[0].PublicKey()
}

// SetHostKeys changes the host keys that new connections are offered.
func (s *Server) SetHostKeys(keys ...ssh.Signer) {
	config := s.serverConfig()
	for _, key := range keys {
		config.AddHostKey(key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ssh, s.hostKeys = config, keys
}

// Accepted is how many TCP connections were accepted so far.
func (s *Server) Accepted() int { return int(s.accepted.Load()) }

// Execs is how many commands were started so far.
func (s *Server) Execs() int { return int(s.execs.Load()) }

// Logins is how many keys were offered for a login so far: 0 says that no
// client has named its user yet.
func (s *Server) Logins() int { return int(s.logins.Load()) }

// Open is how many connections are open now.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close stops listening, drops all connections, kills running commands
// together with what runs in their sessions, and waits until all are gone. It
// may be called twice.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.listener.Close()
	s.DropConnections()
	s.killChildren()
	s.running.Wait()
	if s.config.KillStrays {
		s.killStrays()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// DropConnections closes every open connection. Commands run on.
func (s *Server) DropConnections() {
	s.mu.Lock()
	conns := make([]*gateConn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

func (s *Server) accept() {
	defer s.running.Done()
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.accepted.Add(1)
		conn := newGateConn(raw)
		if !s.add(conn) {
			_ = conn.Close()
			return
		}
		go s.serve(conn)
	}
}

// add registers a connection and what serves it, unless the server is closed.
func (s *Server) add(conn *gateConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[conn] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) serve(conn *gateConn) {
	defer s.running.Done()
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	if s.has(NoAnswer) {
		<-conn.done
		return
	}
	s.mu.Lock()
	config := s.ssh
	s.mu.Unlock()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go answerRequests(requests)
	peer := &peer{server: s, conn: conn}
	for channel := range channels {
		peer.open(channel)
	}
}

// answerRequests answers keepalives the way sshd does: any answer will do.
func answerRequests(requests <-chan *ssh.Request) {
	for request := range requests {
		if request.WantReply {
			_ = request.Reply(false, nil)
		}
	}
}
