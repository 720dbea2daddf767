package faults

import (
	"context"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// firstRelease is the commit of 0.1.
const firstRelease = "87c2a5305f267c56ff302047d43f27ec4353c00a"

// older builds 0.1 from the history of this repository.
func older(t *testing.T) (program string) {
	t.Helper()
	dir := t.TempDir()
	source, program := filepath.Join(dir, "source.tar"), filepath.Join(dir, "latchkey")
	if out, err := exec.CommandContext(t.Context(), "git", "-C", "..", "archive", "-o", source, firstRelease).CombinedOutput(); err != nil {
		t.Fatalf("the history lacks 0.1, commit %s: fetch all of it with git fetch --unshallow. %v: %s", firstRelease, err, out)
	}
	for _, command := range [][]string{{"tar", "-xf", source}, {"go", "build", "-buildvcs=false", "-o", program, "./cmd/latchkey"}} {
		c := exec.CommandContext(t.Context(), command[0], command[1:]...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", command, err, out)
		}
	}
	return program
}

// upgrade is a tenant whose keys are managed on whatever nodes there are.
type upgrade struct {
	*testing.T
	p     *servertest.Tenant
	nodes []*servertest.Server
	good  []string // tokens that must work everywhere
	bad   []string // and tokens that must not
}

func (u *upgrade) node() *servertest.Server { return u.nodes[rand.IntN(len(u.nodes))] }

// works fails unless every node accepts the token immediately.
func (u *upgrade) works(what, token string) {
	u.Helper()
	for i, n := range u.nodes {
		if a := project(u.Context(), n, token); a.Status != 200 {
			u.Errorf("%s is refused by node %d of %d: %d %s", what, i+1, len(u.nodes), a.Status, a.Text("code"))
		}
	}
}

// change makes a key on one node and rotates it on another, and every other time
// revokes it on a third.
func (u *upgrade) change(revoke bool) {
	u.Helper()
	id, token := u.p.Key(u.node())
	u.works("a new key", token)
	n := u.node()
	rotated := u.p.Want(200, call(u.Context(), "POST", u.p.Keys(n)+"/"+id+"/rotate", u.p.Bearer,
		map[string]any{"grace_seconds": 3600})).Text("token")
	u.works("a token that is retiring", token)
	u.works("a rotated key", rotated)
	if !revoke {
		u.good = append(u.good, token, rotated)
		return
	}
	n = u.node()
	u.p.Want(200, call(u.Context(), "POST", u.p.Keys(n)+"/"+id+"/revoke", u.p.Bearer, map[string]any{}))
	for _, other := range u.nodes {
		for _, ended := range []string{token, rotated} {
			eventually(u, 5*time.Second, "a revoked key is refused", func() bool {
				return project(u.Context(), other,
					ended).Status == 401
			})
		}
	}
	u.bad = append(u.bad, token, rotated)
}

// signIn signs a person in on one node and has every other one believe it.
func (u *upgrade) signIn(email, password string) {
	u.Helper()
	in := call(u.Context(), "POST", u.node().URL+"/v1/auth/login", "", map[string]string{"email": email, "password": password})
	if in.Status != 200 {
		u.Errorf("a sign-in got %d %s", in.Status, in.Text("code"))
		return
	}
	for _, n := range u.nodes {
		if a := call(u.Context(), "GET", n.URL+"/v1/whoami", "Bearer "+in.Text("access_token"), nil); a.Status != 200 {
			u.Errorf("a person who has signed in gets %d %s", a.Status, a.Text("code"))
		}
		again := call(u.Context(), "POST", n.URL+"/v1/auth/refresh", "", map[string]string{"refresh_token": in.Text("refresh_token")})
		if again.Status != 200 {
			u.Errorf("a session gets %d %s", again.Status, again.Text("code"))
			return
		}
		in = again
	}
}

// signUp makes an account on one node.
func (u *upgrade) signUp(email, password string) {
	u.Helper()
	if a := call(u.Context(), "POST", u.node().URL+"/v1/auth/signup", "",
		map[string]string{"email": email, "password": password}); a.Status != 201 {
		u.Errorf("a sign-up got %d %s", a.Status, a.Text("code"))
	}
}

// during changes keys for a while, under load.
func (u *upgrade) during(d time.Duration) {
	u.Helper()
	token := u.good[0]
	reads, stop := load(u.Context(), 2, 5*time.Millisecond, func(ctx context.Context) servertest.Answer {
		return project(ctx, u.node(),
			token)
	})
	for i, began := 0, time.Now(); i < 2 || time.Since(began) < d; i++ {
		u.change(i%2 == 1)
	}
	stop()
	reads.only(u.T, 200)
	u.remembers()
}

// remembers fails unless every node takes what must work and nothing else.
func (u *upgrade) remembers() {
	u.Helper()
	for _, token := range u.good {
		u.works("a key", token)
	}
	for _, token := range u.bad {
		for _, n := range u.nodes {
			if a := project(u.Context(), n, token); a.Status != 401 {
				u.Errorf("a revoked key gets %d", a.Status)
			}
		}
	}
}

// TestUpgrade: a node of 0.1 and newer ones work on one database, each with what
// the others make and end, before and after the last node of 0.1 is gone; after
// that tokens get a tag.
func TestUpgrade(t *testing.T) {
	program := older(t)
	database := storetest.NewCluster(t).Database(t)
	lasting := servertest.Size(2*time.Second, 2*time.Minute)
	old := servertest.StartProgram(t, program, database)
	u := &upgrade{T: t, p: servertest.NewTenant(t, old), nodes: []*servertest.Server{old}}
	const password = "eleven quiet boats past the mole"
	u.signUp("first@example.com", password)
	for range 3 {
		u.change(false)
	}
	u.nodes = append(u.nodes, servertest.Start(t, database))
	u.remembers()
	u.signUp("second@example.com", password)
	for _, email := range []string{"first@example.com", "second@example.com"} {
		u.signIn(email, password)
		u.signIn(email, password)
	}
	u.during(lasting)
	if n := untagged(t, database); n != len(u.good)+len(u.bad) {
		t.Errorf("%d tokens have no tag beside a node of 0.1, want all %d", n, len(u.good)+len(u.bad))
	}

	old.End()
	u.nodes = append(u.nodes[1:], servertest.Start(t, database))
	before := untagged(t, database)
	u.during(lasting)
	for _, email := range []string{"first@example.com", "second@example.com"} {
		u.signIn(email, password)
	}
	if after := untagged(t, database); after != before {
		t.Errorf("%d tokens were made without a tag after the last node of 0.1 had left", after-before)
	}
	show(t, "%d keys made and rotated, half of them revoked, on one node of 0.1 and newer ones: none refused; "+
		"%d tokens without a tag, none of them made after it",
		(len(u.good)+len(u.bad))/2, before)
}

// untagged counts the tokens without a tag.
func untagged(t *testing.T, database string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	must(t, conn.QueryRow(t.Context(), "SELECT COUNT(*) FROM api_key_secrets WHERE NOT tagged").Scan(&n))
	return n
}
