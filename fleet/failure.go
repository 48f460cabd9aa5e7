package fleet

import (
	"context"
	"errors"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"lockstep"
)

// failureType marks the errors of ours among those that Temporal carries.
const failureType = "lockstep"

// failure is an error on its way through Temporal.
type failure struct {
	Kind lockstep.Kind `json:"kind"`
	// Detail is the whole error, Message what an operator is told.
	Detail  string           `json:"detail"`
	Message lockstep.Message `json:"message"`
}

// Error is the whole error.
func (f failure) Error() string { return f.Detail }

// toTemporal is an error as a worker reports it: nothing is tried again because of
// it.
func toTemporal(err error) error {
	if err == nil {
		return nil
	}
	return temporal.NewApplicationErrorWithOptions(err.Error(), failureType, temporal.ApplicationErrorOptions{
		NonRetryable: true,
		Details:      []any{failure{Kind: lockstep.KindOf(err), Detail: err.Error(), Message: lockstep.MessageOf(err)}},
	})
}

// carried finds the error of ours in what Temporal answers.
func carried(err error) (failure, bool) {
	var f failure
	app := new(temporal.ApplicationError)
	if !errors.As(err, &app) || app.Type() != failureType || app.Details(&f) != nil {
		return f, false
	}
	return f, true
}

// fromTemporal is the error that a worker reported, as if it had happened here;
// anything else means that Temporal could not be asked. op says what for.
func (s *Service) fromTemporal(op string, err error) error {
	if err == nil {
		return nil
	}
	if f, ours := carried(err); ours {
		return &lockstep.Error{Kind: f.Kind, Err: reported{f}, Hint: f.Message.Hint}
	}
	hint := "runs under way go on and end; ask again when Temporal is back, or look at fleet.temporal in the configuration"
	if nf := new(serviceerror.NamespaceNotFound); errors.As(err, &nf) {
		hint = "make it with: temporal operator namespace create --namespace " + s.cfg.Namespace
	}
	return &lockstep.Error{
		Kind: lockstep.KindUnavailable, Op: op,
		Err: &lockstep.Error{Op: "ask Temporal at " + s.cfg.Address, Err: plain(err)}, Hint: hint,
	}
}

// plain is Temporal's error without the words that its client puts around it.
func plain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*serviceerror.DeadlineExceeded)) || errors.As(err, new(*client.WorkflowUpdateServiceTimeoutOrCanceledError)) {
		return errors.New("it does not answer")
	}
	return err
}

// reported is an error that a worker has told, in its own words.
type reported struct{ f failure }

// Error is the whole of it.
func (r reported) Error() string { return r.f.Detail }

// Message is the worker's.
func (r reported) Message() lockstep.Message { return r.f.Message }

// passing reports whether asking Temporal once more may be answered: the workflow
// ended just then. One that was away has been asked for askWithin already.
func passing(err error) bool {
	switch {
	case errors.As(err, new(*serviceerror.NotFound)),
		errors.As(err, new(*serviceerror.Aborted)),
		errors.As(err, new(*serviceerror.WorkflowNotReady)),
		errors.As(err, new(*serviceerror.MultiOperationExecution)):
		return true
	}
	return false
}
