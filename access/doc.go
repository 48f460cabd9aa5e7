// Package access decides who may do what, and remembers who did.
//
// A Principal is whoever asks, known by an Authenticator: from a token, a
// session of the page, a client certificate or an identity provider. It has
// grants: a Role on the deployments whose names match a pattern. A role is a
// fixed set of permissions. What is not granted is denied.
//
// Two checks stand between a request and its effect. They share the roles and
// nothing else:
//
//   - Authorizer looks at the route. Routes is the one table from route to
//     permission; a route that is not in it does not exist.
//   - Guard is a lockstep.Service around another one. It looks at the
//     deployment that each call concerns, and writes the audit log before it
//     passes on whatever has an effect. Whoever holds only a guarded Service
//     cannot forget to ask.
//
// One rule is above all others: letting go of what is locked waits for nobody.
// Cancel, cleanup, settle and acknowledge need their permission, but neither a
// second person nor an audit log that can be written.
package access
