package access_test

import (
	"context"
	"errors"
	"testing"

	"lockstep"
	"lockstep/access"
	"lockstep/auditlog"
)

type notices struct{ lockstep.Notices }

func (notices) Receivers(context.Context) ([]lockstep.Receiver, error) { return nil, nil }
func (notices) Deliveries(context.Context, lockstep.DeliveryFilter) ([]lockstep.Delivery, error) {
	return nil, nil
}
func (notices) Test(context.Context, string) ([]lockstep.TestResult, error) { return nil, nil }

type entries struct {
	list []auditlog.Entry
	err  error
}

func (e *entries) Record(_ context.Context, x auditlog.Entry) error {
	e.list = append(e.list, x)
	return e.err
}

func TestGuardNotices(t *testing.T) {
	log := &entries{}
	g := access.GuardNotices(notices{}, log)
	all := func(ctx context.Context) error {
		_, a := g.Receivers(ctx)
		_, b := g.Deliveries(ctx, lockstep.DeliveryFilter{})
		_, c := g.Test(ctx, "ops")
		if (a == nil) != (b == nil) || (a == nil) != (c == nil) {
			t.Errorf("they differ: %v, %v, %v", a, b, c)
		}
		return c
	}
	for _, p := range []access.Principal{
		{}, {Name: "x", Grants: []access.Grant{{Role: access.RoleBackupOperator, Deployments: "*"}}},
		{Name: "x", Grants: []access.Grant{{Role: access.RoleAdmin, Deployments: "shop"}}},
	} {
		if err := all(access.WithPrincipal(t.Context(), p)); err == nil {
			t.Errorf("%+v may", p)
		}
	}
	if len(log.list) > 0 && log.list[0].Result == auditlog.Allowed {
		t.Errorf("recorded %+v", log.list)
	}
	admin := access.WithPrincipal(t.Context(), access.Local("root"))
	log.list = nil
	if err := all(admin); err != nil || len(log.list) != 1 || log.list[0].Action != "notify:test" || log.list[0].Object != "ops" {
		t.Errorf("%v, %+v", err, log.list)
	}
	log.err = errors.New("disk full")
	if _, err := g.Test(admin, "ops"); lockstep.KindOf(err) != lockstep.KindUnavailable {
		t.Errorf("not recorded: %v", err)
	}
}
