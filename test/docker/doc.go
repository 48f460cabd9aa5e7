// Package docker is the main job on containers of a real engine, alone and
// beside machines that are reached over SSH: see run.
package docker
