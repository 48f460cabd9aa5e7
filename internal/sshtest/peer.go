package sshtest

import (
	"io"
	"net"
	"strconv"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

// peer is one authenticated connection.
type peer struct {
	server   *Server
	conn     *gateConn
	sessions atomic.Int32 // sessions that count against MaxSessions
}

// open answers a client's wish for a channel.
func (p *peer) open(wish ssh.NewChannel) {
	switch wish.ChannelType() {
	case "session":
		p.openSession(wish)
	case "direct-tcpip":
		p.openForward(wish)
	default:
		_ = wish.Reject(ssh.UnknownChannelType, "unknown channel type")
	}
}

func (p *peer) openSession(wish ssh.NewChannel) {
	count := int(p.sessions.Add(1))
	if count > p.server.config.MaxSessions || p.server.has(RefuseSessions) {
		p.sessions.Add(-1)
		_ = wish.Reject(ssh.ConnectionFailed, "open failed") // sshd's own words and reason
		return
	}
	channel, requests, err := wish.Accept()
	if err != nil {
		p.sessions.Add(-1)
		return
	}
	x := &session{peer: p, channel: channel, env: p.server.config.Env}
	go x.serve(requests)
}

func (p *peer) openForward(wish ssh.NewChannel) {
	if !p.server.config.Forward {
		_ = wish.Reject(ssh.Prohibited, "port forwarding is off")
		return
	}
	var to struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(wish.ExtraData(), &to); err != nil {
		_ = wish.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	go forward(wish, net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
}

// forward joins a channel with a TCP connection until either side ends.
func forward(wish ssh.NewChannel, address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		_ = wish.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer conn.Close()
	channel, requests, err := wish.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	ended := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(conn, channel)
		ended <- struct{}{}
	}()
	go func() {
		_, _ = io.Copy(channel, conn)
		ended <- struct{}{}
	}()
	<-ended
}
