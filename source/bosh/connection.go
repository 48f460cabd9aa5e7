package bosh

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"lockstep"
)

// connection is a source's director: one that somebody else made and closes,
// or one that is connected to while it is used, so that a process that lives
// for weeks begins each run with the director, its way of logging in and its
// password as they are then. All methods may be called concurrently.
type connection struct {
	url     string
	options DirectorOptions
	given   *Director // nil: made when needed
	// password gives the password anew; nil is that of options.
	password func() (string, error)

	mu    sync.Mutex
	open  *Director
	users int
}

// use gives the director and what lets go of it again, which may be called
// twice. Whoever uses it at the same time shares it, with its jumpbox.
func (c *connection) use() (*Director, func() error, error) {
	if c.given != nil {
		return c.given, func() error { return nil }, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		d, err := c.connect()
		if err != nil {
			return nil, nil, err
		}
		c.open = d
	}
	c.users++
	return c.open, sync.OnceValue(c.leave), nil
}

func (c *connection) connect() (*Director, error) {
	o := c.options
	if c.password != nil {
		password, err := c.password()
		if err != nil {
			return nil, err
		}
		o.Password = password
	}
	return NewDirector(o)
}

// leave closes the director when nobody uses it any more.
func (c *connection) leave() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users > 0 {
		return nil
	}
	d := c.open
	c.open = nil
	return d.Close()
}

// passwordIn reads a password from a file, else from an environment variable,
// for a user of a director; both are for error texts.
func passwordIn(file, variable string, env func(string) string, user, director string) (string, error) {
	fail := func(err error, hint string) (string, error) {
		return "", &lockstep.Error{Kind: lockstep.KindInvalid, Op: "log in to " + director, Err: err, Hint: hint}
	}
	if file != "" {
		data, err := os.ReadFile(file)
		password := strings.TrimRight(string(data), "\r\n")
		switch {
		case err != nil:
			return fail(err, "the file must hold the password of "+user+" and be readable")
		case password == "":
			return fail(fmt.Errorf("%s is empty", file), "write the password of "+user+" into it")
		}
		return password, nil
	}
	if password := env(variable); password != "" {
		return password, nil
	}
	return fail(fmt.Errorf("$%s is not set", variable), "set it to the password of "+user+" and try again")
}

var errNoDirector = errors.New("make a source of a director: exactly one of Director and Connect says which")
