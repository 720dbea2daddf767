package service

import (
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// freshSignIn is the maximum age of a sign-in for actions that cannot be
// undone.
const freshSignIn = 10 * time.Minute

// grant has what a caller may do at one place: a user through their role there,
// a key through its scopes, the command line without limit. If both a key and a
// user were proved, both must hold the action.
type grant struct {
	app    *App
	caller domain.Principal
	role   domain.Role

	// suspended prevents changes here by everyone except the command line.
	suspended domain.Suspension

	precondition domain.Precondition
}

// Expect makes the handle's next change fail with precondition_failed if what
// it would change is not as expected: the organization or project itself, or
// the key that the method names.
func (g *grant) Expect(p domain.Precondition) { g.precondition = p }

// Caller returns the principal that the handle was made for.
func (g grant) Caller() domain.Principal { return g.caller }

// Holds reports whether the caller may do a here.
func (g grant) Holds(a domain.Action) bool {
	if g.caller.IsSystem() {
		return true
	}
	if g.suspended.Active() && !a.Reads() {
		return false
	}
	key, hasKey := g.caller.ProvenKey()
	hasUser := g.caller.HasUser()
	return (hasKey || hasUser) && (!hasKey || key.Holds(a)) && (!hasUser || g.role.Holds(a))
}

// Authorize returns forbidden unless the caller may do a here. It names the
// action and who could help.
func (g grant) Authorize(a domain.Action) error {
	if g.Holds(a) {
		return nil
	}
	if g.suspended.Active() && !a.Reads() {
		return errSuspended(g.suspended)
	}
	if key, ok := g.caller.ProvenKey(); ok && !key.Holds(a) {
		return domain.Errorf(domain.CodeForbidden, "This API key lacks the scope %s. A member who holds it can add it to the key.", a)
	}
	return domain.Errorf(domain.CodeForbidden, "You lack %s here, which these roles hold: %s. An owner or admin can change your role.",
		a, join(domain.RolesHolding(a)))
}

// requireScopes returns scope_not_held unless the caller holds all of scopes:
// no one gives away scopes that they do not hold, or gets them by rotating a
// key.
func (g grant) requireScopes(scopes []domain.Scope) error {
	var missing []domain.Scope
	for _, s := range scopes {
		if !g.Holds(s) {
			missing = append(missing, s)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return errNotHeld(missing)
}

func errNotHeld(missing []domain.Scope) error {
	return domain.Errorf(domain.CodeScopeNotHeld,
		"You do not hold %s yourself, so you cannot give it to a key or act on a key that has it.",
		join(missing))
}

// requireFreshSignIn returns reauthentication_required unless the caller has
// proved their password within the last ten minutes. Service accounts cannot, so
// they get forbidden.
func (g grant) requireFreshSignIn() error {
	if err := requirePerson(g.caller); err != nil {
		return err
	}
	if user, ok := g.caller.User(); ok && g.app.now().Sub(user.Session.CreatedAt) > freshSignIn {
		return domain.Errorf(domain.CodeReauthenticationRequired,
			"This cannot be undone, so it needs a sign-in younger than %d minutes. Sign in again.",
			int(freshSignIn.Minutes()))
	}
	return nil
}

func join[T ~string](items []T) string {
	names := make([]string, len(items))
	for i, item := range items {
		names[i] = string(item)
	}
	return strings.Join(names, ", ")
}

// requirePerson returns forbidden to service accounts.
func requirePerson(caller domain.Principal) error {
	if user, ok := caller.User(); ok && user.User.IsService() {
		return domain.Errorf(domain.CodeForbidden, "A service account cannot do this. It needs a person.")
	}
	return nil
}

// requireSystem returns forbidden to everyone except the command line.
func requireSystem(caller domain.Principal) error {
	if caller.IsSystem() {
		return nil
	}
	return domain.Errorf(domain.CodeForbidden, "Only the instance's command line may do this.")
}

// requireOperator returns nil for operators and the command line, and not_found for
// all others.
func requireOperator(caller domain.Principal) error {
	if user, ok := caller.User(); caller.IsSystem() || ok && user.User.Operator {
		return nil
	}
	return domain.NotFound()
}

// errAnonymous is the error of a handle for a caller that has proved nothing.
// The permission check of the route comes first, with more detail.
func errAnonymous() error {
	return domain.Refused(domain.CodeUnauthenticated, "No one is signed in and no API key was sent.")
}
