package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// The lean edge reads each plain body as it says, up to the bounds of the contract, and
// leaves every other one to the ordinary edge.
func TestPlainQuestions(t *testing.T) {
	t.Parallel()
	project := string(domain.NewID[domain.ProjectID](time.Now()))
	for body, want := range map[string]question{
		`{"key":"x"}`:                                   plainAsk("x"),
		" {\t\"key\" :\r\n\"x y~!\" } \n":               plainAsk("x y~!"),
		`{"key":"x","scopes":[]}`:                       plainAsk("x"),
		`{"scopes":["a:b" , "c:d"],"key":""}`:           plainAsk("", "a:b", "c:d"),
		`{"key":"x","project_id":"` + project + `"}`:    question{service.Question{Token: "x"}, domain.ProjectID(project)},
		`{"key":"x","cost":{}}`:                         costs(nil),
		`{"key":"x","cost":{ "a" : 0 , "b":7}}`:         costs(domain.Cost{"a": 0, "b": 7}),
		`{"key":"x","cost":{"a":1000000000000}}`:        costs(domain.Cost{"a": domain.MaxUnits}),
		`{"key":"x","scopes":[` + scopeList(100) + `]}`: plainAsk("x", strings.Split(strings.ReplaceAll(scopeList(100), `"`, ""), ",")...),
		`{"key":"x","scopes":["` + strings.Repeat("a", 32) + ":" + strings.Repeat("b", 64) + `"]}`: plainAsk("x",
			strings.Repeat("a", 32)+":"+strings.Repeat("b", 64)),
		`{"key":"x","scopes":["z:z","az:z9"]}`:  plainAsk("x", "z:z", "az:z9"),
		`{"key":"x","scopes":["a0_.-z:b9_.-"]}`: plainAsk("x", "a0_.-z:b9_.-"),
	} {
		got, ok := parseQuestion([]byte(body))
		if !ok || got.Token != want.Token || got.project != want.project || !cmp.Equal(got.Scopes, want.Scopes) ||
			!cmp.Equal(map[string]int64(got.Cost), map[string]int64(want.Cost)) {
			t.Errorf("%s: got %+v, %v, want %+v", body, got, ok, want)
		}
	}
	for _, body := range []string{
		``, ` `, `{`, `}`, `{}`, `[]`, `null`, `{"key"}`, `{"key":}`, `{"key":"x"`, `{"key":"x}`, `{"key":"x",}`, `{,"key":"x"}`,
		`{"key":"x"}}`, `{"key":"x"} x`, `{"key":"x" "scopes":[]}`, `{"key" "x"}`, `{key:"x"}`, `{"key":x}`, `{"key":1}`, `{"key":null}`,
		`{"key":"x","key":"x"}`, `{"key":"x","other":"y"}`, `{"scopes":[]}`, `{"key":"\u0078"}`,
		"{\"key\":\"x\x7f\"}", "{\"key\":\"\x1f\"}",
		`{"key":"é"}`, `{"key":"x","scopes":[],"scopes":[]}`, `{"key":"x","scopes":["a:b",]}`, `{"key":"x","scopes":["a:b" "c:d"]}`,
		`{"key":"x","scopes":[,"a:b"]}`, `{"key":"x","scopes":["a:b"}`, `{"key":"x","scopes":{}}`, `{"key":"x","scopes":["a"]}`,
		`{"key":"x","scopes":[":b"]}`, `{"key":"x","scopes":["a:"]}`, `{"key":"x","scopes":["A:b"]}`, `{"key":"x","scopes":["a:B"]}`,
		`{"key":"x","scopes":["1:b"]}`, `{"key":"x","scopes":["a:1"]}`, `{"key":"x","scopes":["a:b:c"]}`, `{"key":"x","scopes":["a:b/"]}`,
		"{\"key\":\"x\",\"scopes\":[\"a:`\"]}", `{"key":"x","scopes":["{:b"]}`, `{"key":"x","scopes":["a:b{"]}`,
		`{"key":"x","scopes":[` + scopeList(101) + `]}`,
		`{"key":"x","scopes":["` + strings.Repeat("a", 33) + `:b"]}`, `{"key":"x","scopes":["a:` + strings.Repeat("b", 65) + `"]}`,
		`{"key":"x","project_id":"x"}`, `{"key":"x","project_id":""}`,
		`{"key":"x","project_id":"` + project + `","project_id":"` + project + `"}`,
		`{"key":"x","cost":{"a":1},"cost":{"a":1}}`, `{"key":"x","cost":{"a":1,"a":1}}`, `{"key":"x","cost":{"a":-1}}`,
		`{"key":"x","cost":{"a":01}}`, `{"key":"x","cost":{"a":1.0}}`, `{"key":"x","cost":{"a":1e3}}`, `{"key":"x","cost":{"a":}}`,
		`{"key":"x","cost":{"a":1000000000001}}`, `{"key":"x","cost":{"a":0000000000000000001}}`, `{"key":"x","cost":{"a":"1"}}`,
		`{"key":"x","cost":{"A":1}}`, `{"key":"x","cost":{"a":1,}}`, `{"key":"x","cost":{,"a":1}}`, `{"key":"x","cost":{"a":1 "b":1}}`,
		`{"key":"x","cost":{"a":1`, `{"key":"x","cost":{"a":`, `{"key":"x","cost":{"a" 1}}`, `{"key":"x","cost":[]}`,
		`{"key":"x","cost":7}`,
		`{"key":"x","cost":{"a":999999999999999999}}`, `{"key":"x","cost":{"a":9999999999999999999}}`,
	} {
		if got, ok := parseQuestion([]byte(body)); ok {
			t.Errorf("%s: got %+v, want it left to the ordinary edge", body, got)
		}
	}
}

func plainAsk(key string, scopes ...string) (q question) {
	q.Token = key
	for _, s := range scopes {
		q.Scopes = append(q.Scopes, domain.Scope(s))
	}
	return q
}

func costs(cost domain.Cost) question {
	q := plainAsk("x")
	q.Cost = cost
	if cost == nil {
		q.Cost = domain.Cost{}
	}
	return q
}

func scopeList(n int) string { return strings.TrimSuffix(strings.Repeat(`"a:b",`, n), ",") }

// An Accept header chooses by weight, and of ranges that match the most specific one
// counts (RFC 9110, section 12.5.1).
func TestWeightOf(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]float64{
		"text/csv": 1, "": 0, "*/*": 1, "text/*": 1, "application/json": 0, "text/csv;q=0.5": 0.5, "text/csv; charset=x; q=0.25": 0.25,
		"*/*;q=0.1, text/csv;q=0.2": 0.2, "text/csv;q=0.2, */*;q=0.9": 0.2, "text/*;q=0.3,*/*": 0.3, "TEXT/CSV": 1, "text/csv;q=x": 0,
		"text/csv;q=0": 0, "text/csv;q=0.5, text/csv": 0.5, "text/*;q=0, text/csv": 1, " text/csv ": 1,
	} {
		if got := weightOf("text/csv", accept); got != want {
			t.Errorf("%q: got %v, want %v", accept, got, want)
		}
	}
	for accept, want := range map[string]string{
		"": "a/x", "b/y": "b/y", "a/x;q=0.5, b/y;q=0.6": "b/y", "a/x;q=0.6, b/y;q=0.6": "a/x", "c/z": "a/x", "*/*": "a/x",
	} {
		ctx := context.WithValue(t.Context(), callKey{}, &call{accept: accept})
		if got := preferred(ctx, "a/x", "b/y"); got != want {
			t.Errorf("%q: got %s, want %s", accept, got, want)
		}
	}
}

// Guarantees that no limit of the contract is silently without effect: a schema with
// something that requests are not held to stops the program.
func TestUnknownKeywordsAreRefused(t *testing.T) {
	t.Parallel()
	one := openapi3.SchemaRefs{openapi3.NewStringSchema().NewRef()}
	integer := func() *openapi3.Schema { return openapi3.NewIntegerSchema().WithMin(1).WithMax(2) }
	text := openapi3.NewStringSchema
	multiple := integer()
	multiple.MultipleOf = new(2.0)
	strict := func() *openapi3.Schema { return openapi3.NewObjectSchema().WithoutAdditionalProperties() }
	for name, bad := range map[string]*openapi3.Schema{
		"oneOf": {OneOf: one}, "anyOf": {AnyOf: one}, "allOf": {AllOf: one}, "not": {Not: one[0]},
		"unique items": openapi3.NewArraySchema().WithItems(text()).WithUniqueItems(true), "a multiple": multiple,
		"exclusive minimum": integer().WithExclusiveMin(true), "exclusive maximum": integer().WithExclusiveMax(true),
		"no type": {}, "two types": {Type: &openapi3.Types{"string", "integer"}}, "a number": openapi3.NewFloat64Schema(),
		"no maximum": openapi3.NewIntegerSchema().WithMin(1), "no minimum": openapi3.NewIntegerSchema().WithMax(1),
		"any name":               openapi3.NewObjectSchema(),
		"any name, said":         openapi3.NewObjectSchema().WithAnyAdditionalProperties(),
		"a bad field":            strict().WithProperty("a", openapi3.NewFloat64Schema()),
		"a bad entry":            openapi3.NewArraySchema().WithItems(openapi3.NewFloat64Schema()),
		"a bad pattern":          {Type: &openapi3.Types{"string"}, Pattern: "("},
		"a bad schema of others": openapi3.NewObjectSchema().WithAdditionalProperties(openapi3.NewFloat64Schema()),
	} {
		if _, err := newSchema(bad); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for name, good := range map[string]*openapi3.Schema{
		"integer": integer(), "string": text(), "boolean": openapi3.NewBoolSchema(), "array": openapi3.NewArraySchema().WithItems(text()),
		"object": strict().WithProperty("a", text()), "map": openapi3.NewObjectSchema().WithAdditionalProperties(text()),
	} {
		if _, err := newSchema(good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is wrong with a value is said with its bounds, and nothing is at the bounds.
func TestWhatIsWrongWithAValue(t *testing.T) {
	t.Parallel()
	of := func(s *openapi3.Schema) *schema {
		built, err := newSchema(s)
		if err != nil {
			t.Fatal(err)
		}
		return built
	}
	text := openapi3.NewStringSchema
	name := of(text().WithMinLength(2).WithMaxLength(3))
	word := of(text().WithEnum("a", "b"))
	at, coded := of(text().WithFormat("date-time")), of(&openapi3.Schema{Type: &openapi3.Types{"string"}, Pattern: "^a+$"})
	n := of(openapi3.NewIntegerSchema().WithMin(1).WithMax(200))
	for _, c := range []struct {
		got, want string
	}{
		{name.text([]byte("é")), "must be 2 to 3 characters"}, {name.text([]byte("éé")), ""}, {name.text([]byte("ééé")), ""},
		{name.text([]byte("éééé")), "must be 2 to 3 characters"}, {name.text([]byte("a\x00")), "must not hold NUL"},
		{of(text().WithMinLength(2)).text([]byte("a")), "must be at least 2 characters"},
		{of(text().WithMaxLength(1)).text([]byte("ab")), "must be at most 1 characters"},
		{word.text([]byte("a")), ""}, {word.text([]byte("c")), "must be one of a b"},
		{at.text([]byte("2026-03-02T09:30:00Z")), ""}, {coded.text([]byte("aa")), ""}, {coded.text([]byte("b")), "must match ^a+$"},
		{n.text([]byte("1")), "must be an integer"}, {n.number([]byte("1")), ""}, {n.number([]byte("200")), ""},
		{n.number([]byte("0")), "must be 1 to 200"}, {n.number([]byte("201")), "must be 1 to 200"},
		{n.number([]byte("1.5")), "must be an integer"},
		{n.parameter("1"), ""}, {n.parameter("200"), ""}, {n.parameter("201"), "must be 1 to 200"},
		{n.parameter("x"), "must be an integer"},
		{n.parameter("9223372036854775808"), "must be an integer"}, {word.parameter("a"), ""}, {word.parameter("x"), "must be one of a b"},
		{of(openapi3.NewBoolSchema()).expected(), "must be true or false"},
		{of(openapi3.NewArraySchema().WithItems(text())).expected(), "must be an array"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	if got := at.text([]byte("2026-03-02")); !strings.HasPrefix(got, "must be a time") {
		t.Errorf("got %q", got)
	}
	object := of(openapi3.NewObjectSchema().WithoutAdditionalProperties().WithProperty("name", text()))
	for name, want := range map[string]string{
		"Name": "is not a field of this request; the name is name", "other": "is not a field of this request",
	} {
		if got := object.unknown(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// The client of a request is the last address before the proxies that are trusted.
func TestClientBehindProxies(t *testing.T) {
	t.Parallel()
	trusted := newAddresses([]netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("2001:db8::/32")}, nil)
	for _, c := range []struct {
		peer, want string
		forwarded  []string
	}{
		{"192.0.2.1:80", "192.0.2.1", []string{"198.51.100.1"}},
		{"10.0.0.1:80", "10.0.0.1", nil},
		{"10.0.0.1:80", "198.51.100.1", []string{"203.0.113.1, 198.51.100.1"}},
		{"10.0.0.1:80", "198.51.100.1", []string{"203.0.113.1", "198.51.100.1, 10.9.9.9"}},
		{"10.0.0.1:80", "10.9.9.9", []string{"10.9.9.9"}},
		{"10.0.0.1:80", "10.0.0.1", []string{"unknown"}},
		{"10.0.0.1:80", "10.9.9.9", []string{"198.51.100.1, unknown, 10.9.9.9"}},
		{"10.0.0.1:80", "198.51.100.1", []string{"198.51.100.1:4711"}},
		{"10.0.0.1:80", "2001:db9::1", []string{"[2001:db9::1]"}},
		{"10.0.0.1:80", "2001:db9::1", []string{"[2001:db9::1]:4711"}},
		{"10.0.0.1:80", "2001:db9::1", []string{" 2001:db9::1 "}},
		{"10.0.0.1:80", "10.0.0.1", []string{"[2001:db9::1"}},
		{"10.0.0.1:80", "198.51.100.1", []string{"::ffff:198.51.100.1"}},
		{"10.0.0.1:80", "fe80::1", []string{"fe80::1%eth0"}},
		{"[::ffff:10.0.0.1]:80", "198.51.100.1", []string{"198.51.100.1"}},
		{"[2001:db8::7]:80", "198.51.100.1", []string{"198.51.100.1"}},
		{"@", "", nil},
		{"@", "198.51.100.1", []string{"198.51.100.1"}},
		{"@", "", []string{"x"}},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.forwarded
		if got := trusted.client(r); got != c.want {
			t.Errorf("%s, %q: got %q, want %q", c.peer, c.forwarded, got, c.want)
		}
	}
}

// Guarantees that all of the 128 bits of a request's id are random: each of its
// characters takes each value.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	var seen [26]map[byte]bool
	for range 2000 {
		id := requestID()
		if len(id) != 26 {
			t.Fatalf("got %q", id)
		}
		for i := range id {
			if seen[i] == nil {
				seen[i] = map[byte]bool{}
			}
			seen[i][id[i]] = true
		}
	}
	for i, values := range seen {
		want := 32
		if i == 25 {
			want = 8 // the last three bits
		}
		if len(values) != want {
			t.Errorf("character %d: got %d values, want %d", i, len(values), want)
		}
	}
}

// Each header with a meaning of its own is refused as the header of keys, and so is
// what is no header.
func TestHeadersOfKeys(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"Authorization", "proxy-authorization", "Cookie", "Set-Cookie", "Host", "Connection", "Content-Type", "Content-Length",
		"Content-Encoding", "Transfer-Encoding", "Accept", "Origin", "user-agent", "X-Forwarded-For", "X-Request-Id", "Idempotency-Key",
		"If-Match", "X Key", "1-Key", "HTTP_X_KEY", "X_Key", strings.Repeat("a", 65),
	} {
		if (Credentials{Header: bad}).Validate() == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	for _, bad := range []string{"Bearer", "bEARER", "Two Words", "1st", "-x", strings.Repeat("a", 65)} {
		if (Credentials{Keyword: bad}).Validate() == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	for _, good := range []Credentials{
		{}, {Header: "X-Key"}, {Header: strings.Repeat("a", 64)}, {Keyword: "Acme-Key_1.x"}, {Keyword: strings.Repeat("a", 64)},
	} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	if err := (Credentials{Header: "HTTP_X_ACME_KEY"}).Validate(); !strings.Contains(err.Error(), "write X-Acme-Key") {
		t.Errorf("got %v, want the right spelling", err)
	}
	if err := (Credentials{Header: "Cookie", Keyword: "Bearer"}).Validate(); len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("got %v, want both mistakes", errors.Unwrap(err))
	}
}

// An unknown name is repeated up to its fortieth byte, and never half a character.
func TestShownNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 39)
	for name, want := range map[string]string{
		"": "", "name": "name", long + "b": long + "b", long + "bc": long + "b…", long + "é": long + "…", long + "b\xff": long + "b…",
	} {
		if got := shown(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	if got := escape("a/b~c"); got != "a~1b~0c" {
		t.Errorf("got %q", got)
	}
}

// A body asks for room only beyond 64 KiB, and is refused one byte beyond its bound.
func TestBoundsOfABody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		length, longest int
		asked           bool
		want            domain.Code
	}{
		{0, 1 << 20, false, ""}, {64 << 10, 1 << 20, false, ""}, {64<<10 + 1, 1 << 20, true, ""}, {1 << 20, 1 << 20, true, ""},
		{1<<20 + 1, 1 << 20, true, domain.CodePayloadTooLarge}, {64 << 10, 64 << 10, false, ""},
		{64<<10 + 1, 64 << 10, false, domain.CodePayloadTooLarge},
	} {
		for _, declared := range []bool{true, false} {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("a", c.length)))
			if !declared {
				r.ContentLength = -1
			}
			asked := false
			data, err := readBody(r, httptest.NewRecorder(), int64(c.longest), func() error { asked = true; return nil })
			if domain.CodeOf(err) != c.want || err == nil && len(data) != c.length {
				t.Errorf("%d of %d bytes, declared %v: got %d, %v, want %q", c.length, c.longest, declared, len(data), err, c.want)
			}
			if want := c.asked && (c.want == "" || !declared); asked != want {
				t.Errorf("%d of %d bytes, declared %v: asked for room %v, want %v", c.length, c.longest, declared, asked, want)
			}
		}
	}
	busy := domain.Unavailable(nil)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("a", 64<<10+1)))
	if _, err := readBody(r, httptest.NewRecorder(), 1<<20, func() error { return busy }); !errors.Is(err, busy) {
		t.Errorf("without room: got %v, want unavailable", err)
	}
}
