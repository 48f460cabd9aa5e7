// Package kube is the main job on pods of a real Kubernetes, whose parts are killed
// in the middle of it: see run.
package kube
