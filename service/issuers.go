package service

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/jwt"
)

// Issuer is a project as the issuer of access tokens of its keys. Each has its own
// address and its own signing keys: no verifier, however lax, takes a token of
// another project.
type Issuer struct {
	app     *App
	project domain.Project
}

// Issuer returns the issuer of a project, which anyone may ask about. A look-up of an
// id that does not exist is charged to the network of the sender. Errors: not_found,
// unavailable.
func (a *App) Issuer(ctx context.Context, id domain.ProjectID, from Sender) (Issuer, error) {
	copies, err := a.mayUseCopies()
	if err != nil {
		return Issuer{}, err
	}
	if copies {
		if known, ok := a.near.issuers.Get(id); ok {
			return Issuer{a, *known}, nil
		}
	}
	now, payer := a.now(), asker{from: from}.payer()
	if !a.near.keys.TakeFutile(payer, now) {
		return Issuer{}, domain.Unavailable(errors.New("too many unknown projects"))
	}
	read := func(ctx context.Context) (domain.Project, error) { return a.store.GetProject(ctx, id) }
	var project *domain.Project
	if copies {
		project, err = a.near.issuers.Load(ctx, id, read)
	} else {
		var found domain.Project
		found, err = read(ctx)
		project = &found
	}
	if domain.CodeOf(err) != domain.CodeNotFound {
		a.near.keys.GiveBackFutile(payer)
	}
	if err != nil {
		return Issuer{}, err
	}
	return Issuer{a, *project}, nil
}

// ProjectPath is the path of a project, which is that of its issuer.
func ProjectPath(id domain.ProjectID) string { return "/v1/projects/" + string(id) }

// URL returns the identifier of the issuer, which is the address of its project.
func (i Issuer) URL() string {
	return strings.TrimRight(i.app.publicURL, "/") + ProjectPath(i.project.ID)
}

// Audience returns whom tokens are for: what the project says, or else the issuer.
func (i Issuer) Audience() string {
	if i.project.Audience != "" {
		return i.project.Audience
	}
	return i.URL()
}

// HasAudience reports whether the project says whom tokens are for.
func (i Issuer) HasAudience() bool { return i.project.Audience != "" }

// IssuerKeysAge is how long a copy of an issuer's keys may be kept. Each key is
// published a quarter of a year before it signs.
const IssuerKeysAge = 5 * time.Minute

// Keys returns the keys that tokens of the issuer are signed by: of this quarter of
// the year, which signs, of the one before and of the next one.
func (i Issuer) Keys() ([]jwt.ProjectKey, error) {
	quarter := quarterOf(i.app.now())
	keys := make([]jwt.ProjectKey, 0, 3)
	for _, q := range []int{quarter, quarter - 1, quarter + 1} {
		k, err := i.app.issuing.key(i.app.keyring, i.project, q)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// quarterOf numbers the quarters of years.
func quarterOf(t time.Time) int { return 4*t.UTC().Year() + int(t.UTC().Month()-1)/3 }

// projectKeys keeps derived keys, since each costs as much as a signature.
type projectKeys struct {
	mu    sync.Mutex
	known map[projectEpoch]jwt.ProjectKey
}

// projectEpoch names one key of a project.
type projectEpoch struct {
	project domain.ProjectID
	epoch   int64 // the project's own
	quarter int
}

const maxProjectKeys = 1 << 14 // of about 500 bytes

func (k *projectKeys) key(ring *keyring, p domain.Project, quarter int) (jwt.ProjectKey, error) {
	epoch := projectEpoch{p.ID, p.TokenEpoch, quarter}
	k.mu.Lock()
	defer k.mu.Unlock()
	if known, ok := k.known[epoch]; ok {
		return known, nil
	}
	made, err := ring.projectKey(epoch)
	if err != nil {
		return made, err
	}
	if k.known == nil || len(k.known) >= maxProjectKeys {
		k.known = map[projectEpoch]jwt.ProjectKey{}
	}
	k.known[epoch] = made
	return made, nil
}

// projectKey derives a signing key of a project: HKDF-SHA-256 (RFC 5869).
func (k *keyring) projectKey(e projectEpoch) (jwt.ProjectKey, error) {
	const seed = 48
	info := fmt.Sprintf("%s\x00%d\x00%d", e.project, e.epoch, e.quarter)
	raw, err := hkdf.Expand(sha256.New, k.issuers, info, seed)
	if err != nil {
		return jwt.ProjectKey{}, err
	}
	return jwt.NewProjectKey(raw)
}
