package access_test

import (
	"strings"
	"testing"

	"lockstep/access"
	"lockstep/api"
)

// Every route that the API answers is in the table, and the table has none
// that the API does not answer.
func TestRoutes_AreThoseOfTheAPI(t *testing.T) {
	a, err := api.New(api.Config{
		Tokens: access.NewTokens(access.TokensConfig{Pepper: access.NewPepper()}), Approvals: access.NewApprovals(access.ApprovalsConfig{}), Audits: &access.Audits{},
		Schedules: access.GuardSchedules(nil, nil, nil), Notices: access.GuardNotices(nil, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	answered := map[string]bool{}
	for _, route := range a.Routes() {
		answered[route] = true
		if _, ok := access.Routes[route]; !ok {
			t.Errorf("the table does not say who may use %s", route)
		}
	}
	for route := range access.Routes {
		if strings.Contains(route, " /api/v1/") && !answered[route] {
			t.Errorf("%s is in the table, and nothing answers it", route)
		}
	}
}
