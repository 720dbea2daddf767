package domain

import (
	"encoding/binary"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// constants returns the values of all constants of package domain that are
// declared with the type.
func constants(t *testing.T, typeName string) (values []string) {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) == 0 {
				return true
			}
			if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != typeName {
				return true
			}
			for _, v := range spec.Values {
				if text, ok := v.(*ast.BasicLit); ok && text.Kind == token.STRING {
					unquoted, err := strconv.Unquote(text.Value)
					if err != nil {
						t.Fatal(err)
					}
					values = append(values, unquoted)
				}
			}
			return true
		})
	}
	if len(values) < 2 {
		t.Fatalf("got %q for the constants of %s, want at least two", values, typeName)
	}
	return values
}

// repack packs and unpacks.
func repack(s Secret, k Key) (Secret, Key) {
	got := NewProvenKey(string(PackKey(nil, s, k)), &Tenant{Project: Project{ID: k.ProjectID}})
	return got.Secret(), got.Key()
}

// plainKey is a key with as little as a key can have.
func plainKey() (Secret, Key) {
	created := time.Date(2026, 3, 14, 15, 9, 26, 535898000, time.UTC)
	return Secret{ProjectID: "prj_1", KeyID: "key_1", TokenID: "tok", Algorithm: HMACSHA256, Digest: make([]byte, DigestLength)},
		Key{
			ID: "key_1", ProjectID: "prj_1", Environment: Live, CreatedBy: Actor{Kind: ActorSystem},
			CreatedAt: created, Scopes: []Scope{}, Metadata: map[string]string{},
		}
}

// Guarantees that no value of an enumeration turns into another one or into
// nothing on its way through the cache: each constant that the package declares
// packs and unpacks to itself.
func TestEveryValuePacks(t *testing.T) {
	t.Parallel()
	secret, key := plainKey()
	for typeName, set := range map[string]func(s *Secret, k *Key, value string){
		"Environment": func(_ *Secret, k *Key, v string) { k.Environment = Environment(v) },
		"ActorKind":   func(_ *Secret, k *Key, v string) { k.CreatedBy.Kind = ActorKind(v) },
		"Algorithm":   func(s *Secret, _ *Key, v string) { s.Algorithm = Algorithm(v) },
	} {
		for _, value := range constants(t, typeName) {
			s, k := secret, key
			set(&s, &k, value)
			gotSecret, gotKey := repack(s, k)
			if diff := cmp.Diff(s, gotSecret) + cmp.Diff(k, gotKey); diff != "" {
				t.Errorf("%s %q: -want +got:\n%s", typeName, value, diff)
			}
		}
	}
	if got := item([]int{7, 8}, 1) + item([]int{7, 8}, 2) + item([]int{7, 8}, 255); got != 8 {
		t.Errorf("an item that is not there: got %d, want 0", got-8)
	}
	if n := len(KeyScopes); n > 16 {
		t.Fatalf("got %d scopes, want at most 16: that is how many bits there are", n)
	}
	for _, held := range append(slices.Clone(KeyScopes), "documents:read") {
		s, k := secret, key
		k.Scopes = []Scope{held}
		proven := NewProvenKey(string(PackKey(nil, s, k)), &Tenant{})
		for _, asked := range append(slices.Clone(KeyScopes), "documents:read", "documents:write") {
			if got, want := proven.Holds(asked), asked == held; got != want {
				t.Errorf("a key with %s holds %s: got %v, want %v", held, asked, got, want)
			}
		}
	}
	for _, version := range []int{0, 1, 255, 256, 65_535} {
		s := secret
		s.PepperVersion = version
		if got, _ := repack(s, key); got.PepperVersion != version {
			t.Errorf("pepper version: got %d, want %d", got.PepperVersion, version)
		}
	}
}

// Guarantees that all 16 bits of flags and of scopes are read as they are
// written.
func TestPackedBits(t *testing.T) {
	t.Parallel()
	for bit := range 16 {
		secret, key := plainKey()
		packed := PackKey(nil, secret, key)
		for _, at := range []int{packedFlags, packedScopes} {
			binary.LittleEndian.PutUint16(packed[at:], 1<<bit)
			got := NewProvenKey(string(packed), &Tenant{}).uint16(at)
			if want := uint16(1) << bit; got != want {
				t.Errorf("bit %d at %d: got %b, want %b", bit, at, got, want)
			}
		}
	}
}

// Guarantees that a text of any length comes back whole, and does not move what
// follows it, also where the bytes that give its length become one more.
func TestPackedTextLengths(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 1, 127, 128, 16_383, 16_384} {
		text := strings.Repeat("x", length)
		for name, set := range map[string]func(k *Key){
			"name":            func(k *Key) { k.Name = text },
			"prefix":          func(k *Key) { k.Prefix = text },
			"external id":     func(k *Key) { k.ExternalID = text },
			"reason":          func(k *Key) { k.RevokedReason = text },
			"creator's id":    func(k *Key) { k.CreatedBy.ID = text },
			"creator's name":  func(k *Key) { k.CreatedBy.Name = text },
			"retiring prefix": func(k *Key) { k.Retiring.Prefix = text },
			"scope":           func(k *Key) { k.Scopes = []Scope{Scope(text), KeysRead} },
			"networks": func(k *Key) {
				k.AllowedIPs = append([]Network(nil), slices.Repeat([]Network{"203.0.113.0/24"}, length/17)...)
			},
			"metadata": func(k *Key) { k.Metadata = map[string]string{text: text, "z": "last"} },
		} {
			secret, want := plainKey()
			set(&want)
			want.Revision = 300
			if _, got := repack(secret, want); !cmp.Equal(want, got) {
				t.Errorf("%s of %d bytes came back changed", name, length)
			}
		}
	}
}

// A key takes little memory: the id of its creator has 16 bytes, and what its token
// shows is not kept twice.
func TestPackedSize(t *testing.T) {
	t.Parallel()
	secret, key := plainKey()
	size := func() int { return len(PackKey(nil, secret, key)) }
	plain := size()
	for kind, id := range map[ActorKind]string{ActorUser: string(NewID[UserID](time.Now())), ActorKey: string(NewID[KeyID](time.Now()))} {
		key.CreatedBy = Actor{Kind: kind, ID: id}
		if got, want := size(), plain+16; got != want {
			t.Errorf("made by a %s: got %d bytes, want %d", kind, got, want)
		}
	}
	key.CreatedBy = Actor{Kind: ActorUser, ID: "usr_" + strings.Repeat("i", 26)} // no id, but as long as one
	if got, want := size(), plain+30; got != want {
		t.Errorf("made by a user without an id: got %d bytes, want %d", got, want)
	}
	key.CreatedBy = Actor{Kind: ActorSystem}
	for _, scope := range KeyScopes {
		key.Scopes = []Scope{scope}
		if got, want := size(), plain+1; got != want {
			t.Errorf("with %s: got %d bytes, want %d", scope, got, want)
		}
	}
	key.Scopes, key.Prefix = nil, "lk_live_tok"
	if got, want := size(), plain+2; got != want {
		t.Errorf("with the prefix of its token: got %d bytes, want %d", got, want)
	}
	key.ExpiresAt, key.RevokedAt, secret.ValidUntil = key.CreatedAt, key.CreatedAt, key.CreatedAt
	if got, want := size(), plain+2+3*8; got != want {
		t.Errorf("with three more times: got %d bytes, want %d", got, want)
	}
}
