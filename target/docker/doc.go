// Package docker reaches the containers of a Docker engine.
//
// A Target runs each command with the engine's exec, over a connection of its
// own. Three rules hold throughout. An exit is what package inband received,
// never what the engine says of it: its exit codes cannot be told from those of
// a signal, nor from those of a command that it failed to start. Files travel
// through commands too; the engine's copy API is not used, because what it reads
// a container may exchange under its hands. And a container is known by its
// name, so that one which takes its place, as Compose makes them, is the same
// instance.
package docker
