package api_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

const (
	malformed   = domain.CodeMalformedRequest
	tooLarge    = domain.CodePayloadTooLarge
	unsupported = domain.CodeUnsupportedMediaType
	failed      = domain.CodeValidationFailed
)

var statusOf = map[domain.Code]int{malformed: 400, tooLarge: 413, unsupported: 415, failed: 422, domain.CodeNotFound: 404}

// badInput is a scene whose owner sends what no operation takes.
type badInput struct {
	*scene

	events int // in the audit trail before
	users  int
}

func newBadInput(t *testing.T) *badInput {
	t.Helper()
	b := &badInput{scene: newScene(t)}
	b.events, b.users = b.count(t)
	return b
}

func (b *badInput) count(t *testing.T) (events, users int) {
	t.Helper()
	var list api.AuditEventList
	b.call(t, "GET", "/v1/organizations/"+string(b.home.organization.ID)+"/audit-events?limit=200", b.home.owner.as, nil).
		want(t, 200, &list)
	users, err := b.Store.CountUsers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items), users
}

// nothingStored fails if anything has been recorded since. Every change is recorded.
func (b *badInput) nothingStored(t *testing.T) {
	t.Helper()
	events, users := b.count(t)
	if events != b.events || users != b.users {
		t.Errorf("%d events and %d users have come of requests that were refused", events-b.events, users-b.users)
	}
}

// address fills a path with ids of the tenant, after a look at whether the
// requests until now have left anything. What it makes itself is not counted.
func (b *badInput) address(t *testing.T, path string) string {
	t.Helper()
	b.nothingStored(t)
	filled := fill(t, path, b.ids(t, b.home, path, b.home.owner))
	b.events, b.users = b.count(t)
	return filled
}

// bodies calls f for every operation that takes JSON.
func bodies(f func(method, path string, op *openapi3.Operation, schema *openapi3.Schema)) {
	for path, item := range contract().Paths.Map() {
		for method, op := range item.Operations() {
			if op.RequestBody != nil && op.RequestBody.Value.Content.Get("application/json") != nil {
				schema := op.RequestBody.Value.Content.Get("application/json").Schema.Value
				if len(schema.OneOf) > 0 {
					schema = schema.OneOf[0].Value // the object of a body that may also be an array
				}
				f(method, path, op, schema)
			}
		}
	}
}

// No operation takes a body that is not exactly one JSON object in the form that
// the contract describes; it says so with a precise 4xx, and stores nothing.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	b := newBadInput(t)
	compressed := compress(t, `{}`)
	json := []string{"Content-Type", "application/json"}

	type request struct {
		body    string
		headers []string
		want    domain.Code
	}
	requests := map[string]request{
		"not JSON":               {`hello`, json, malformed},
		"cut short":              {`{"name":"a"`, json, malformed},
		"a comma too many":       {`{"name":"a",}`, json, malformed},
		"a comment":              {`{} // hello`, json, malformed},
		"single quotes":          {`{'name':'a'}`, json, malformed},
		"trailing object":        {`{}{}`, json, malformed},
		"trailing word":          {`{} x`, json, malformed},
		"a name twice":           {`{"name":"a","name":"b"}`, json, malformed},
		"a name twice, escaped":  {`{"name":"a","\u006eame":"b"}`, json, malformed},
		"a name twice, below":    {`{"name":"a","metadata":{"x":"1","x":"2"}}`, json, malformed},
		"not UTF-8":              {"{\"name\":\"\xff\"}", json, malformed},
		"UTF-16":                 {"\xff\xfe{\x00}\x00", json, malformed},
		"a byte order mark":      {"\ufeff{}", json, malformed},
		"half a surrogate":       {`{"name":"\ud800"}`, json, malformed},
		"a control character":    {"{\"name\":\"a\nb\"}", json, malformed},
		"a number out of range":  {`{"name":1e999999}`, json, malformed},
		"NaN":                    {`{"name":NaN}`, json, malformed},
		"very deep":              {`{"name":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + `}`, json, malformed},
		"deeper than JSON goes":  {strings.Repeat("[", 30000), json, malformed},
		"NUL":                    {`{"name":"a\u0000b"}`, json, failed},
		"NUL in a name":          {`{"na\u0000me":"a"}`, json, failed},
		"an array":               {`[]`, json, failed},
		"a string":               {`"name"`, json, failed},
		"a number":               {`17`, json, failed},
		"null":                   {`null`, json, failed},
		"1 MB":                   {`{"name":"` + strings.Repeat("a", 1<<20) + `"}`, json, tooLarge},
		"a byte more than fits":  {`{"name":"` + strings.Repeat("a", 64<<10-10) + `"}`, json, tooLarge},
		"compressed":             {compressed, []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, unsupported},
		"compressed, unknown":    {`{}`, []string{"Content-Type", "application/json", "Content-Encoding", "br, gzip"}, unsupported},
		"no media type":          {`{}`, nil, unsupported},
		"empty media type":       {`{}`, []string{"Content-Type", ""}, unsupported},
		"text":                   {`{}`, []string{"Content-Type", "text/plain"}, unsupported},
		"a form":                 {`name=a`, []string{"Content-Type", "application/x-www-form-urlencoded"}, unsupported},
		"multipart":              {"--x\r\n\r\n--x--", []string{"Content-Type", "multipart/form-data; boundary=x"}, unsupported},
		"XML":                    {`<name/>`, []string{"Content-Type", "application/xml"}, unsupported},
		"almost JSON":            {`{}`, []string{"Content-Type", "application/jsonp"}, unsupported},
		"JSON of another kind":   {`{}`, []string{"Content-Type", "application/merge-patch+json"}, unsupported},
		"another charset":        {`{}`, []string{"Content-Type", "application/json; charset=latin1"}, unsupported},
		"a broken media type":    {`{}`, []string{"Content-Type", "application/json; charset"}, unsupported},
		"two media types":        {`{}`, []string{"Content-Type", "application/json", "Content-Type", "application/json"}, unsupported},
		"two media types in one": {`{}`, []string{"Content-Type", "application/json, text/plain"}, unsupported},
	}
	tried := 0
	bodies(func(method, path string, op *openapi3.Operation, schema *openapi3.Schema) {
		address := b.address(t, path)
		send := func(what string, r request, length bool) {
			t.Helper()
			req := httptest.NewRequest(method, address, strings.NewReader(r.body))
			fromAnotherNetwork(req)
			if !length {
				req.ContentLength = -1
			}
			headers(r.headers...)(req.Header)
			b.caller(op)(req.Header)
			if got := b.send(t, req); got.status != statusOf[r.want] || got.code() != r.want {
				t.Errorf("%s, %s: got %d %s, want %s: %s", op.OperationID, what, got.status, got.code(), r.want, got.body)
			}
			tried++
		}
		for what, r := range requests {
			if _, larger := op.Extensions["x-max-body"]; larger && r.want == tooLarge {
				continue // it takes more than others: TestImportSize
			}
			send(what, r, true)
			send(what+", chunked", r, false)
		}
		if op.RequestBody.Value.Required {
			send("no body", request{"", json, malformed}, true)
			send("no body, nothing declared", request{"", nil, malformed}, true)
			send("no body, chunked", request{"", json, malformed}, false)
		}

		// Every field by the schema itself: unknown ones, ids that contradict the
		// path, other letter case, wrong types.
		valid := example(schema)
		with := func(name, value string) string {
			fields := maps.Clone(valid)
			delete(fields, strings.ToLower(name))
			fields[name] = value
			return object(fields)
		}
		for _, name := range []string{"extra", "id", "role", "organization_id", "key_id", "project_id", "created_at", "__proto__", ""} {
			if schema.Properties[name] == nil {
				send("unknown field "+name, request{with(name, `"prj_01kjpy44e0envv707f46z935rt"`), json, failed}, true)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
			for _, odd := range []string{strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
				send("odd case "+odd, request{with(odd, valid[name]), json, failed}, true)
			}
			send("an object as "+name, request{with(name, `{"a":["b"]}`), json, failed}, true)
			send("a number as "+name, request{with(name, `1e30`), json, failed}, true)
			if !schema.Properties[name].Value.Type.Is("boolean") {
				send("true as "+name, request{with(name, `true`), json, failed}, true)
			}
			if !schema.Properties[name].Value.Nullable {
				send("null as "+name, request{with(name, `null`), json, failed}, true)
			}
		}
		for _, name := range schema.Required {
			fields := maps.Clone(valid)
			delete(fields, name)
			send("no "+name, request{object(fields), json, failed}, true)
		}
	})
	if tried < 500 {
		t.Errorf("only %d requests were tried", tried)
	}
	b.nothingStored(t)
}

func compress(t *testing.T, text string) string {
	t.Helper()
	var compressed bytes.Buffer
	gz := gzip.NewWriter(&compressed)
	if _, err := gz.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return compressed.String()
}

// example has a good value, as JSON, for each field of a request.
func example(schema *openapi3.Schema) map[string]string {
	fields := map[string]string{}
	for name, ref := range schema.Properties {
		switch p := ref.Value; {
		case p.Example != nil && p.Type.Is(openapi3.TypeString):
			fields[name] = fmt.Sprintf("%q", p.Example)
		case p.Type.Is(openapi3.TypeArray):
			fields[name] = `[]`
		case p.Type.Is(openapi3.TypeObject):
			fields[name] = `{}`
		default:
			fields[name] = `"something long enough"`
		}
	}
	return fields
}

func object(fields map[string]string) string {
	var members []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		members = append(members, fmt.Sprintf("%q:%s", name, fields[name]))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// A wrong value is refused with its pointer and what would be right, and is not
// repeated.
func TestWrongFieldsArePointedAt(t *testing.T) {
	t.Parallel()
	b := newBadInput(t)
	long := strings.Repeat("x", 101)
	keys, patch := b.home.path("/keys"), b.home.path("")
	for _, test := range []struct {
		method, path, body string
		want               []domain.FieldError
	}{
		{"POST", keys, `{}`, []domain.FieldError{{Pointer: "/name", Detail: "is required"}}},
		{"POST", keys, `{"name":""}`, []domain.FieldError{{Pointer: "/name", Detail: "must be 1 to 100 characters"}}},
		{"POST", keys, `{"name":"  "}`, []domain.FieldError{{Pointer: "/name", Detail: "must not be empty"}}},
		{"POST", keys, `{"name":"` + long + `"}`, []domain.FieldError{{Pointer: "/name", Detail: "must be 1 to 100 characters"}}},
		{"POST", keys, `{"name":17}`, []domain.FieldError{{Pointer: "/name", Detail: "must be a string"}}},
		{"POST", keys, `{"name":null}`, []domain.FieldError{{Pointer: "/name", Detail: "must not be null"}}},
		{"POST", keys, `{"Name":"a"}`, []domain.FieldError{
			{Pointer: "/Name", Detail: "is not a field of this request; the name is name"}, {Pointer: "/name", Detail: "is required"},
		}},
		{"POST", keys, `{"name":"a","a/b~c":1}`, []domain.FieldError{{Pointer: "/a~1b~0c", Detail: "is not a field of this request"}}},
		{"POST", keys, `{"name":"a","` + long + `":1}`, []domain.FieldError{
			{Pointer: "/" + long[:40] + "…", Detail: "is not a field of this request"},
		}},
		{"POST", keys, `{"name":"a","environment":"prod"}`, []domain.FieldError{{Pointer: "/environment", Detail: "must be one of live test"}}},
		{"POST", keys, `{"name":"a","scopes":["documents:read","x"]}`, []domain.FieldError{
			{Pointer: "/scopes/1", Detail: "must match ^[a-z][a-z0-9_.-]{0,31}:[a-z][a-z0-9_.-]{0,63}$"},
		}},
		{"POST", keys, `{"name":"a","scopes":["users:read"]}`, []domain.FieldError{
			{Pointer: "/scopes/0", Detail: "is not a scope that a key may hold; its resource name is reserved"},
		}},
		{"POST", keys, `{"name":"a","metadata":{"a/b":1}}`, []domain.FieldError{{Pointer: "/metadata/a~1b", Detail: "must be a string"}}},
		{"POST", keys, `{"name":"a","expires_at":"tomorrow"}`, []domain.FieldError{
			{Pointer: "/expires_at", Detail: "must be a time as RFC 3339 has it, such as 2026-03-02T09:30:00Z, and not before 1970"},
		}},
		// The zero time reads as never, so it must not get in.
		{"POST", keys, `{"name":"a","expires_at":"0001-01-01T00:00:00Z"}`, []domain.FieldError{
			{Pointer: "/expires_at", Detail: "must be a time as RFC 3339 has it, such as 2026-03-02T09:30:00Z, and not before 1970"},
		}},
		{"POST", keys, `{"name":"a\u0000","metadata":{"b":"\u0000"}}`, []domain.FieldError{
			{Pointer: "/metadata/b", Detail: "must not hold NUL"}, {Pointer: "/name", Detail: "must not hold NUL"},
		}},
		{"PATCH", patch, `{}`, []domain.FieldError{{Pointer: "", Detail: "must have at least 1 fields"}}},
		{"PATCH", patch, `{"key_prefix":"sk"}`, []domain.FieldError{
			{Pointer: "/key_prefix", Detail: "is used by another vendor, whose secret scanner would claim your keys; choose another"},
		}},
		{"POST", "/v1/keys/verify", `{"key":"x"}`, []domain.FieldError{
			{Pointer: "/project_id", Detail: "is required of users: it names the project whose keys are asked about"},
		}},
		{"POST", "/v1/me/password", `{"current":"a","new":"` + long[:11] + `"}`, []domain.FieldError{{Pointer: "/new", Detail: "must be 12 to 256 characters"}}},
	} {
		got := b.call(t, test.method, test.path, b.home.owner.as, test.body).fails(t, http.StatusUnprocessableEntity, failed)
		if diff := cmp.Diff(test.want, fieldsOf(t, got)); diff != "" {
			t.Errorf("%s %s: %s", test.method, test.body, diff)
		}
	}
	b.nothingStored(t)
}

func fieldsOf(t *testing.T, a answer) []domain.FieldError {
	t.Helper()
	var p api.Problem
	a.want(t, a.status, &p)
	var fields []domain.FieldError
	for _, f := range p.Errors {
		fields = append(fields, domain.FieldError(f))
	}
	slices.SortFunc(fields, func(a, b domain.FieldError) int { return strings.Compare(a.Pointer, b.Pointer) })
	return fields
}

// Guarantees that no answer repeats a value that it refuses: it may be a secret
// in the wrong field.
func TestRefusedValuesAreNotRepeated(t *testing.T) {
	t.Parallel()
	b := newBadInput(t)
	const canary = "c4n4ry-5ecret-value"
	bodies(func(method, path string, op *openapi3.Operation, schema *openapi3.Schema) {
		address := b.address(t, path)
		for name := range schema.Properties {
			for _, value := range []string{`"` + canary + `"`, `["` + canary + `"]`, `{"a":"` + canary + `"}`,
				`"` + strings.Repeat(canary, 100) + `"`} {
				fields := example(schema)
				fields[name] = value
				got := b.call(t, method, address+"?"+"limit="+canary, b.home.owner.as, object(fields))
				if got.status < 400 || strings.Contains(string(got.body), canary) {
					t.Errorf("%s, %s: %d %s", op.OperationID, name, got.status, got.body)
				}
			}
		}
	})
	if strings.Contains(b.Logged.String(), canary) {
		t.Error("the log repeats a refused value")
	}
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	b := newBadInput(t)
	for _, list := range []string{
		"/v1/organizations", "/v1/organizations/" + string(b.home.organization.ID) + "/projects", b.home.path("/keys"),
		"/v1/organizations/" + string(b.home.organization.ID) + "/audit-events",
	} {
		for query, want := range map[string]domain.Code{
			"limit=0": failed, "limit=-1": failed, "limit=201": failed, "limit=x": failed, "limit=": failed, "limit=1.5": failed,
			"limit=1e2":  failed,
			"limit=0x10": failed, "limit=99999999999999999999": failed, "limit=1&limit=2": failed, "limit=1&limit=1": failed,
			"Limit=1": failed,
			"cursor=": failed, "cursor=x": failed, "cursor=" + strings.Repeat("x", 300): failed, "cursor=%00": failed,
			"cursor=LS4x": failed,
			"nosuch=1":    failed, "=1": failed, "a[b]=c": failed, "limit[]=1": failed,
			"limit=%zz": malformed, "a;b": malformed, "cursor=%ff": malformed, "%ff=1": failed,
		} {
			got := b.call(t, "GET", list+"?"+query, b.home.owner.as, nil)
			if got.status != statusOf[want] || got.code() != want {
				t.Errorf("%s?%s: got %d %s, want %s", list, query, got.status, got.code(), want)
			}
		}
		b.call(t, "GET", list+"?limit=200", b.home.owner.as, nil).want(t, http.StatusOK, nil)
	}
	for query, want := range map[string]domain.Code{
		"status=gone": failed, "status=Active": failed, "environment=prod": failed, "search=": failed, "external_id=": failed,
		"search=a%00b": failed, "status=active&status=revoked": failed, "key=x": failed,
	} {
		b.call(t, "GET", b.home.path("/keys?"+query), b.home.owner.as, nil).fails(t, statusOf[want], want)
	}
	for _, query := range []string{"since=yesterday", "until=2026-13-01T00:00:00Z", "since=0001-01-01T00:00:00Z", "since=", "actor=",
		"Actor=x"} {
		b.call(t, "GET", "/v1/organizations/"+string(b.home.organization.ID)+"/audit-events?"+query, b.home.owner.as, nil).
			fails(t, http.StatusUnprocessableEntity, failed)
	}
	for _, path := range []string{"/healthz", "/v1/me", "/v1/whoami", b.home.path("")} {
		b.call(t, "GET", path+"?x=1", b.home.owner.as, nil).fails(t, http.StatusUnprocessableEntity, failed)
	}
}
