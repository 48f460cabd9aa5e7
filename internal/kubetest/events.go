package kubetest

import (
	"encoding/json"
	"net/http"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fieldselector "k8s.io/apimachinery/pkg/fields"
)

// Events are those that were written, in order.
func (s *Server) Events() []eventsv1.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// tell takes an event that has what the API wants of one.
func (s *Server) tell(w http.ResponseWriter, r *http.Request) {
	var e eventsv1.Event
	err := json.NewDecoder(r.Body).Decode(&e)
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	case e.EventTime.IsZero() || e.ReportingController == "" || e.ReportingInstance == "" || len(e.ReportingInstance) > 128 ||
		e.Action == "" || e.Reason == "" || len(e.Note) > 1024 || e.Regarding.Namespace != e.Namespace || e.GenerateName == "":
		refuse(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "the event lacks something")
		return
	}
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
	answer(w, http.StatusCreated, e)
}

// review says whether whoever asks may do something.
func (s *Server) review(w http.ResponseWriter, r *http.Request) {
	var q authorizationv1.SelfSubjectAccessReview
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Spec.ResourceAttributes == nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "it asks nothing")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q.Status.Allowed = !s.forbidden[q.Spec.ResourceAttributes.Verb+" "+q.Spec.ResourceAttributes.Resource]
	answer(w, http.StatusCreated, q)
}

func fieldsOf(p corev1.Pod) fieldselector.Set { return fieldselector.Set{"metadata.name": p.Name} }
