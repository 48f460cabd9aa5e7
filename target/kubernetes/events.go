package kubernetes

import (
	"context"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// tellTimeout bounds the writing of one event: nobody waits long for it.
	tellTimeout = 5 * time.Second
	// maxNote is how long the API lets an event's text be, in bytes.
	maxNote = 1024
)

// PodEvent is something that happened to a pod, as `kubectl describe pod` shows it.
type PodEvent struct {
	Namespace, Pod string
	// Container is the one that is meant, or "".
	Container string
	// ByName: the pod may be asked for by its name; else those of the namespace may be
	// listed.
	ByName bool
	// Warning: people should look at it.
	Warning bool
	// Action is what was done, Reason what came of it, a word each, as "Lock" and
	// "Locked"; Note is a sentence.
	Action, Reason, Note string
	// By names this process among those that say such things.
	By   string
	Time time.Time
}

// Tell writes an event that a pod has. That there is no such pod now is no error; an
// error of KindRefused says that the account may not write events there.
func (c *Cluster) Tell(ctx context.Context, e PodEvent) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	pod, err := c.named(ctx, e)
	if err != nil || pod == nil {
		return err
	}
	about := corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: e.Namespace, Name: e.Pod, UID: pod.UID, ResourceVersion: pod.ResourceVersion}
	if e.Container != "" {
		about.FieldPath = "spec.containers{" + e.Container + "}"
	}
	kind := corev1.EventTypeNormal
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	event := eventsv1.Event{
		TypeMeta:   metav1.TypeMeta{APIVersion: "events.k8s.io/v1", Kind: "Event"},
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, GenerateName: shortened(e.Pod, 200) + ".lockstep-"},
		EventTime:  metav1.NewMicroTime(e.Time), ReportingController: "lockstep", ReportingInstance: shortened(e.By, 128),
		Action: e.Action, Reason: e.Reason, Note: shortened(e.Note, maxNote), Type: kind, Regarding: about,
	}
	err = c.events.Post().Namespace(e.Namespace).Resource("events").Body(&event).Do(ctx).Error()
	if err != nil {
		return c.Explain("write an event of pod "+e.Namespace+"/"+e.Pod, because(ctx, err))
	}
	return nil
}

// named is the pod that has that name now, or nil. Whoever may list pods may not get one.
func (c *Cluster) named(ctx context.Context, e PodEvent) (*corev1.Pod, error) {
	if e.ByName {
		return c.Pod(ctx, e.Namespace, e.Pod)
	}
	var list corev1.PodList
	options := metav1.ListOptions{FieldSelector: "metadata.name=" + e.Pod, Limit: 1}
	err := c.core.Get().Namespace(e.Namespace).Resource("pods").VersionedParams(&options, parameters).Do(ctx).Into(&list)
	if err != nil {
		return nil, c.Explain("look for pod "+e.Namespace+"/"+e.Pod, because(ctx, err))
	}
	for i := range list.Items {
		if list.Items[i].Name == e.Pod {
			return &list.Items[i], nil
		}
	}
	return nil, nil
}

// MayTell reports whether the account may write events in a namespace. Every account may
// ask that of itself.
func (c *Cluster) MayTell(ctx context.Context, namespace string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	review := authorizationv1.SelfSubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"},
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: "create", Group: "events.k8s.io", Resource: "events",
		}},
	}
	var answer authorizationv1.SelfSubjectAccessReview
	err := c.reviews.Post().Resource("selfsubjectaccessreviews").Body(&review).Do(ctx).Into(&answer)
	if err != nil {
		return false, c.Explain("ask whether events may be written in namespace "+namespace, because(ctx, err))
	}
	return answer.Status.Allowed, nil
}

// shortened is a text of a length that the API takes.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
