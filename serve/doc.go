// Package serve puts orchestrators together: which adapters stand behind the
// use cases, and what a server has around them. Nothing above the adapters but
// this package, and the wire of bbr, imports one.
//
// Open is an orchestrator in this process, Connect one that a server is, Run
// the server itself, and Manage what looks after who may do what.
package serve
