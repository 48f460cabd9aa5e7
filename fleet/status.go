package fleet

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"lockstep"
)

// Standing is what Temporal tells of a fleet.
type Standing struct {
	// Members are those that have asked Temporal for work in the last minutes,
	// servers first.
	Members []MemberStanding `json:"members"`
	// Runs are those under way.
	Runs []RunStanding `json:"runs"`
}

// MemberStanding is what Temporal tells of a server or a worker.
type MemberStanding struct {
	Identity
	// Asked is when it last asked for work, which it does once a minute at least, as
	// long as it takes any.
	Asked time.Time `json:"asked_at"`
	// Drives are the runs whose activity it has.
	Drives []lockstep.RunID `json:"drives"`
}

// RunStanding is what Temporal tells of a run under way.
type RunStanding struct {
	Run        lockstep.RunID     `json:"run"`
	Operation  lockstep.Operation `json:"operation"`
	Deployment string             `json:"deployment"`
	Zone       string             `json:"zone"`
	// State is "waits" for a worker, or "driven"; "" is a run of which Temporal knows
	// nothing, which nobody of the fleet began.
	State string `json:"state,omitempty"`
	// Attempt counts the workers that had it, from 1.
	Attempt int `json:"attempt,omitempty"`
	// Worker is who has it, or had it last.
	Worker *Identity `json:"worker,omitempty"`
	// Heartbeat is its worker's last sign of life.
	Heartbeat time.Time `json:"heartbeat_at,omitzero"`
}

// Status asks Temporal, and the journal for runs that are under way.
func (s *Service) Status(ctx context.Context) (Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	out, err := s.status(ctx)
	if err != nil && lockstep.KindOf(err) == lockstep.KindInternal {
		err = s.fromTemporal("see who is in the fleet", err)
	}
	return out, err
}

func (s *Service) status(ctx context.Context) (out Standing, err error) {
	if out.Members, err = s.members(ctx); err != nil {
		return out, err
	}
	open, err := s.Runs(ctx, lockstep.RunFilter{State: lockstep.RunRunning})
	if err != nil {
		return out, err
	}
	out.Runs = []RunStanding{}
	for _, run := range open {
		r, err := s.standingOf(ctx, run)
		if err != nil {
			return out, err
		}
		out.Runs = append(out.Runs, r)
		for i, m := range out.Members {
			if r.State == "driven" && r.Worker != nil && *r.Worker == m.Identity {
				out.Members[i].Drives = append(m.Drives, r.Run)
			}
		}
	}
	return out, nil
}

// members are those that take work, of all zones that the configuration names.
func (s *Service) members(ctx context.Context) ([]MemberStanding, error) {
	queues := map[string]enumspb.TaskQueueType{workflowQueue: enumspb.TASK_QUEUE_TYPE_WORKFLOW, zoneQueue(""): enumspb.TASK_QUEUE_TYPE_ACTIVITY}
	for zone := range maps.Values(s.cfg.Zones) {
		queues[zoneQueue(zone)] = enumspb.TASK_QUEUE_TYPE_ACTIVITY
	}
	seen := map[Identity]time.Time{}
	for queue, kind := range queues {
		answer, err := s.cfg.Temporal.DescribeTaskQueue(ctx, queue, kind)
		if err != nil {
			return nil, err
		}
		for _, p := range answer.GetPollers() {
			who, ok := parseIdentity(p.GetIdentity())
			if at := p.GetLastAccessTime().AsTime(); ok && at.After(seen[who]) {
				seen[who] = at
			}
		}
	}
	out := []MemberStanding{}
	for who, at := range seen {
		out = append(out, MemberStanding{Identity: who, Asked: at.UTC(), Drives: []lockstep.RunID{}})
	}
	slices.SortFunc(out, func(a, b MemberStanding) int {
		return cmp.Or(strings.Compare(a.Role, b.Role), strings.Compare(a.Zone, b.Zone), strings.Compare(a.Host, b.Host), cmp.Compare(a.PID, b.PID))
	})
	return out, nil
}

// standingOf finds a run's activity.
func (s *Service) standingOf(ctx context.Context, run lockstep.RunSummary) (RunStanding, error) {
	out := RunStanding{Run: run.ID, Operation: run.Operation, Deployment: run.Deployment, Zone: s.zone(run.Deployment)}
	id := workflowID(run.Key)
	if run.Operation == lockstep.OperationPlan {
		id = planID(run.ID)
	}
	answer, err := s.cfg.Temporal.DescribeWorkflowExecution(ctx, id, "")
	if passing(err) { // none of that name
		return out, nil
	}
	if err != nil {
		return out, err
	}
	for _, p := range answer.GetPendingActivities() {
		if p.GetActivityId() != string(run.ID) && p.GetActivityId() != activityID(ask{Request: lockstep.Request{ID: run.ID}, Opened: true}) {
			continue
		}
		out.State, out.Attempt = "waits", int(p.GetAttempt())
		if p.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED {
			out.State = "driven"
		}
		if who, ok := parseIdentity(p.GetLastWorkerIdentity()); ok {
			out.Worker = &who
		}
		if at := p.GetLastHeartbeatTime(); at != nil {
			out.Heartbeat = at.AsTime().UTC()
		}
	}
	return out, nil
}
