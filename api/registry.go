package api

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lockstep"
)

// eventSchema is the envelope of an event in the document; lockstep.Event
// writes itself like that.
type eventSchema struct {
	V    int             `json:"v" doc:"The version of the envelope, 1. Pass over what you do not know."`
	Run  lockstep.RunID  `json:"run"`
	Seq  uint64          `json:"seq" doc:"From 1 without a gap; 0 is progress."`
	Term uint64          `json:"term"`
	Time time.Time       `json:"time"`
	Type string          `json:"type" doc:"Such as run-opened, step-finished, run-ended. Pass over what you do not know."`
	Data json.RawMessage `json:"data"`
}

func registry() huma.Registry {
	r := huma.NewMapRegistry("#/components/schemas/", schemaName)
	r.RegisterTypeAlias(reflect.TypeFor[lockstep.Event](), reflect.TypeFor[eventSchema]())
	return r
}

func schemaName(t reflect.Type, hint string) string {
	if t == reflect.TypeFor[eventSchema]() {
		return "Event"
	}
	return huma.DefaultSchemaNamer(t, hint)
}
