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
// With a mail server the answer is the same for every address, and no one is
// signed in: the address gets a mail, to verify it or to say that there is an
// account already.
func (a *App) SignUp(ctx context.Context, from domain.Origin, s domain.SignUp) (SignedIn, error) {
	words, err := a.maySignUp(ctx, s)
	if err != nil {
		return SignedIn{}, err
	}
	may := a.mayMakeAccount
	if a.mailing.on {
		may = a.mayCauseMail
	}
	if err := may(from); err != nil {
		return SignedIn{}, err
	}
	user, hash, err := a.newUser(ctx, fair.Network(from.IP), s, words)
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
// invited is no secret. It returns the words that the invitation keeps out of the
// password. Without the token there are none: a refused password must not tell a
// stranger who invited an address.
func (a *App) maySignUp(ctx context.Context, s domain.SignUp) (words []string, err error) {
	if a.signup == SignupClosed {
		return nil, domain.Errorf(domain.CodeSignupClosed, "This instance does not take sign-ups. Ask its operator for an account.")
	}
	organization, invited, err := a.invitedTo(ctx, s)
	if err != nil {
		return nil, err
	}
	if !invited && a.signup == SignupInvite {
		return nil, domain.Errorf(domain.CodeSignupClosed,
			"This instance takes sign-ups by invitation only. Send the token of an invitation "+
				"for this email address; anyone who administers an organization here can make one.")
	}
	return []string{organization.Name, organization.Slug}, nil
}

// invitedTo returns the organization that the sign-up has the token of an
// invitation to, for its address, that can still be accepted.
func (a *App) invitedTo(ctx context.Context, s domain.SignUp) (o domain.Organization, invited bool, err error) {
	digest, ok := a.mailedTokenDigest(forInvitation, s.InvitationToken.Reveal())
	if !ok {
		return o, false, nil
	}
	v, organization, err := a.store.InvitationByDigest(ctx, digest)
	if err != nil {
		return o, false, ignoreNotFound(err)
	}
	if canonicalEmail(v.Email) != canonicalEmail(s.Email) || !v.AcceptedAt.IsZero() || !a.now().Before(v.ExpiresAt) {
		return o, false, nil
	}
	return organization, true, nil
}

// passwordWords are the words that a user's new password must not contain:
// those of the person, and the names of the organizations that they are in or
// have been invited to.
func (a *App) passwordWords(ctx context.Context, u domain.User) ([]string, error) {
	names, err := a.store.OrganizationNamesAround(ctx, u.ID, emailForms(u.Email))
	return append(domain.PersonalWords(u.Email, u.Name), names...), err
}

// Signup says who may make an account, and whether no one has yet become the
// instance's operator, which the first who signs up will.
func (a *App) Signup(ctx context.Context) (policy SignupPolicy, first bool, err error) {
	_, err = a.store.GetSetting(ctx, operatorSetting)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return a.signup, true, nil
	}
	return a.signup, false, err
}

// newUser returns the account that s asks for and the hash of its password, which
// must not contain the words.
func (a *App) newUser(ctx context.Context, network fair.Payer, s domain.SignUp, words []string) (domain.User, passwordHash, error) {
	s.Password = domain.Hidden(preparePassword(s.Password.Reveal()))
	if err := s.Validate(words); err != nil {
		return domain.User{}, passwordHash{}, err
	}
	hash, err := a.passwords.hash(ctx, hashing{network: network}, s.Password.Reveal())
	now := a.now()
	return domain.User{
		ID:        domain.NewID[domain.UserID](now),
		Kind:      domain.PersonUser,
		Email:     canonicalEmail(s.Email),
		Name:      s.Name,
		Status:    domain.Active,
		CreatedAt: now,
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

// Account returns the handle for the calling person's own account; forbidden to
// service accounts.
func (a *App) Account(_ context.Context, caller domain.Principal) (*Account, error) {
	user, ok := caller.User()
	if !ok {
		return nil, errAnonymous()
	}
	if err := requirePerson(caller); err != nil {
		return nil, err
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

// ChangePassword replaces the password of a person who knows the current one, and
// ends their other sessions. A wrong one gives invalid_credentials.
func (a *Account) ChangePassword(ctx context.Context, current, replacement string) error {
	var v domain.Invalid
	replacement = preparePassword(replacement)
	user := a.user.User
	words, err := a.app.passwordWords(ctx, user)
	if err != nil {
		return err
	}
	if v.Password("/new", replacement, words); len(v) > 0 {
		return v.Err()
	}
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

func userTarget(u domain.User) domain.Target {
	return domain.Target{Kind: "user", ID: string(u.ID), Name: u.Email}
}
