// Package kubernetes reaches the containers of pods through the API of a
// Kubernetes cluster.
//
// A Target runs each command with the exec of a pod, over a connection of its
// own: WebSocket, or SPDY where the API server is too old for that. Three rules
// hold throughout. An exit is what package inband received, never what the API
// says of it: its client reports success where a kubelet, a container runtime or
// an API server died in the middle. Files travel through commands. And an
// instance is known by its slot: where a pod is gone, whoever opened the target
// is asked which one has taken its place.
package kubernetes
