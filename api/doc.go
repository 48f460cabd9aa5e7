// Package api is the HTTP face of a lockstep.Service: JSON over /api/v1.
//
// Every method of the Service is a route. Routes are declared once, with their
// types; the OpenAPI document at /openapi.json is made of the same
// declarations, and what comes in is checked against it before a handler sees
// it. An error is a Problem (RFC 9457) that carries the kind and the hint that
// the command line would show.
//
// A run is asked for by POST and answered at once with its id (202); its
// events follow as server-sent events. Nothing that happens to a connection
// ever ends a run.
//
// Who asks is known before a request comes here, and what they may do is
// decided by the Service that this package is given: see access.Guard.
package api
