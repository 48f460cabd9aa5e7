package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// timeout bounds one request to a database.
const timeout = 10 * time.Second

// link is one connection, made when it is needed and dropped after an error.
type link struct {
	mu   sync.Mutex
	conn net.Conn
	r    *bufio.Reader
}

func (l *link) drop() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// with calls use with an open connection; connect greets on a new one.
func (l *link) with(addr string, connect, use func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.conn == nil {
		if l.conn, err = net.DialTimeout("tcp", addr, timeout); err != nil {
			l.conn = nil
			return err
		}
		l.r = bufio.NewReader(l.conn)
		_ = l.conn.SetDeadline(time.Now().Add(timeout))
		err = connect()
	}
	if err == nil {
		_ = l.conn.SetDeadline(time.Now().Add(timeout))
		err = use()
	}
	if err != nil {
		l.drop()
	}
	return err
}

// postgres speaks as much of the protocol, version 3, as a statement without
// parameters needs, to a server that trusts us.
type postgres struct {
	link
	addr string
}

func (p *postgres) exec(statement string) error {
	return p.with(p.addr, p.startup, func() error {
		return p.send('Q', statement+"\x00")
	})
}

func (p *postgres) startup() error {
	return p.send(0, "\x00\x03\x00\x00user\x00postgres\x00database\x00shop\x00\x00")
}

// send sends a message and reads until the server is ready for the next.
func (p *postgres) send(kind byte, body string) error {
	var message []byte
	if kind != 0 {
		message = append(message, kind)
	}
	message = binary.BigEndian.AppendUint32(message, uint32(len(body)+4))
	if _, err := p.conn.Write(append(message, body...)); err != nil {
		return err
	}
	var failed error
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(p.r, head); err != nil {
			return errors.Join(failed, err)
		}
		rest := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(p.r, rest); err != nil {
			return err
		}
		switch head[0] {
		case 'E':
			failed = fmt.Errorf("postgres: %q", rest)
		case 'Z':
			return failed
		}
	}
}

// redis speaks inline commands and reads one-line replies.
type redis struct {
	link
	addr string
}

func (d *redis) do(words ...string) error {
	return d.with(d.addr, func() error { return nil }, func() error {
		if _, err := io.WriteString(d.conn, strings.Join(words, " ")+"\r\n"); err != nil {
			return err
		}
		line, err := d.r.ReadString('\n')
		if err == nil && strings.HasPrefix(line, "-") {
			err = fmt.Errorf("redis: %s", strings.TrimSpace(line))
		}
		return err
	})
}
