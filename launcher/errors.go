package launcher

import (
	"errors"
	"fmt"
	"strings"

	"lockstep"
	"lockstep/target"
)

// Errors of the verbs, to be matched with errors.Is.
var (
	// ErrFenced: this run, or this term of it, does not own the instance.
	ErrFenced = errors.New("the run does not own the instance")
	// ErrFired: the lease has fired; only unlock steps may still start.
	ErrFired = errors.New("the lease has fired")
	// ErrBusy: a step of the run is still running.
	ErrBusy = errors.New("a step is still running")
	// ErrTouched: the archive is whole, but something in the folder changed while
	// it was read. Only who compares it with the folder as it is now can say whether
	// that was more than what is not recorded.
	ErrTouched = errors.New("something changed while it was read")
	// ErrMounted: something is mounted in the folder, so nothing was removed.
	ErrMounted = errors.New("something is mounted there")
	// ErrForeign: the folder was not made for a run, so nothing was removed.
	ErrForeign = errors.New("no run has made it")
)

// permanent are errors of starting a control session that a retry will not
// mend. A target says so by the kind of its error: what was refused (a host
// key) or is invalid (a login, a configuration) stays so.
type permanent struct{ error }

func (p permanent) Unwrap() error   { return p.error }
func (p permanent) Permanent() bool { return true }

func isPermanent(err error) bool {
	var p interface{ Permanent() bool }
	if errors.As(err, &p) && p.Permanent() || errors.Is(err, errFrame) {
		return true
	}
	kind := lockstep.KindOf(err)
	return kind == lockstep.KindRefused || kind == lockstep.KindInvalid
}

// answerError turns a "no CODE" frame into an error.
func answerError(f frame) error {
	text := strings.ToValidUTF8(string(f.payload), "�")
	switch f.word(0) {
	case "fenced":
		return fmt.Errorf("%w: %s", ErrFenced, text)
	case "fired":
		return fmt.Errorf("%w: %s", ErrFired, text)
	case "busy":
		return fmt.Errorf("%w: %s", ErrBusy, text)
	case "mounted":
		return mountedError(text)
	case "foreign":
		return ErrForeign
	}
	return errors.New(text)
}

// bootError explains a control session that ended before its hello.
func bootError(exit target.Exit, stderr string) error {
	e := &lockstep.Error{Err: fmt.Errorf("start the launcher: %v: %s", exit, said(stderr))}
	low := strings.ToLower(stderr)
	switch {
	case strings.Contains(low, "password is required"), strings.Contains(low, "a terminal is required"):
		e.Kind, e.Hint = lockstep.KindInvalid, "allow the user to use sudo without a password (NOPASSWD in sudoers), or set sudo: false"
	case strings.Contains(low, "must have a tty"):
		e.Kind, e.Hint = lockstep.KindInvalid, "remove `Defaults requiretty` from sudoers for this user"
	case strings.Contains(low, "not in the sudoers"), strings.Contains(low, "is not allowed to execute"):
		e.Kind, e.Hint = lockstep.KindInvalid, "give the user full rights in sudoers, or log in as another user"
	case exit.Code == 127 && strings.Contains(low, "sudo"):
		e.Kind, e.Hint = lockstep.KindInvalid, "install sudo on the instance, or set sudo: false"
	case strings.HasPrefix(low, "sudo: "):
		e.Kind, e.Hint = lockstep.KindInvalid, "sudo itself does not work there: try by hand as that user: sudo -n true"
	case exit.Code == exitFolder:
		e.Kind, e.Hint = lockstep.KindRefused, "somebody else may have made that folder: look at it, then remove it"
	case exit.Code == exitDigest:
		e.Kind, e.Hint = lockstep.KindRefused, "the launcher's text was changed on its way: look at what lies between: a start file of the login, a jump host"
	case exit.Code == exitTools:
		e.Kind, e.Hint = lockstep.KindInvalid, "the instance needs dash, bash or busybox as sh, and the coreutils, findutils, grep, sed and tar of GNU and util-linux: install them there"
	case exit.Code == exitStore:
		e.Hint = "make room in the file system of launcher_location there (/run/lockstep if nothing else is configured), or mount it writable"
	default:
		e.Hint = target.LoginHint("", stderr, exit)
	}
	return permanent{e}
}
