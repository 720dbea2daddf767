package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

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
	names, err := a.store.OrganizationNamesAround(ctx, "", emailForms(s.Email))
	if err != nil {
		return domain.User{}, err
	}
	user, hash, err := a.newUser(ctx, "", s, names)
	if err != nil {
		return domain.User{}, err
	}
	user.Operator, user.EmailVerified = operator, true // by the operator of the instance
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

// FindUser returns the account with an id or an email address. Only the
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
