package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// effects has the event of every operation that changes something: action, actor,
// kind of target, where the target's id is known from, organization/project, and
// the names of what changed. An operation that leaves an event without a row here
// fails TestOneEventForEachChange.
var effects = map[string]string{
	"acceptInvitation":    "member.joined caller member:answer answer/- invitation,role",
	"changePassword":      "user.password_changed caller user:actor -/-",
	"createInvitation":    "invitation.created caller invitation:answer home/- email,expires_at,role",
	"createKey":           "key.created caller key:answer home/home environment,external_id,metadata,name,prefix,revoked_reason,scopes",
	"createOrganization":  "organization.created caller organization:answer answer/- name,slug,status",
	"createPlan":          "plan.created caller plan:answer home/home name",
	"createProject":       "project.created caller project:answer home/answer key_prefix,name,on_leak,slug,status,token_epoch,token_ttl",
	"createWebhook":       "webhook.created caller webhook:answer home/home events,status,url",
	"deleteWebhook":       "webhook.deleted caller webhook:path home/home",
	"redeliver":           "webhook.redelivered caller webhook:path home/home event",
	"rotateWebhookSecret": "webhook.secret_rotated caller webhook:path home/home",
	"testWebhook":         "webhook.tested caller webhook:path home/home",
	"updateWebhook":       "webhook.updated caller webhook:path home/home url",
	"deleteKey":           "key.deleted caller key:path home/home",
	"deleteOrganization":  "organization.deleted caller organization:path -/-",
	"deleteProject":       "project.deleted caller project:path home/path",
	"deletePlan":          "plan.deleted caller plan:path home/home",
	"grantCredits":        "credits.granted caller key:answer home/home amount,balance,limit,reason",
	"importKeys":          "keys.imported caller project:path home/home first,imported,last",
	"logIn":               "session.created owner session:answer -/-",
	"logOut":              "session.ended caller session:session -/-",
	"refundCredits":       "credits.refunded caller key:answer home/home amount,balance,limit,reason",
	"removeMember":        "member.removed caller member:path home/- role",
	"reportLeak":          "key.leaked target key:actor home/home leaked_at,leaked_token,revoked_at,revoked_reason",
	"resetLimit":          "limit.reset caller key:path home/home limit,reason",
	"revokeInvitation":    "invitation.revoked caller invitation:path home/-",
	"revokeKey":           "key.revoked caller key:path home/home revoked_at",
	"revokeKeys":          "key.revoked caller key:answer home/home revoked_at",
	"revokeOtherSessions": "session.others_revoked caller user:actor -/- sessions",
	"revokeSession":       "session.revoked caller session:path -/-",
	"resetPassword":       "user.password_reset target user:actor -/- email_verified",
	"rotateKey":           "key.rotated caller key:path home/home prefix,retiring_until",
	"signUp":              "user.created target user:answer -/-",
	"updateKey":           "key.updated caller key:path home/home name",
	"updateMe":            "user.updated caller user:answer -/- name",
	"updateMember":        "member.updated caller member:path home/- role",
	"updateOrganization":  "organization.updated caller organization:path home/- name",
	"updatePlan":          "plan.updated caller plan:path home/home name",
	"updateProject":       "project.updated caller project:path home/home name",
	"verifyEmail":         "user.email_verified target user:actor -/- email_verified",

	"createServiceAccount": "service_account.created caller service_account:answer home/- may_delete_projects,name,role,status",
	"createServiceToken":   "service_token.created caller service_token:answer home/- expires_at,name,prefix,service_account",
	"deleteServiceAccount": "service_account.deleted caller service_account:path home/-",
	"deleteServiceToken":   "service_token.deleted caller service_token:path home/- expires_at,name,prefix,service_account",
	"updateServiceAccount": "service_account.updated caller service_account:path home/- name",
}

// Guarantees that what a person does with a token from an email leaves one event
// each, whole, as the operations do that need no email.
func TestOneEventForEachMailedToken(t *testing.T) {
	t.Parallel()
	b := newBroken(t, storetest.SQLite(t), make(mailbox, 100))
	for path, item := range contract().Paths.Map() {
		if op := item.Post; op != nil && slices.Contains(needMail, op.OperationID) {
			address, as, body := b.request(t, op.OperationID, path, "anonymous")
			b.Pass(time.Millisecond)
			at := b.Now()
			got := b.ask(t, &storetest.Fault{}, http.MethodPost, address, as, body)
			events := b.since(t, at)
			if len(events) != 1 {
				t.Errorf("%s, answered %d %s: got the events %+v, want one", op.OperationID, got.status, got.body, events)
				continue
			}
			if shown, want := b.effect(t, events[0], "anonymous", address, as, got), effects[op.OperationID]; shown != want {
				t.Errorf("%s: got the event %q, want %q: %+v", op.OperationID, shown, want, events[0])
			}
		}
	}
}

// effect is an event as a row of effects has it.
func (s *scene) effect(t *testing.T, e domain.Event, column, address string, as credential, got answer) string {
	t.Helper()
	actor := "other"
	switch {
	case e.Action == "session.created" && e.Actor.ID == string(s.home.owner.User.ID):
		actor = "owner" // signs in, whatever the request carries
	case e.Actor.ID == s.callerID(t, column, as):
		actor = "caller"
	case e.Actor.ID == e.Target.ID:
		actor = "target"
	}
	target := "unknown"
	switch {
	case strings.Contains(address, e.Target.ID):
		target = "path"
	case strings.Contains(string(got.body), e.Target.ID):
		target = "answer"
	case e.Target.ID == e.Actor.ID:
		target = "actor"
	case e.Target.Kind == "session":
		target = "session" // which only a token of it names
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s:%s %s/%s %s", e.Action, actor, e.Target.Kind, target,
		place(string(e.OrganizationID), string(s.home.organization.ID), address, got),
		place(string(e.ProjectID), string(s.home.project.ID), address, got),
		strings.Join(slices.Sorted(maps.Keys(e.Changes)), ",")))
}

// callerID is the id of the caller; empty for one without credentials.
func (s *scene) callerID(t *testing.T, column string, as credential) string {
	t.Helper()
	if p, ok := s.people[column]; ok {
		return string(p.User.ID)
	}
	h := http.Header{}
	as(h)
	token := h.Get("X-Api-Key")
	if token == "" {
		return ""
	}
	key, err := s.App.ProveKey(t.Context(), token, nil)
	if err != nil {
		return ""
	}
	return string(key.Key().ID)
}

// place says which organization or project an event belongs to.
func place(id, home, address string, got answer) string {
	switch {
	case id == "":
		return "-"
	case id == home:
		return "home"
	case strings.Contains(address, id):
		return "path"
	case strings.Contains(string(got.body), id):
		return "answer"
	}
	return "other"
}
