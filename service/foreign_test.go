package service_test

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// slowRow is an import that makes every comparison cost as much as is allowed.
func slowRow(prefix string) domain.ImportRow {
	return domain.ImportRow{
		Name: "poison", Algorithm: domain.DjangoPBKDF2SHA256, Prefix: prefix,
		Hash: domain.Hidden(fmt.Sprintf("pbkdf2_sha256$%d$salt$%s", domain.MaxIterations,
			base64.StdEncoding.EncodeToString(make([]byte, 32)))),
	}
}

// Guarantees that what one tenant imported under another's public prefix costs
// the other nothing: no slow hash is computed for a token that a cheap one fits,
// nor for a project that verifies its own.
func TestPoisonousImports(t *testing.T) {
	onEach(t, func(w *world) {
		eve, first := w.tenant(w.signUp("eve@example.com"))
		projects := []domain.ProjectID{}
		own, err := first.Get()
		w.check(err)
		projects = append(projects, own.ID)
		for range 6 {
			p, err := eve.CreateProject(w.Context(), domain.ProjectSpec{Name: "P"})
			w.check(err)
			projects = append(projects, p.ID)
		}
		for _, id := range projects {
			if result := w.importRows(w.project(eve.Caller(), id), slowRow("dOwgmSHc")); result.Imported != 1 {
				w.Fatalf("got %+v", result)
			}
		}
		_, victim := w.tenant(w.signUp("ann@example.com"))
		w.importRows(victim, made(w.T, domain.DjangoSHA512, foreignToken))
		w.check(w.RefuseSlowHashes(w.Context()))
		for range 3 {
			w.answers(map[string]domain.Code{foreignToken: ""})
			v, err := victim.VerifyKey(w.Context(), service.Question{Token: foreignToken})
			if err != nil || !v.Valid() {
				w.Errorf("got %+v, %v, want valid", v, err)
			}
			v, err = victim.VerifyKey(w.Context(), service.Question{Token: "dOwgmSHc.a-guess"})
			if err != nil || v.Valid() {
				w.Errorf("a guess: got %+v, %v, want not_found without a hash", v, err)
			}
		}
	})
}

// Guarantees that a person cannot stand in front of another's key with many
// organizations, which cost nothing: theirs are compared last.
func TestManyOrganizationsWaitForOneKey(t *testing.T) {
	onEach(t, func(w *world) {
		eve := w.signUp("eve@example.com")
		for i := range 12 {
			_, project := w.tenant(eve)
			w.importRows(project, made(w.T, domain.DjangoPBKDF2SHA256, fmt.Sprint("dOwgmSHc.poison-", i)))
		}
		_, victim := w.tenant(w.signUp("ann@example.com"))
		w.importRows(victim, made(w.T, domain.DjangoPBKDF2SHA256, foreignToken))
		w.answers(map[string]domain.Code{foreignToken: ""})
	})
}

// Guarantees that a wrong token is hashed once however often it is sent, and once more
// after another key of its prefix was imported. No key is used here: the first use
// changes its hash to a fast one, after which wrong tokens are compared anew.
func TestWrongTokensAreRemembered(t *testing.T) {
	onEach(t, func(w *world) {
		const wrong = "dOwgmSHc.a-guess"
		for email, token := range map[string]string{"ann@example.com": foreignToken, "bob@example.com": "dOwgmSHc.of-bob"} {
			_, project := w.tenant(w.signUp(email))
			w.importRows(project, made(w.T, domain.DjangoPBKDF2SHA256, token))
			w.answers(map[string]domain.Code{wrong: domain.CodeInvalidAPIKey})
		}
		w.check(w.RefuseSlowHashes(w.Context()))
		for range 100 {
			w.answers(map[string]domain.Code{wrong: domain.CodeInvalidAPIKey})
		}
		w.answers(map[string]domain.Code{"dOwgmSHc.another": domain.CodeUnavailable})
	})
}

// Guarantees that a key imported later is found although its token was wrong before.
func TestWrongTokenIsRightOnceImported(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		w.importRows(project, made(w.T, domain.DjangoPBKDF2SHA256, foreignToken))
		const later = "dOwgmSHc.later"
		w.answers(map[string]domain.Code{later: domain.CodeInvalidAPIKey})
		_, other := w.tenant(w.signUp("bob@example.com"))
		w.importRows(other, made(w.T, domain.DjangoPBKDF2SHA256, later))
		w.answers(map[string]domain.Code{later: ""})
	})
}

// Guarantees that guessing at one prefix ends for the caller that guesses, not for others.
func TestGuessesAtAPrefixAreCharged(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		w.importRows(project, made(w.T, domain.DjangoPBKDF2SHA256, foreignToken))
		var refused int
		for i := range 100 {
			_, err := w.ProveKey(w.Context(), fmt.Sprint("dOwgmSHc.guess-", i), network("203.0.113.7"))
			if domain.CodeOf(err) == domain.CodeUnavailable {
				refused++
			}
		}
		if refused != 68 {
			w.Errorf("%d of 100 guesses of one network were refused, want those above 32", refused)
		}
		_, err := w.ProveKey(w.Context(), foreignToken, network("198.51.100.7"))
		w.check(err)
	})
}

// Guarantees that networks which guess at a prefix, and projects which verify what
// they imported under it, take no tries from the network of its rightful user.
func TestGuessesOfManyLeaveOthersTheirTries(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		eve, squatter := w.tenant(w.signUp("eve@example.com"))
		w.importRows(project, made(w.T, domain.DjangoPBKDF2SHA256, foreignToken))
		for range 5 {
			w.importRows(squatter, made(w.T, domain.DjangoPBKDF2SHA256, "dOwgmSHc.of-eve"))
			for i := range 32 {
				_, err := squatter.VerifyKey(w.Context(), service.Question{Token: fmt.Sprint("dOwgmSHc.guess-", i)})
				w.check(err)
			}
			squatter = w.NewProject(eve, "P")
		}
		for i := range 5 * 32 {
			_, err := w.ProveKey(w.Context(), fmt.Sprint("dOwgmSHc.guess-", i), network(fmt.Sprintf("203.0.%d.7", i%5)))
			if domain.CodeOf(err) != domain.CodeUnavailable {
				w.code(err, domain.CodeInvalidAPIKey)
			}
		}
		_, err := w.ProveKey(w.Context(), foreignToken, network("198.51.100.7"))
		w.check(err)
	})
}

// network is a sender.
type network string

func (n network) RealIP() string { return string(n) }
