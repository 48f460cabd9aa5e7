package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lockstep"
)

const told = `
repository: {dir: x}
deployments:
  shop:
    local: {}
    instance_groups: [{name: a, instances: [{id: i}]}]
    schedule: "30 2 * * *"
    overdue_after: off
  blog:
    local: {}
    instance_groups: [{name: a, instances: [{id: i}]}]
    schedule: {cron: "@daily", zone: Europe/Berlin, jitter: 10m, overlap: wait, missed: skip}
    overdue_after: 30h
schedules:
  tidy: {deployment: shop, operation: forget, cron: "0 5 * * SUN", keep: {daily: 7, weekly: 5, within: 48h}}
  proof: {deployment: blog, operation: verify, cron: "@weekly"}
remind_every: 15m
notify:
- name: ops
  events: [failed, held]
  deployments: ["sh*"]
  webhook: {url: "https://example.com/hook", secret_file: [new, old], allow: [10.1.2.3/8, "::1"], ca_file: ca.pem}
- name: mail
  email: {host: mail.example.com, username: u, password_file: pw, from: a@example.com, to: [b@example.com]}
- name: room
  chat: {style: teams, url_file: room.url, plain_http: true}
`

func TestWhatAServerDoesAndTells(t *testing.T) {
	c := parse(t, told)
	usual := lockstep.Schedule{Zone: "UTC", Overlap: lockstep.OverlapSkip, Missed: lockstep.MissedCatchUp, Origin: lockstep.ScheduleOfConfig}
	with := func(do func(*lockstep.Schedule)) lockstep.Schedule { s := usual; do(&s); return s }
	wantSchedules := []lockstep.Schedule{
		with(func(s *lockstep.Schedule) {
			s.Name, s.Deployment, s.Operation, s.Cron, s.Zone = "blog", "blog", lockstep.ScheduledBackup, "@daily", "Europe/Berlin"
			s.Jitter, s.Overlap, s.Missed = 10*time.Minute, lockstep.OverlapWait, lockstep.MissedSkip
		}),
		with(func(s *lockstep.Schedule) {
			s.Name, s.Deployment, s.Operation, s.Cron = "proof", "blog", lockstep.ScheduledVerify, "@weekly"
		}),
		with(func(s *lockstep.Schedule) {
			s.Name, s.Deployment, s.Operation, s.Cron = "shop", "shop", lockstep.ScheduledBackup, "30 2 * * *"
		}),
		with(func(s *lockstep.Schedule) {
			s.Name, s.Deployment, s.Operation, s.Cron = "tidy", "shop", lockstep.ScheduledForget, "0 5 * * SUN"
			s.Keep = &lockstep.KeepRules{Daily: 7, Weekly: 5, Within: 48 * time.Hour}
		}),
	}
	if diff := cmp.Diff(wantSchedules, c.Schedules); diff != "" {
		t.Errorf("schedules (-want +got)\n%s", diff)
	}
	all := []string{"*"}
	wantReceivers := []Receiver{
		{Name: "ops", Events: []lockstep.NoticeKind{lockstep.NoticeFailed, lockstep.NoticeHeld}, Deployments: []string{"sh*"}, Webhook: &Webhook{
			URL: "https://example.com/hook", SecretFiles: []string{"/etc/x/new", "/etc/x/old"},
			Way: Way{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}, CAFile: "/etc/x/ca.pem"},
		}},
		{Name: "mail", Deployments: all, Email: &Email{Host: "mail.example.com", Security: "starttls", Username: "u", PasswordFile: "/etc/x/pw", From: "a@example.com", To: []string{"b@example.com"}}},
		{Name: "room", Deployments: all, Chat: &Chat{Style: "teams", URLFile: "/etc/x/room.url", Way: Way{PlainHTTP: true}}},
	}
	if diff := cmp.Diff(wantReceivers, c.Notify, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("receivers (-want +got)\n%s", diff)
	}
	if c.RemindEvery != 15*time.Minute || *c.Deployments[0].OverdueAfter != 30*time.Hour || *c.Deployments[1].OverdueAfter != 0 {
		t.Errorf("remind every %s, overdue after %v and %v", c.RemindEvery, c.Deployments[0].OverdueAfter, c.Deployments[1].OverdueAfter)
	}
}

// Where there is something to prune a schedule does it.
func TestAPruneOfARepositoryOfRestics(t *testing.T) {
	text := strings.Replace(told, "{dir: x}", "{restic: {location: x, password_file: y}}", 1)
	c := parse(t, strings.Replace(text, "operation: verify", "operation: prune", 1))
	if s := c.Schedules[1]; s.Name != "proof" || s.Operation != lockstep.ScheduledPrune {
		t.Errorf("%+v", s)
	}
}

// The part of the starter about a server is in comments; taken out of them, it
// is valid.
func TestStarter_ItsCommentsAreValid(t *testing.T) {
	text := Generate()
	_, server, found := strings.Cut(text, "# What `lockstep serve` does again and again")
	if !found {
		t.Fatal("the starter says nothing of schedules and notices")
	}
	server, _, _ = strings.Cut(server, "\n\n")
	for _, line := range strings.Split(server, "\n")[1:] {
		text += strings.TrimPrefix(line, "#") + "\n"
	}
	c := parse(t, strings.Replace(text, "#schedule:", "schedule:", 1))
	if len(c.Schedules) != 3 || len(c.Notify) != 3 {
		t.Errorf("%d schedules, %d receivers", len(c.Schedules), len(c.Notify))
	}
}
