package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// operatorSetting names the first account, which may see the instance page.
const operatorSetting = "operator"

// SignUp makes an account and signs it in. The first account of an instance is
// its operator. Errors: signup_closed, conflict for an address that has an
// account, validation_failed.
func (a *App) SignUp(ctx context.Context, from domain.Origin, s domain.SignUp) (SignedIn, error) {
	if a.signup != SignupOpen {
		return SignedIn{}, domain.Errorf(domain.CodeSignupClosed, "This instance does not take sign-ups. Ask whoever runs it for an account.")
	}
	user, hash, err := a.newUser(ctx, s)
	if err != nil {
		return SignedIn{}, err
	}
	var in SignedIn
	err = a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		err := tx.AddSetting(ctx, operatorSetting, []byte(user.ID))
		if err != nil && domain.CodeOf(err) != domain.CodeConflict {
			return err
		}
		user.Operator = err == nil
		if err := a.addUser(ctx, tx, domain.NewPrincipal(nil, &domain.CallingUser{User: user}, from), user, hash); err != nil {
			return err
		}
		in, err = a.startSession(ctx, tx, from, user)
		return err
	})
	return in, err
}

// newUser returns the account that s asks for and the hash of its password.
func (a *App) newUser(ctx context.Context, s domain.SignUp) (domain.User, string, error) {
	if err := s.Validate(); err != nil {
		return domain.User{}, "", err
	}
	hash, err := a.passwords.hash(ctx, s.Password)
	now := a.now()
	return domain.User{
		ID: domain.NewID[domain.UserID](now), Email: domain.NormalizeEmail(s.Email), Name: s.Name, Status: domain.Active, CreatedAt: now,
	}, hash, err
}

func (a *App) addUser(ctx context.Context, tx *repository.Store, caller domain.Principal, user domain.User, hash string) error {
	err := tx.CreateUser(ctx, user, hash)
	if domain.CodeOf(err) == domain.CodeConflict {
		return domain.Errorf(domain.CodeConflict, "There is an account with this e-mail address already.")
	}
	if err != nil {
		return err
	}
	return a.record(ctx, tx, caller, domain.Event{Action: "user.created", Target: userTarget(user)})
}

// Account is a person's own account in their hands.
type Account struct {
	app    *App
	caller domain.Principal
	user   domain.CallingUser
}

// Account returns the handle for the calling user's own account.
func (a *App) Account(_ context.Context, caller domain.Principal) (*Account, error) {
	user, ok := caller.User()
	if !ok {
		return nil, errAnonymous()
	}
	return &Account{a, caller, user}, nil
}

// User returns the account.
func (a *Account) User() domain.User { return a.user.User }

// Rename changes the person's name.
func (a *Account) Rename(ctx context.Context, name string) (domain.User, error) {
	var v domain.Invalid
	if v.Text("/name", name, 0, domain.MaxNameLength); len(v) > 0 {
		return domain.User{}, v.Err()
	}
	before, after := a.user.User, a.user.User
	after.Name = name
	err := a.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		changes := domain.Diff(map[string]any{"name": before.Name}, map[string]any{"name": after.Name})
		if len(changes) == 0 {
			return nil
		}
		if err := tx.UpdateUser(ctx, after); err != nil {
			return err
		}
		return a.app.record(ctx, tx, a.caller, domain.Event{Action: "user.updated", Target: userTarget(after), Changes: changes})
	})
	return after, err
}

// ChangePassword replaces the password of whoever knows the current one, and
// ends their other sessions. A wrong one gives invalid_credentials.
func (a *Account) ChangePassword(ctx context.Context, current, replacement string) error {
	var v domain.Invalid
	if v.Password("/new", replacement); len(v) > 0 {
		return v.Err()
	}
	user := a.user.User
	_, hash, err := a.app.store.GetUserByEmail(ctx, user.Email)
	if err != nil {
		return err
	}
	match, err := a.app.passwords.matches(ctx, current, hash)
	if err != nil {
		return err
	}
	if !match {
		return domain.Refused(domain.CodeInvalidCredentials, "The current password is wrong.")
	}
	if hash, err = a.app.passwords.hash(ctx, replacement); err != nil {
		return err
	}
	return a.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if err := tx.SetPassword(ctx, user.ID, hash); err != nil {
			return err
		}
		if err := tx.DeleteSessions(ctx, user.ID, a.user.Session.ID); err != nil {
			return err
		}
		return a.app.record(ctx, tx, a.caller, domain.Event{Action: "user.password_changed", Target: userTarget(user)})
	})
}

// LogOut ends the session that the caller is signed in with.
func (a *Account) LogOut(ctx context.Context) error {
	return a.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		err := tx.DeleteSession(ctx, a.user.User.ID, a.user.Session.ID)
		if domain.CodeOf(err) == domain.CodeNotFound {
			return nil // a rival log-out was first
		}
		if err != nil {
			return err
		}
		return a.app.record(ctx, tx, a.caller, domain.Event{
			Action: "session.ended", Target: domain.Target{Kind: "session", ID: string(a.user.Session.ID), Name: a.user.User.Email},
		})
	})
}

func userTarget(u domain.User) domain.Target {
	return domain.Target{Kind: "user", ID: string(u.ID), Name: u.Email}
}
