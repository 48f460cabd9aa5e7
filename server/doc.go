// Package server is the listener: it holds the faces of an orchestrator, api
// and ui, and keeps what comes over the network from disturbing its runs.
//
// A request passes, in this order: the cap on connections; deadlines for its
// head, its body and each write of its answer; the access log and a request
// id; a cap on how many are answered at once; who asks and whether they may
// (Config.Admit); a bound on the body; and only then the face that answers.
//
// A server is starting until what dead orchestrators left is settled, then
// ready, then stopping. Runs begin only while it is ready; everything else is
// answered in all three.
package server
