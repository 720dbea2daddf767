package service

import (
	"cmp"
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/fair"
)

// operatorSetting names the first account, which may see the instance page.
const operatorSetting = "operator"

// SignUp makes an account and signs it in. The first account of an instance is
// its operator. Errors: signup_closed, conflict for an address that has an
// account, validation_failed, rate_limited for too many from a network.
//
// With a mail server the answer is the same for every address, and nobody is
// signed in: the address gets a mail, to verify it or to say that there is an
// account already.
func (a *App) SignUp(ctx context.Context, from domain.Origin, s domain.SignUp) (SignedIn, error) {
	if err := a.maySignUp(ctx, s); err != nil {
		return SignedIn{}, err
	}
	may := a.mayMakeAccount
	if a.mailing.on {
		may = a.mayCauseMail
	}
	if err := may(from); err != nil {
		return SignedIn{}, err
	}
	user, hash, err := a.newUser(ctx, fair.Network(from.IP), s)
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
		err = a.addUser(ctx, tx, domain.NewPrincipal(nil, &domain.CallingUser{User: user}, from), user, hash)
		switch {
		case a.mailing.on && err == nil:
			return a.postRequested(ctx, tx, mailVerification, user.Email, from)
		case a.mailing.on && domain.CodeOf(err) == domain.CodeConflict && !user.Operator:
			return a.postRequested(ctx, tx, mailAccountExists, user.Email, from)
		case err != nil:
			return err
		}
		in, err = a.startSession(ctx, tx, from, user)
		return err
	})
	return in, err
}

// maySignUp returns signup_closed unless the policy lets the person in. Where
// that takes an invitation, its token is what proves it: an address that was
// invited is no secret.
func (a *App) maySignUp(ctx context.Context, s domain.SignUp) error {
	switch a.signup {
	case SignupOpen:
		return nil
	case SignupInvite:
		invited, err := a.isInvited(ctx, s)
		if err != nil || invited {
			return err
		}
		return domain.Errorf(domain.CodeSignupClosed, "This instance takes sign-ups by invitation only. Send the token of an invitation "+
			"for this email address; anyone who administers an organization here can make one.")
	}
	return domain.Errorf(domain.CodeSignupClosed, "This instance does not take sign-ups. Ask its operator for an account.")
}

// isInvited reports whether the sign-up has the token of an invitation for its
// address that can still be accepted.
func (a *App) isInvited(ctx context.Context, s domain.SignUp) (bool, error) {
	digest, ok := a.mailedTokenDigest(forInvitation, s.InvitationToken.Reveal())
	if !ok {
		return false, nil
	}
	v, _, err := a.store.InvitationByDigest(ctx, digest)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return canonicalEmail(v.Email) == canonicalEmail(s.Email) && v.AcceptedAt.IsZero() && a.now().Before(v.ExpiresAt), nil
}

// Signup says who may make an account, and whether nobody has yet become the
// instance's operator, which the first who signs up will.
func (a *App) Signup(ctx context.Context) (policy SignupPolicy, first bool, err error) {
	_, err = a.store.GetSetting(ctx, operatorSetting)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return a.signup, true, nil
	}
	return a.signup, false, err
}

// newUser returns the account that s asks for and the hash of its password.
func (a *App) newUser(ctx context.Context, network fair.Payer, s domain.SignUp) (domain.User, passwordHash, error) {
	s.Password = domain.Hidden(preparePassword(s.Password.Reveal()))
	if err := s.Validate(); err != nil {
		return domain.User{}, passwordHash{}, err
	}
	hash, err := a.passwords.hash(ctx, hashing{network: network}, s.Password.Reveal())
	now := a.now()
	return domain.User{
		ID: domain.NewID[domain.UserID](now), Email: canonicalEmail(s.Email), Name: s.Name, Status: domain.Active, CreatedAt: now,
	}, hash, err
}

func (a *App) addUser(ctx context.Context, tx *repository.Store, caller domain.Principal, user domain.User, hash passwordHash) error {
	// An account of 0.1 may have the other form of the same address.
	if _, _, err := a.userByEmail(ctx, tx, user.Email); err == nil {
		return errAddressTaken()
	} else if domain.CodeOf(err) != domain.CodeNotFound {
		return err
	}
	stored, err := a.stored(ctx, tx, user.ID, hash)
	if err != nil {
		return err
	}
	err = tx.CreateUser(ctx, user, stored)
	if domain.CodeOf(err) == domain.CodeConflict {
		return errAddressTaken()
	}
	if err != nil {
		return err
	}
	return a.record(ctx, tx, caller, domain.Event{Action: "user.created", Target: userTarget(user)})
}

func errAddressTaken() *domain.Error {
	return domain.Errorf(domain.CodeConflict, "There is an account with this email address already.")
}

// stored returns the form in which a new hash is stored.
func (a *App) stored(ctx context.Context, tx *repository.Store, user domain.UserID, hash passwordHash) (string, error) {
	bound, err := a.bindsToUsers(ctx, tx)
	if bound {
		hash = a.keyring.bind(user, hash)
	}
	return hash.String(), err
}

func (a *App) storePassword(ctx context.Context, tx *repository.Store, user domain.UserID, hash passwordHash) error {
	stored, err := a.stored(ctx, tx, user, hash)
	if err != nil {
		return err
	}
	return tx.SetPassword(ctx, user, stored)
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
	var after domain.User
	err := a.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		// Who is calling may be a copy from before the account was disabled.
		before, _, err := tx.LockUser(ctx, a.user.User.ID)
		if domain.CodeOf(err) == domain.CodeNotFound || err == nil && before.Status != domain.Active {
			return signedOut()
		}
		if err != nil {
			return err
		}
		after = before
		after.Name = name
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
	replacement = preparePassword(replacement)
	if v.Password("/new", replacement, domain.PersonalWords(a.user.User.Email, a.user.User.Name)); len(v) > 0 {
		return v.Err()
	}
	user := a.user.User
	_, hash, err := a.app.store.GetUserByEmail(ctx, user.Email)
	if err != nil {
		return err
	}
	wrong := domain.Refused(domain.CodeInvalidCredentials, "The current password is wrong.")
	match, err := a.app.provePassword(ctx, a.caller.Origin(), user.Email, user.ID, current, hash)
	if err != nil || !match {
		return cmp.Or(err, error(wrong))
	}
	successor, err := a.app.passwords.hash(ctx, hashing{user.Email, fair.Network(a.caller.Origin().IP)}, replacement)
	if err != nil {
		return err
	}
	return a.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if _, proved, err := tx.LockUser(ctx, user.ID); err != nil || !a.app.keyring.samePassword(user.ID, proved, hash) {
			return cmp.Or(err, error(wrong)) // another change was first
		}
		if err := a.app.storePassword(ctx, tx, user.ID, successor); err != nil {
			return err
		}
		if _, err := tx.DeleteSessions(ctx, user.ID, a.user.Session.ID); err != nil {
			return err
		}
		if err := a.app.postNotice(ctx, tx, "password-changed", user, "Your password has been changed",
			"The password of your account has been changed", a.caller.Origin()); err != nil {
			return err
		}
		return a.app.record(ctx, tx, a.caller, domain.Event{Action: "user.password_changed", Target: userTarget(user)})
	})
}

// CreateUser makes an account for another person, whatever the sign-up policy
// says. Only the command line may.
func (a *App) CreateUser(ctx context.Context, caller domain.Principal, s domain.SignUp, operator bool) (domain.User, error) {
	return a.createUser(ctx, caller, s, operator, func(ctx context.Context, tx *repository.Store, user domain.User) error {
		// Those who sign up later are not the first any more.
		err := tx.AddSetting(ctx, operatorSetting, []byte(user.ID))
		if domain.CodeOf(err) == domain.CodeConflict {
			return nil
		}
		return err
	})
}

// CreateGuest is like CreateUser, but the first person who signs up still
// becomes the operator.
func (a *App) CreateGuest(ctx context.Context, caller domain.Principal, s domain.SignUp) (domain.User, error) {
	return a.createUser(ctx, caller, s, false, func(context.Context, *repository.Store, domain.User) error { return nil })
}

func (a *App) createUser(
	ctx context.Context, caller domain.Principal, s domain.SignUp, operator bool,
	claim func(context.Context, *repository.Store, domain.User) error,
) (domain.User, error) {
	if err := requireSystem(caller); err != nil {
		return domain.User{}, err
	}
	user, hash, err := a.newUser(ctx, "", s)
	if err != nil {
		return domain.User{}, err
	}
	user.Operator, user.EmailVerified = operator, true // by whoever runs the instance
	err = a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if err := claim(ctx, tx, user); err != nil {
			return err
		}
		return a.addUser(ctx, tx, caller, user, hash)
	})
	return user, err
}

// ListUsers returns all accounts of the instance, newest first. Only the
// command line may.
func (a *App) ListUsers(ctx context.Context, caller domain.Principal, p domain.Page) (domain.List[domain.User], error) {
	if err := requireSystem(caller); err != nil {
		return domain.List[domain.User]{}, err
	}
	return a.store.ListUsers(ctx, p)
}

// FindUser returns the account with an id or an e-mail address. Only the
// command line may.
func (a *App) FindUser(ctx context.Context, caller domain.Principal, idOrEmail string) (domain.User, error) {
	if err := requireSystem(caller); err != nil {
		return domain.User{}, err
	}
	if id, err := domain.ParseID[domain.UserID](idOrEmail); err == nil {
		return a.store.GetUser(ctx, id)
	}
	user, _, err := a.userByEmail(ctx, a.store, idOrEmail)
	return user, err
}

// SetUserStatus disables an account, which ends all its sessions, or enables it
// again. Only the command line may.
func (a *App) SetUserStatus(ctx context.Context, caller domain.Principal, id domain.UserID, status domain.Status) (domain.User, error) {
	if user, err := a.FindUser(ctx, caller, string(id)); err != nil || user.Status == status {
		return user, err
	}
	return a.changeUser(ctx, caller, id, "user.updated", func(tx *repository.Store, u domain.User) (domain.User, error) {
		u.Status = status
		return u, tx.UpdateUser(ctx, u)
	})
}

// SetOperator makes an account the operator's, who may see the instance page, or
// takes that from it, and signs it out everywhere. Only the command line may.
func (a *App) SetOperator(ctx context.Context, caller domain.Principal, id domain.UserID, operator bool) (domain.User, error) {
	return a.changeUser(ctx, caller, id, "user.updated", func(tx *repository.Store, u domain.User) (domain.User, error) {
		u.Operator = operator
		err := tx.AddSetting(ctx, operatorSetting, []byte(u.ID)) // those who sign up later are not the first any more
		if err != nil && domain.CodeOf(err) != domain.CodeConflict {
			return u, err
		}
		return u, tx.UpdateUser(ctx, u)
	})
}

// changeUser changes another person's account and ends its sessions, which were
// begun on other terms.
func (a *App) changeUser(
	ctx context.Context, caller domain.Principal, id domain.UserID, action string,
	change func(*repository.Store, domain.User) (domain.User, error),
) (domain.User, error) {
	if err := requireSystem(caller); err != nil {
		return domain.User{}, err
	}
	var user domain.User
	err := a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		before, _, err := tx.LockUser(ctx, id)
		if err != nil {
			return err
		}
		if user, err = change(tx, before); err != nil {
			return err
		}
		if _, err := tx.DeleteSessions(ctx, id, ""); err != nil {
			return err
		}
		changes := domain.Diff(
			map[string]any{"status": before.Status, "operator": before.Operator},
			map[string]any{"status": user.Status, "operator": user.Operator})
		return a.record(ctx, tx, caller, domain.Event{Action: action, Target: userTarget(user), Changes: changes})
	})
	return user, err
}

func userTarget(u domain.User) domain.Target {
	return domain.Target{Kind: "user", ID: string(u.ID), Name: u.Email}
}
