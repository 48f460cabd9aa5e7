// Package docker is the source of deployments whose instances are containers of
// a Docker engine: those of a Compose project, those with a label, or those that
// a specification lists.
//
// An instance is known by its container's name, and told from one that takes its
// place by the container's id.
package docker
