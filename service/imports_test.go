package service_test

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// made returns a row as another system would have stored the token.
func made(t *testing.T, algorithm domain.Algorithm, token string) domain.ImportRow {
	t.Helper()
	row := domain.ImportRow{Name: "from elsewhere", Algorithm: algorithm}
	digest := sha256.Sum256([]byte(token))
	switch algorithm {
	case domain.DjangoSHA512:
		long := sha512.Sum512([]byte(token))
		row.Hash = domain.Hidden("sha512$$" + hex.EncodeToString(long[:]))
	case domain.DjangoPBKDF2SHA256:
		key, err := pbkdf2.Key(sha256.New, token, []byte("NaCl"), 1000, 32)
		if err != nil {
			t.Fatal(err)
		}
		row.Hash = domain.Hidden("pbkdf2_sha256$1000$NaCl$" + base64.StdEncoding.EncodeToString(key))
	case domain.DjangoArgon2, domain.DjangoBcryptSHA256, domain.DjangoScrypt:
		if token != foreignToken {
			t.Fatalf("no hash of %s by %s is at hand", token, algorithm)
		}
		row.Hash = django5[algorithm]
	case domain.SHA256Hex:
		row.Hash = domain.Hidden(hex.EncodeToString(digest[:]))
		return row
	case domain.SHA256Base64URL:
		row.Hash = domain.Hidden(base64.RawURLEncoding.EncodeToString(digest[:]))
		return row
	}
	row.Prefix, _, _ = strings.Cut(token, ".")
	return row
}

// django5 are hashes of foreignToken that Django 5.2.19 made with the hashers of
// django.contrib.auth, argon2-cffi and bcrypt.
var django5 = map[domain.Algorithm]domain.Hidden{
	domain.DjangoArgon2: "argon2$argon2id$v=19$m=102400,t=2,p=8$" +
		"dENSaGFJem16RHpVaTlvcTA2eGZ4Wg$1xuzuYQ9j+SnWW91GmXuCzo/wXwR/99vhmVtmKOPJn0",
	domain.DjangoBcryptSHA256: "bcrypt_sha256$$2b$12$VEGRajhTB1kM6dQvmLmNFu4wQdOzN1770SZBOlC/so0yEtM3eLxjW",
	domain.DjangoScrypt: "scrypt$16384$00gQJcuugwRTLjI7rnxIZP$8$5$" +
		"6jejCGypY8Qh52TB2L/qHv6jBcXpmbJ/NqKPl9jgqkdJrm/K5n+8zXP3J+kBqio97CVgAklv8++Yuj4CI3oclg==",
}

const foreignToken = "dOwgmSHc.8l3xMZ2XoFzfRCzwPIeGCBzS5ZWqvW3N"

func (w *world) importRows(p *service.Project, rows ...domain.ImportRow) domain.ImportResult {
	w.Helper()
	result, err := p.ImportKeys(w.Context(), slices.Values(rows))
	w.check(err)
	return result
}

// stored returns the one secret of the project's only key, as it is stored.
func (w *world) stored(p *service.Project) (domain.Key, domain.Secret) {
	w.Helper()
	list, err := p.ListKeys(w.Context(), domain.KeyFilter{}, domain.Page{Limit: 10})
	w.check(err)
	project, err := p.Get()
	w.check(err)
	if len(list.Items) != 1 {
		w.Fatalf("got %d keys, want 1", len(list.Items))
	}
	secrets, err := w.Store.LiveSecrets(w.Context(), project.Scope(), list.Items[0].ID, w.Now())
	w.check(err)
	return list.Items[0], secrets[0]
}

// Guarantees that a client keeps using the token it has, that its first good
// use replaces the hash by ours, and that this changes nothing else.
func TestImportKeys(t *testing.T) {
	for _, algorithm := range domain.ImportAlgorithms {
		t.Run(string(algorithm), func(t *testing.T) {
			onEach(t, func(w *world) {
				_, project := w.tenant(w.signUp("ann@example.com"))
				row := made(w.T, algorithm, foreignToken)
				row.Environment, row.Scopes, row.ExternalID = domain.Test, []domain.Scope{"documents:read"}, "cust_7"
				row.Metadata, row.CreatedAt = map[string]string{"from": "django"}, w.Now().Add(-time.Hour)
				row.ExpiresAt = w.Now().Add(time.Hour)
				if diff := cmp.Diff(domain.ImportResult{Imported: 1}, w.importRows(project, row)); diff != "" {
					w.Fatal(diff)
				}
				key, before := w.stored(project)
				if bytes := string(before.Digest); strings.Contains(row.Hash.Reveal(), hex.EncodeToString(before.Digest)) ||
					strings.Contains(row.Hash.Reveal(), bytes) || before.Algorithm != algorithm {
					w.Errorf("the hash is stored as it came: %+v", before)
				}
				w.answers(map[string]domain.Code{
					foreignToken + "x": domain.CodeInvalidAPIKey, foreignToken[:len(foreignToken)-1]: domain.CodeInvalidAPIKey,
					row.Hash.Reveal() + strings.Repeat(" ", 20): domain.CodeInvalidAPIKey,
					strings.ToLower(foreignToken):               domain.CodeInvalidAPIKey,
				})
				_, wrapped := w.stored(project)
				if diff := cmp.Diff(before, wrapped); diff != "" {
					w.Errorf("a wrong token changed what is stored: %s", diff)
				}

				calling, err := w.ProveKey(w.Context(), foreignToken, nil)
				w.check(err)
				if diff := cmp.Diff(key, calling.Key()); diff != "" {
					w.Error(diff)
				}
				after, ours := w.stored(project)
				after.LastUsedAt = time.Time{} // recorded since, or not yet
				if diff := cmp.Diff(key, after); diff != "" {
					w.Errorf("the first use changed the key: %s", diff)
				}
				if ours.Algorithm != domain.HMACSHA256 || ours.Parameters != "" || string(ours.Digest) == string(before.Digest) {
					w.Errorf("got %+v, want one of Latchkey's digests", ours)
				}
				w.answers(map[string]domain.Code{foreignToken: "", foreignToken + "x": domain.CodeInvalidAPIKey})
				if diff := cmp.Diff(domain.ImportResult{Unchanged: 1}, w.importRows(project, row)); diff != "" {
					w.Error(diff)
				}
				w.Pass(time.Hour)
				w.answers(map[string]domain.Code{foreignToken: domain.CodeKeyExpired})
			})
		})
	}
}

// Guarantees that good rows of a batch are taken although others are bad, and
// that each bad one is named with its field.
func TestImportBadRows(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		good := func(token string) domain.ImportRow { return made(w.T, domain.DjangoSHA512, token) }
		bad := func(change func(*domain.ImportRow)) domain.ImportRow {
			row := good(foreignToken)
			change(&row)
			return row
		}
		rows := []domain.ImportRow{
			good("first.secret"),
			bad(func(r *domain.ImportRow) { r.Name = "" }),
			bad(func(r *domain.ImportRow) { r.Algorithm = "md5" }),
			bad(func(r *domain.ImportRow) { r.Hash = r.Hash[:100] }),
			bad(func(r *domain.ImportRow) { r.Prefix = "" }),
			bad(func(r *domain.ImportRow) { r.Prefix = "a.b" }),
			bad(func(r *domain.ImportRow) { r.Environment = "prod" }),
			bad(func(r *domain.ImportRow) { r.Scopes = []domain.Scope{"documents:read", "keys:import"} }),
			bad(func(r *domain.ImportRow) { r.Metadata = map[string]string{"": "x"} }),
			bad(func(r *domain.ImportRow) { r.ExpiresAt = time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC) }),
			bad(func(r *domain.ImportRow) { r.CreatedAt = time.Date(10000, 1, 1, 0, 0, 0, 1, time.UTC) }),
			good("last.secret"),
			good("first.other"), // the prefix is taken by another hash
		}
		want := domain.ImportResult{Imported: 2}
		for i, field := range []string{
			1: "/name", 2: "/algorithm", 3: "/hash", 4: "/prefix", 5: "/prefix", 6: "/environment", 7: "/scopes/1", 8: "/metadata",
			9: "/expires_at", 10: "/created_at", 12: "/prefix",
		} {
			if field != "" {
				want.Errors = append(want.Errors, domain.FieldError{Pointer: fmt.Sprintf("/%d%s", i, field)})
			}
		}
		got := w.importRows(project, rows...)
		for i := range got.Errors {
			got.Errors[i].Detail = ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			w.Error(diff)
		}
		w.answers(map[string]domain.Code{"first.secret": "", "last.secret": "", foreignToken: domain.CodeInvalidAPIKey,
			"first.other": domain.CodeInvalidAPIKey})

		for _, hash := range []string{
			"", "pbkdf2_sha256$1000$salt", "pbkdf2_sha256$0$salt$" + strings.Repeat("A", 43) + "=",
			"pbkdf2_sha256$1000001$salt$" + strings.Repeat("A", 43) + "=",
			"pbkdf2_sha256$1000$$" + strings.Repeat("A", 43) + "=", "pbkdf2_sha1$1000$salt$" + strings.Repeat("A", 43) + "=",
			"pbkdf2_sha256$1000$salt$AAAA",
			"sha512$$" + strings.Repeat("0", 127) + "g", strings.Repeat("0", 128),
		} {
			for _, algorithm := range domain.ImportAlgorithms {
				row := domain.ImportRow{Name: "k", Algorithm: algorithm, Hash: domain.Hidden(hash), Prefix: "p"}
				if result := w.importRows(project, row); len(result.Errors) != 1 || result.Errors[0].Pointer != "/0/hash" {
					w.Errorf("%s %q: got %+v, want a complaint about the hash", algorithm, hash, result)
				}
			}
		}
	})
}

// Guarantees that no one imports a key that may do what they may not, and that a
// key imports nothing at all.
func TestImportNoEscalation(t *testing.T) {
	onEach(t, func(w *world) {
		org, project := w.tenant(w.signUp("ann@example.com"))
		p, err := project.Get()
		w.check(err)
		bob := w.signUp("bob@example.com")
		user, _ := bob.User()
		o, err := org.Get()
		w.check(err)
		w.check(w.Store.AddMember(w.Context(), o.Scope(),
			domain.Membership{UserID: user.User.ID, Role: domain.Developer, JoinedAt: w.Now()}))
		row := made(w.T, domain.SHA256Hex, foreignToken)
		row.Scopes = []domain.Scope{domain.ProjectWrite} // which admins hold
		if result := w.importRows(w.project(bob, p.ID), row); len(result.Errors) != 1 || result.Errors[0].Pointer != "/0/scopes" {
			w.Errorf("got %+v, want the scope refused", result)
		}
		_, _, strong := w.key(project, domain.KeysWrite)
		_, err = w.project(strong, "").ImportKeys(w.Context(), slices.Values([]domain.ImportRow{row}))
		w.code(err, domain.CodeForbidden)
		w.answers(map[string]domain.Code{foreignToken: domain.CodeInvalidAPIKey})
	})
}

// Guarantees that importing again brings nothing back that has ended here.
func TestImportEnded(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		row := made(w.T, domain.DjangoSHA512, foreignToken)
		w.importRows(project, row)
		key, _ := w.stored(project)
		_, err := project.RevokeKey(w.Context(), key.ID, "")
		w.check(err)
		if diff := cmp.Diff(domain.ImportResult{Unchanged: 1}, w.importRows(project, row)); diff != "" {
			w.Error(diff)
		}
		w.answers(map[string]domain.Code{foreignToken: domain.CodeKeyRevoked})
		w.check(project.DeleteKey(w.Context(), key.ID))
		if result := w.importRows(project, row); len(result.Errors) != 1 || result.Errors[0].Pointer != "/0/hash" {
			w.Errorf("got %+v, want the hash of a deleted key refused", result)
		}
		w.answers(map[string]domain.Code{foreignToken: domain.CodeInvalidAPIKey})

		revoked := made(w.T, domain.DjangoSHA512, "was.revoked")
		revoked.Revoked = true
		w.importRows(project, revoked)
		w.answers(map[string]domain.Code{"was.revoked": domain.CodeKeyRevoked})
	})
}

// An import of many rows is many small transactions, each with its event.
func TestImportEvents(t *testing.T) {
	onEach(t, func(w *world) {
		org, project := w.tenant(w.signUp("ann@example.com"))
		rows := make([]domain.ImportRow, 1200)
		for i := range rows {
			rows[i] = made(w.T, domain.SHA256Hex, fmt.Sprint("token ", i))
		}
		if diff := cmp.Diff(domain.ImportResult{Imported: 1200}, w.importRows(project, rows...)); diff != "" {
			w.Fatal(diff)
		}
		if diff := cmp.Diff(domain.ImportResult{Unchanged: 1200}, w.importRows(project, rows...)); diff != "" {
			w.Fatal(diff)
		}
		events, err := org.ListEvents(w.Context(), domain.EventFilter{Action: "keys.imported"}, domain.Page{Limit: 10})
		w.check(err)
		var counts []string
		for _, e := range events.Items {
			counts = append(counts, fmt.Sprint(e.Changes["imported"][1]))
		}
		slices.Sort(counts)
		if diff := cmp.Diff([]string{"1000", "200"}, counts); diff != "" {
			w.Error(diff)
		}
		w.answers(map[string]domain.Code{"token 0": "", "token 1199": "", "token 1200": domain.CodeInvalidAPIKey})
	})
}

// Guarantees that every key that djangorestframework-api-key 2 and 3 made, as
// its own table holds it, is answered here as the library answers it, and that
// the good ones have Latchkey's digests from then on.
func TestImportFromDjango(t *testing.T) {
	for _, version := range []int{2, 3} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			onEach(t, func(w *world) {
				w.Pass(365 * 24 * time.Hour) // to when they were frozen, and beyond
				_, project := w.tenant(w.signUp("ann@example.com"))
				p, err := project.Get()
				w.check(err)
				dsn, keys := storetest.Django(w, version)
				var rows []domain.ImportRow
				for _, name := range []string{"rest_framework_api_key_apikey", "heroes_heroapikey"} {
					table := repository.DefaultDjangoTable
					table.Name = name
					for row, err := range repository.DjangoKeys(w.Context(), dsn, table) {
						w.check(err)
						rows = append(rows, row)
					}
				}
				if diff := cmp.Diff(domain.ImportResult{Imported: 5}, w.importRows(project, rows...)); diff != "" {
					w.Fatal(diff)
				}
				list, err := project.ListKeys(w.Context(), domain.KeyFilter{}, domain.Page{Limit: 10})
				w.check(err)
				ids := map[string]domain.KeyID{}
				for _, k := range list.Items {
					ids[k.Prefix] = k.ID
				}
				for _, k := range keys {
					want := map[bool]domain.Code{k.Name == "expired": domain.CodeKeyExpired, k.Revoked: domain.CodeKeyRevoked,
						k.Good: ""}[true]
					for range 2 {
						w.answers(map[string]domain.Code{k.Token: want})
					}
					live, err := w.Store.LiveSecrets(w.Context(), p.Scope(), ids[k.Prefix], w.Now())
					w.check(err)
					if got, want := live[0].Algorithm == domain.HMACSHA256, k.Good; got != want {
						w.Errorf("%s: got one of Latchkey's digests %t, want %t", k.Name, got, want)
					}
				}
			})
		})
	}
}
