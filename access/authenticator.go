package access

import (
	"errors"
	"net/http"

	"lockstep"
)

// Authenticator recognizes whoever sent a request.
type Authenticator interface {
	// Authenticate says who sent the request. ErrNoCredential, to be matched
	// with errors.Is, means that the request carries nothing of the kind that
	// is known here, and another Authenticator may be asked. Any other error is
	// final: something was shown, and it is not good, or nobody can tell now
	// (KindUnavailable). Errors never tell why a credential is not good, and
	// never contain it. It may be called concurrently.
	Authenticate(r *http.Request) (Principal, error)
}

// ErrNoCredential: the request says nothing of who sent it.
var ErrNoCredential = errors.New("the request carries no credential")

// FirstOf asks one Authenticator after the other, until one finds something to
// judge. A nil one is passed over. Where none does, nobody asks: the error is
// ErrNoCredential of KindUnauthenticated.
func FirstOf(list ...Authenticator) Authenticator { return firstOf(list) }

type firstOf []Authenticator

func (list firstOf) Authenticate(r *http.Request) (Principal, error) {
	for _, a := range list {
		if a == nil {
			continue
		}
		p, err := a.Authenticate(r)
		if errors.Is(err, ErrNoCredential) {
			continue
		}
		if err == nil && p.Name == "" {
			err = errUnknownCredential()
		}
		if err != nil {
			return Principal{}, err
		}
		return p, nil
	}
	return Principal{}, &lockstep.Error{
		Kind: lockstep.KindUnauthenticated, Err: ErrNoCredential,
		Hint: "set LOCKSTEP_TOKEN to a token that `lockstep tokens create` printed",
	}
}

// errUnknownCredential is the one answer to every credential that is not good:
// unknown, wrong, expired and revoked look the same.
func errUnknownCredential() error {
	return &lockstep.Error{
		Kind: lockstep.KindUnauthenticated, Err: errors.New("the credential is not valid"),
		Hint: "it may have expired or been revoked; `lockstep tokens create` makes a new token",
	}
}
