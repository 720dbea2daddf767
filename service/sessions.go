package service

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/jwt"
)

// How long sessions live.
const (
	sessionIdle     = 14 * 24 * time.Hour // since the last refresh
	sessionAbsolute = 30 * 24 * time.Hour // since the sign-in
	refreshReplay   = 10 * time.Second    // how long the parent of a refresh token gets the same answer
)

// sessionsPerUser is how many sessions a user has at most. One more ends the one
// that was used least lately.
const sessionsPerUser = 100

// SignedIn is what a signed-in person's client needs: a program the two tokens,
// a browser the cookie. All three are secrets, and empty where signing up has
// signed no one in yet.
type SignedIn struct {
	AccessToken     string
	AccessLifetime  time.Duration
	RefreshToken    string
	RefreshLifetime time.Duration // if it is not used before
	Cookie          string        // see ProveSession
	User            domain.User
	Session         domain.Session
}

// LogIn starts a session for the person who knows the password. An address without
// an account and a wrong password give the same invalid_credentials, after the
// same work; too many wrong ones from an address, rate_limited. The audit trail
// has refused sign-ins to accounts, up to a ceiling.
func (a *App) LogIn(ctx context.Context, from domain.Origin, email, password string) (SignedIn, error) {
	email = canonicalEmail(email)
	user, hash, err := a.userByEmail(ctx, a.store, email)
	if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
		return SignedIn{}, err
	}
	in, err := a.logIn(ctx, from, email, password, user, hash)
	a.refusals.note(user, refusal{a.now(), from, refusalReason(user, err)})
	return in, err
}

// logIn is LogIn to the account that has the address, or to none.
func (a *App) logIn(
	ctx context.Context, from domain.Origin, email, password string, user domain.User, hash string,
) (SignedIn, error) {
	match, err := a.provePassword(ctx, from, email, user.ID, password, hash)
	if err != nil {
		return SignedIn{}, err
	}
	if !match || user.Status != domain.Active {
		return SignedIn{}, errWrongCredentials()
	}
	if a.mailing.on && !user.EmailVerified {
		if err := a.postRequested(ctx, a.store, mailVerification, user.Email, from); err != nil {
			return SignedIn{}, err
		}
		return SignedIn{}, domain.Errorf(domain.CodeEmailUnverified,
			"Confirm your email address first. An email with a link is on its way to it.")
	}
	var in SignedIn
	err = a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		// What was proved is worth nothing if the password was replaced, or the
		// account disabled, while it was being hashed.
		now, proved, err := tx.LockUser(ctx, user.ID)
		if err != nil || !a.keyring.samePassword(user.ID, proved, hash) || now.Status != domain.Active {
			return cmp.Or(err, errWrongCredentials())
		}
		if err := a.makeRoomForSession(ctx, tx, from, now); err != nil {
			return err
		}
		if in, err = a.startSession(ctx, tx, from, now); err != nil {
			return err
		}
		return a.record(ctx, tx, domain.NewPrincipal(nil, &domain.CallingUser{User: now, Session: in.Session}, from), domain.Event{
			Action: "session.created", Target: sessionTarget(in.Session.ID, now),
		})
	})
	return in, err
}

func errWrongCredentials() error {
	return domain.Refused(domain.CodeInvalidCredentials, "The email address or the password is wrong.")
}

// makeRoomForSession ends the sessions of a user, who is locked, that are one too
// many beside a new one.
func (a *App) makeRoomForSession(ctx context.Context, tx *repository.Store, from domain.Origin, user domain.User) error {
	displaced, err := tx.DisplaceSessions(ctx, user.ID, sessionsPerUser-1)
	if err != nil {
		return err
	}
	for _, id := range displaced {
		err := a.record(ctx, tx, domain.NewPrincipal(nil, &domain.CallingUser{User: user}, from), domain.Event{
			Action: "session.displaced", Target: sessionTarget(id, user),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// startSession begins a session of a user who has just proved themselves.
func (a *App) startSession(ctx context.Context, tx *repository.Store, from domain.Origin, user domain.User) (SignedIn, error) {
	now := a.now()
	session := domain.Session{
		ID:         domain.NewID[domain.SessionID](now),
		UserID:     user.ID,
		CreatedAt:  now,
		LastUsedAt: now,
		ExpiresAt:  now.Add(sessionAbsolute),
		IP:         from.IP,
		UserAgent:  from.UserAgent,
	}
	bound, err := a.bindsToUsers(ctx, tx)
	if err != nil {
		return SignedIn{}, err
	}
	token := a.newRefreshToken(session.ID, randomBytes(32))
	session.RefreshDigest = a.refreshDigest(bound, user.ID, token)
	if err := tx.CreateSession(ctx, session); err != nil {
		return SignedIn{}, err
	}
	return a.signedIn(bound, user, session, token)
}

// signedIn issues an access token beside the session's refresh token.
func (a *App) signedIn(bound bool, user domain.User, session domain.Session, refresh refreshToken) (SignedIn, error) {
	now := a.now()
	access, err := a.keySet().Sign(jwt.Claims{User: user.ID, Session: session.ID, IssuedAt: now, ExpiresAt: now.Add(jwt.Lifetime)})
	if err != nil {
		return SignedIn{}, err
	}
	return SignedIn{
		AccessToken:     access,
		AccessLifetime:  jwt.Lifetime,
		RefreshToken:    string(refresh),
		RefreshLifetime: min(sessionIdle, session.ExpiresAt.Sub(now)),
		Cookie:          a.newCookie(bound, session.ID, user.ID),
		User:            user,
		Session:         session,
	}, nil
}

// ListSessions returns the sessions that the person is signed in with, newest
// first.
func (a *Account) ListSessions(ctx context.Context, p domain.Page) (domain.List[domain.Session], error) {
	now := a.app.now()
	return a.app.store.ListSessions(ctx, a.user.User.ID, now, now.Add(-sessionIdle), p)
}

// forgetEnded removes sessions that have run their time or idled out, and mailed
// tokens that have expired.
func (a *App) forgetEnded(ctx context.Context) error {
	now := a.now()
	return errors.Join(a.store.ForgetSessions(ctx, now, now.Add(-sessionIdle)), a.store.ForgetMailedTokens(ctx, now))
}

// LogOut ends the session that the caller is signed in with.
func (a *Account) LogOut(ctx context.Context) error {
	err := a.endSession(ctx, a.user.Session.ID, "session.ended")
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil // another log-out was first
	}
	return err
}

// RevokeSession ends one of the person's sessions, including the current one;
// not_found for all sessions that are not theirs.
func (a *Account) RevokeSession(ctx context.Context, id domain.SessionID) error {
	return a.endSession(ctx, id, "session.revoked")
}

func (a *Account) endSession(ctx context.Context, id domain.SessionID, action string) error {
	return a.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if err := tx.DeleteSession(ctx, a.user.User.ID, id); err != nil {
			return err
		}
		return a.app.record(ctx, tx, a.caller, domain.Event{Action: action, Target: sessionTarget(id, a.user.User)})
	})
}

// RevokeOtherSessions ends all of the person's sessions but the present one.
func (a *Account) RevokeOtherSessions(ctx context.Context) error {
	return a.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		ended, err := tx.DeleteSessions(ctx, a.user.User.ID, a.user.Session.ID)
		if err != nil || ended == 0 {
			return err
		}
		return a.app.record(ctx, tx, a.caller, domain.Event{
			Action: "session.others_revoked", Target: userTarget(a.user.User), Changes: domain.Changes{"sessions": {ended, 0}},
		})
	})
}

func sessionTarget(id domain.SessionID, u domain.User) domain.Target {
	return domain.Target{Kind: "session", ID: string(id), Name: u.Email}
}

// Refresh exchanges a refresh token for its successor and a new access token. A
// token is good once; within ten seconds it brings the same successor again, for
// a client that lost the answer. Used later, it is in two hands: the session
// ends, and the audit trail says so.
func (a *App) Refresh(ctx context.Context, from domain.Origin, text string) (SignedIn, error) {
	token, id, ok := a.parseRefreshToken(text)
	if !ok {
		return SignedIn{}, refreshRefused()
	}
	caller, err := a.store.CallingUser(ctx, id)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return SignedIn{}, refreshRefused()
	}
	if err != nil {
		return SignedIn{}, err
	}
	now := a.now()
	if caller.User.Status != domain.Active || sessionEnded(caller.Session, now) {
		return SignedIn{}, refreshRefused()
	}
	bound, err := a.bindsToUsers(ctx, a.store)
	if err != nil {
		return SignedIn{}, err
	}
	successor := a.newRefreshToken(id, a.keyring.refresh.sum("successor", string(token)))
	if !a.refreshes(caller, caller.Session.RefreshDigest, token) {
		return a.replayRefresh(ctx, from, bound, token, successor, id)
	}
	err = a.store.RotateRefresh(ctx, id, caller.Session.RefreshDigest, a.refreshDigest(bound, caller.User.ID, successor), now)
	if domain.CodeOf(err) == domain.CodeConflict {
		return a.replayRefresh(ctx, from, bound, token, successor, id)
	}
	if err != nil {
		return SignedIn{}, err
	}
	return a.signedIn(bound, caller.User, caller.Session, successor)
}

// replayRefresh answers a refresh token that was issued here and is not its
// session's current one.
func (a *App) replayRefresh(
	ctx context.Context, from domain.Origin, bound bool, token, successor refreshToken, id domain.SessionID,
) (SignedIn, error) {
	caller, err := a.store.CallingUser(ctx, id)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return SignedIn{}, refreshRefused()
	}
	if err != nil {
		return SignedIn{}, err
	}
	if a.refreshes(caller, caller.Session.PreviousDigest, token) && a.now().Sub(caller.Session.RotatedAt) <= refreshReplay {
		return a.signedIn(bound, caller.User, caller.Session, successor)
	}
	err = a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if err := tx.DeleteSession(ctx, caller.User.ID, id); err != nil {
			return err
		}
		if err := a.postNotice(ctx, tx, "session-ended", caller.User, "One of your sessions has been ended",
			"A refresh token of yours was used that had been used before, so its session has been ended", from); err != nil {
			return err
		}
		return a.record(ctx, tx, domain.NewPrincipal(nil, &caller, from), domain.Event{
			Action: "session.reuse_detected", Target: sessionTarget(id, caller.User),
		})
	})
	if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
		return SignedIn{}, err
	}
	return SignedIn{}, refreshRefused()
}

func refreshRefused() error {
	return domain.Refused(domain.CodeInvalidToken, "The refresh token is not valid, or its session has ended. Sign in again.")
}

// sessionEnded reports whether a session has idled out or run its time.
func sessionEnded(s domain.Session, now time.Time) bool {
	return !now.Before(s.ExpiresAt) || now.Sub(s.LastUsedAt) > sessionIdle
}
