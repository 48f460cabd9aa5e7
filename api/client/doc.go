// Package client is a lockstep.Service behind a server: the same questions and
// the same answers, over HTTP.
//
//	c, err := client.New(client.Config{URL: "https://backup.example.com", Token: token})
//	id, err := c.Start(ctx, lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
//	for e, err := range c.Events(ctx, id, 0) { … }
//	run, err := c.Run(ctx, id)
//
// A run goes on whatever becomes of the connection. Where asking again is
// harmless, a Client that has had an answer before asks again for a while:
// reading, beginning a run (under a key that makes it begin once), canceling.
// Events go on where they stopped, for as long as their context lives.
//
// Errors are *lockstep.Error with the kind and the hint that the server's own
// command line would show. Where no answer came the kind is KindUnavailable.
package client
