// Package kubernetes is the source of deployments whose instances are pods of a
// Kubernetes cluster: those of a StatefulSet or a Deployment, those that a selector
// selects, or those that a specification lists.
//
// An instance is a slot: the ordinal in a StatefulSet, a place among the pods of a
// Deployment. A pod that takes another's place is the same instance, and is told from
// it by its uid.
package kubernetes
