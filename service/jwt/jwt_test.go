package jwt_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/jwt"
)

const issuer = "https://keys.example"

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func newClaims() jwt.Claims {
	return jwt.Claims{
		User: domain.NewID[domain.UserID](now), Session: domain.NewID[domain.SessionID](now),
		IssuedAt: now, ExpiresAt: now.Add(jwt.Lifetime),
	}
}

func sign(t *testing.T, s jwt.KeySet, c jwt.Claims) string {
	t.Helper()
	token, err := s.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// refused fails unless err is a refused credential with the code.
func refused(t *testing.T, err error, want domain.Code) {
	t.Helper()
	e, ok := errors.AsType[*domain.Error](err)
	if !ok {
		t.Fatalf("got %v, want %q", err, want)
	}
	if e.Code != want || !e.Credential || e.Detail == "" {
		t.Errorf("got %q, credential %v, detail %q; want %q, a credential and a detail", e.Code, e.Credential, e.Detail, want)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := jwt.NewKeySet(issuer, jwt.NewKey(now))
	want := newClaims()
	token := sign(t, s, want)
	for _, at := range []time.Time{now, now.Add(jwt.Lifetime - time.Nanosecond), now.Add(-20 * time.Second)} {
		got, err := s.Verify(token, at)
		if err != nil {
			t.Fatalf("at %v: %v", at, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at %v: %s", at, diff)
		}
	}
	if got, most := len(token), jwt.MaxLength/4; got > most {
		t.Errorf("a token of %d bytes, want at most %d", got, most)
	}
	if sign(t, s, want) == token {
		t.Error("two tokens with the same claims are equal: they need a jti each")
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	s := jwt.NewKeySet(issuer, jwt.NewKey(now))
	token := sign(t, s, newClaims())
	for _, at := range []time.Time{now.Add(jwt.Lifetime), now.Add(jwt.Lifetime + time.Nanosecond), now.AddDate(1, 0, 0)} {
		_, err := s.Verify(token, at)
		refused(t, err, domain.CodeTokenExpired)
	}
	_, err := s.Verify(token, now.Add(-time.Minute))
	refused(t, err, domain.CodeInvalidToken) // from the future
}

// Guarantees that tokens issued before a rotation hold until their time ends,
// and not once their key is gone.
func TestRotation(t *testing.T) {
	t.Parallel()
	first, second := jwt.NewKey(now), jwt.NewKey(now.Add(time.Hour))
	before := jwt.NewKeySet(issuer, first, second)
	during := jwt.NewKeySet(issuer, second, first)
	after := jwt.NewKeySet(issuer, second)
	early, late := sign(t, before, newClaims()), sign(t, during, newClaims())
	for name, test := range map[string]struct {
		set   jwt.KeySet
		token string
		want  domain.Code
	}{
		"the old one before":       {before, early, ""},
		"the new one before":       {before, late, ""},
		"the old one during":       {during, early, ""},
		"the new one during":       {during, late, ""},
		"the old one after":        {after, early, domain.CodeInvalidToken},
		"the new one after":        {after, late, ""},
		"anything by an empty set": {jwt.KeySet{}, late, domain.CodeInvalidToken},
	} {
		if _, err := test.set.Verify(test.token, now); domain.CodeOf(err) != test.want {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// forgery writes a token by hand, independent of the library that reads it.
type forgery struct {
	header, payload map[string]any
	sign            func(text string) []byte
}

func (f forgery) token() string {
	encode := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	text := encode(f.header) + "." + encode(f.payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(f.sign(text))
}

// Guarantees that a token is accepted only as it was issued: for each way known
// to have fooled a JWT library, one forgery that differs from a good token in
// that alone.
func TestAttacks(t *testing.T) {
	t.Parallel()
	key, other := jwt.NewKey(now), jwt.NewKey(now)
	s := jwt.NewKeySet(issuer, key, other)
	claims := newClaims()
	good := func() forgery {
		return forgery{
			header: map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": key.ID},
			payload: map[string]any{
				"iss": issuer, "aud": issuer, "sub": claims.User, "sid": claims.Session, "jti": "1",
				"iat": now.Unix(), "exp": now.Add(jwt.Lifetime).Unix(),
			},
			sign: func(text string) []byte { return ed25519.Sign(key.Private, []byte(text)) },
		}
	}
	if _, err := s.Verify(good().token(), now); err != nil {
		t.Fatalf("the token that the forgeries differ from: %v", err)
	}

	hs := func(secret []byte) func(text string) []byte {
		return func(text string) []byte {
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(text))
			return mac.Sum(nil)
		}
	}
	header := func(name string, value any) func(*forgery) {
		return func(f *forgery) { f.header[name] = value }
	}
	payload := func(name string, value any) func(*forgery) {
		return func(f *forgery) { f.payload[name] = value }
	}
	without := func(part, name string) func(*forgery) {
		return func(f *forgery) {
			delete(map[string]map[string]any{"header": f.header, "payload": f.payload}[part], name)
		}
	}
	stranger := jwt.NewKey(now)
	for name, forge := range map[string]func(*forgery){
		"alg none":                    func(f *forgery) { f.header["alg"] = "none"; f.sign = func(string) []byte { return nil } },
		"alg None":                    func(f *forgery) { f.header["alg"] = "None"; f.sign = func(string) []byte { return nil } },
		"alg missing":                 without("header", "alg"),
		"alg not a string":            header("alg", []string{"EdDSA"}),
		"alg in other case":           header("alg", "eddsa"),
		"HS256, public key as secret": func(f *forgery) { f.header["alg"] = "HS256"; f.sign = hs(key.Public()) },
		"HS256, public key as in the JWKS": func(f *forgery) {
			f.header["alg"] = "HS256"
			f.sign = hs([]byte(base64.RawURLEncoding.EncodeToString(key.Public())))
		},
		"HS256, empty secret": func(f *forgery) { f.header["alg"] = "HS256"; f.sign = hs(nil) },
		"ES256":               header("alg", "ES256"),
		"EdDSA over the digest (Ed25519ph)": func(f *forgery) {
			f.sign = func(text string) []byte { sum := sha512.Sum512([]byte(text)); return ed25519.Sign(key.Private, sum[:]) }
		},

		"kid of another key of the set": header("kid", other.ID),
		"kid of no key":                 header("kid", stranger.ID),
		"kid missing":                   without("header", "kid"),
		"kid empty":                     header("kid", ""),
		"kid a path":                    header("kid", "../../dev/null"),
		"kid a list":                    header("kid", []string{key.ID}),
		"signed by a stranger": func(f *forgery) {
			f.sign = func(text string) []byte { return ed25519.Sign(stranger.Private, []byte(text)) }
		},
		"brings its own key": func(f *forgery) {
			f.header["jwk"] = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(stranger.Public())}
			f.sign = func(text string) []byte { return ed25519.Sign(stranger.Private, []byte(text)) }
		},
		"names where to fetch its key": header("jku", "https://attacker.example/jwks.json"),

		"typ missing":        without("header", "typ"),
		"typ JWT":            header("typ", "JWT"),
		"typ in other case":  header("typ", "AT+JWT"),
		"typ of an id token": header("typ", "id+jwt"),
		"crit unknown":       header("crit", []string{"b64"}),
		"crit empty":         header("crit", []string{}),
		"crit null":          header("crit", nil),
		"payload unencoded":  header("b64", false),

		"exp missing":         without("payload", "exp"),
		"exp null":            payload("exp", nil),
		"exp an object":       payload("exp", map[string]any{}),
		"iat missing":         without("payload", "iat"),
		"iat in the future":   payload("iat", now.Add(time.Minute).Unix()),
		"nbf in the future":   payload("nbf", now.Add(time.Minute).Unix()),
		"iss missing":         without("payload", "iss"),
		"iss of another":      payload("iss", "https://other.example"),
		"iss with a slash":    payload("iss", issuer+"/"),
		"aud missing":         without("payload", "aud"),
		"aud of another":      payload("aud", "https://other.example"),
		"aud empty":           payload("aud", []string{}),
		"sub missing":         without("payload", "sub"),
		"sub of another kind": payload("sub", string(claims.Session)),
		"sub not an id":       payload("sub", "root"),
		"sid missing":         without("payload", "sid"),
		"sid of another kind": payload("sid", string(claims.User)),

		"signature missing":   func(f *forgery) { f.sign = func(string) []byte { return nil } },
		"signature zero":      func(f *forgery) { f.sign = func(string) []byte { return make([]byte, ed25519.SignatureSize) } },
		"signature cut short": cut(key, 63),
		"signature too long": func(f *forgery) {
			f.sign = func(text string) []byte { return append(ed25519.Sign(key.Private, []byte(text)), 0) }
		},
		"one byte too many in all": payload("pad", strings.Repeat("x", jwt.MaxLength)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := good()
			f.header, f.payload = maps.Clone(f.header), maps.Clone(f.payload)
			forge(&f)
			_, err := s.Verify(f.token(), now)
			refused(t, err, domain.CodeInvalidToken)
		})
	}
}

func cut(key jwt.Key, n int) func(*forgery) {
	return func(f *forgery) {
		f.sign = func(text string) []byte { return ed25519.Sign(key.Private, []byte(text))[:n] }
	}
}

// Guarantees that a token has one spelling, so that remembering it by digest,
// or refusing it by digest, cannot be dodged by writing it otherwise.
func TestOneSpelling(t *testing.T) {
	t.Parallel()
	s := jwt.NewKeySet(issuer, jwt.NewKey(now))
	token := sign(t, s, newClaims())
	segments := strings.Split(token, ".")
	spellings := []string{
		"", ".", "..", "...", token + ".", "." + token, token + ".x", token + "=", token + "==", token + "\n", token + "\r\n",
		token + " ", " " + token, token + "\x00", strings.ToUpper(token), strings.ToLower(token), "Bearer " + token,
		segments[0] + "." + segments[1], segments[0] + "." + segments[1] + ".", segments[1] + "." + segments[0] + "." + segments[2],
		strings.ReplaceAll(token, ".", ".\n"), token[:len(token)-10] + "\n" + token[len(token)-10:],
		strings.NewReplacer("-", "+", "_", "/").Replace(token) + "+",
		`{"payload":"` + segments[1] + `","protected":"` + segments[0] + `","signature":"` + segments[2] + `"}`,
		strings.Repeat("a", 1<<20), strings.Repeat(".", 1<<20), token + strings.Repeat("=", 1<<20),
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range token {
		for _, c := range alphabet + ".=\n" {
			if byte(c) != token[i] && (i > len(token)-3 || i%7 == 0) { // the last characters hold bits that decode to nothing
				spellings = append(spellings, token[:i]+string(c)+token[i+1:])
			}
		}
		spellings = append(spellings, token[:i], token[:i]+token[i+1:])
	}
	for _, spelling := range spellings {
		if _, err := s.Verify(spelling, now); domain.CodeOf(err) != domain.CodeInvalidToken {
			t.Errorf("got %v for %.80q…, want %q", err, spelling, domain.CodeInvalidToken)
		}
	}
}

func FuzzVerify(f *testing.F) {
	s := jwt.NewKeySet(issuer, jwt.NewKey(now))
	good, err := s.Sign(newClaims())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("e30.e30.")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := s.Verify(token, now); (err == nil) != (token == good) {
			t.Errorf("%q: %v", token, err)
		}
	})
}

// Guarantees that what is published suffices to verify a token without us, and
// holds no private part.
func TestJWKS(t *testing.T) {
	t.Parallel()
	current, next := jwt.NewKey(now), jwt.NewKey(now.Add(time.Hour))
	s := jwt.NewKeySet(issuer, current, next, current)
	raw, err := json.Marshal(s.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	var want []map[string]string
	for _, k := range []jwt.Key{next, current} {
		want = append(want, map[string]string{
			"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": k.ID,
			"x": base64.RawURLEncoding.EncodeToString(k.Public()),
		})
	}
	if diff := cmp.Diff(want, got.Keys); diff != "" {
		t.Fatal(diff)
	}

	segments := strings.Split(sign(t, s, newClaims()), ".")
	i := slices.IndexFunc(got.Keys, func(k map[string]string) bool { return k["kid"] == current.ID })
	public, _ := base64.RawURLEncoding.DecodeString(got.Keys[i]["x"])
	signature, _ := base64.RawURLEncoding.DecodeString(segments[2])
	if !ed25519.Verify(public, []byte(segments[0]+"."+segments[1]), signature) {
		t.Error("a published key does not verify what it signed")
	}
}

// The example of RFC 8037, appendix A.
func TestThumbprint(t *testing.T) {
	t.Parallel()
	seed, _ := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	key := jwt.Key{Private: ed25519.NewKeyFromSeed(seed)}
	if got, want := key.Thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := jwt.NewKey(now), jwt.NewKey(now); got.ID == want.ID || got.ID != got.Thumbprint() {
		t.Errorf("ids %s and %s, want the thumbprints of two keys", got.ID, want.ID)
	}
}

// Guarantees that a signing key reaches no log, however it is printed.
func TestKeyIsNeverPrinted(t *testing.T) {
	t.Parallel()
	key := jwt.NewKey(now)
	set := jwt.NewKeySet(issuer, key)
	type holder struct{ Key jwt.Key }
	type keeper struct{ set jwt.KeySet }
	var out bytes.Buffer
	for _, v := range []any{key, &key, set, &set, holder{key}, &holder{key}, []jwt.Key{key}, keeper{set}, map[string]any{"k": key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("", "v", v)
		json.NewEncoder(&out).Encode(v)
	}
	seed := key.Private.Seed()
	for _, form := range []string{
		string(seed), fmt.Sprintf("%x", seed), fmt.Sprintf("%X", seed), strings.Trim(fmt.Sprint(seed[:8]), "[]"),
		base64.StdEncoding.EncodeToString(seed[:30]), base64.RawURLEncoding.EncodeToString(seed[:30]),
	} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the private key was printed as %q", form)
		}
	}
	if !strings.Contains(out.String(), key.ID) {
		t.Error("the id was not printed")
	}
}

func TestNewKeySetNeedsAnIssuer(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic: without an issuer the parser checks neither iss nor aud")
		}
	}()
	jwt.NewKeySet("", jwt.NewKey(now))
}

func BenchmarkVerify(b *testing.B) {
	s := jwt.NewKeySet(issuer, jwt.NewKey(now))
	token, err := s.Sign(newClaims())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(token, now); err != nil {
			b.Fatal(err)
		}
	}
}
