package api

import "strings"

// ask is one request; names of tokens stand for them, and again for another header of the same name.
type ask struct{ method, path, authorization, key, contentType, body string }

// again separates the values of a header that is sent more than once.
const again = "\n"

const plainJSON = "application/json"

var asks = []ask{
	{"GET", "/v1/project", "", "$VERIFIER", "", ""},
	{"GET", "/v1/project", "", "$OTHER", "", ""},
	{"POST", "/v1/keys/verify", "", "$OTHER", plainJSON, `{"key":"$OTHER"}`},
	{"GET", "/v1/project", "", "$BOUND", "", ""},
	{"GET", "/v1/project", "", "$AFAR", "", ""},
	{"POST", "/v1/keys/verify", "", "$AFAR", plainJSON, `{"key":"$RICH"}`},
	{"POST", "/v1/keys/verify", "", "$BOUND", plainJSON, `{"key":"$BOUND","ip":"192.0.2.1"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"ip":"::ffff:192.0.2.1","key":"$BOUND"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$BOUND"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$BOUND","ip":"203.0.113.1","scopes":["a:b"]}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","ip":"fe80::1%eth0"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","ip":"x"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","ip":""}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","ip":"::1","ip":"::1"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","ip":null}`},
	{"GET", "/v1/project?x=1", "", "$RICH", "", ""},
	{"GET", "/v1/project", "Api-Key $RICH", "", "", ""},
	{"GET", "/v1/project", "api-key  $RICH", "", "", ""},
	{"GET", "/v1/project", "Bearer $JWT", "", "", ""},
	{"GET", "/v1/project", "Bearer $JWT", "$VERIFIER", "", ""},
	{"GET", "/v1/project", "", "", "", ""},
	{"GET", "/v1/project", "", "$REVOKED", "", ""},
	{"GET", "/v1/project", "", "$EXPIRED", "", ""},
	{"GET", "/v1/project", "", "$RETIRING", "", ""},
	{"GET", "/v1/project", "Api-Key $RICH", "$RICH", "", ""},
	{"GET", "/v1/project", "", "$VERIFIERx", "", ""},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, ` { "scopes" : [ "documents:read" , "documents:write" ] , "key" : "$RICH" } `},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","scopes":[]}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","scopes":["documents:delete"]}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","scopes":["documents"]}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","scopes":null}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","project_id":"$PROJECT"}`},
	{"POST", "/v1/keys/verify", "", "$OTHER", plainJSON, `{"key":"$RICH","project_id":"$PROJECT"}`},
	{"POST", "/v1/keys/verify", "", "$OTHER", plainJSON, `{"key":"$RICH"}`},
	{"POST", "/v1/keys/verify", "", "$RICH", plainJSON, `{"key":"$RICH"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$REVOKED"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$EXPIRED"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RETIRING"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$CURRENT"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$FOREIGN"}`},
	{"GET", "/v1/project", "", "$LIMITED", "", ""},
	{"GET", "/v1/project", "", "$OWN", "", ""},
	{"GET", "/v1/project", "", "$SPENT", "", ""},
	{"GET", "/v1/project", "", "$QUOTA", "", ""},
	{"GET", "/v1/project", "", "$BROKE", "", ""},
	{"GET", "/v1/project", "", "$POOR", "", ""},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$QUOTA"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$QUOTA","cost":{"monthly":4,"credits":10}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$BROKE"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$POOR"}`},
	{"GET", "/v1/project", "Bearer $JWT", "$OWN", "", ""},
	{"POST", "/v1/keys/verify", "", "$LIMITED", plainJSON, `{"key":"$LIMITED"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$OWN","cost":{}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$SPENT"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$SPENT","cost":{"none":0,"nothing":0}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$SPENT","scopes":["documents:read"]}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"cost":{"tokens":30,"requests":0,"other":7},"key":"$LIMITED"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$LIMITED","cost":{"tokens":51,"requests":8}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$LIMITED","cost":{"tokens":1000000000000}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$LIMITED","cost":{"tokens":1000000000001}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$LIMITED","cost":{"tokens":1,"tokens":2}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$LIMITED","cost":{"tokens":01}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$LIMITED","cost":{"tokens":1.5}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$LIMITED","cost":{"tokens":-1}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$LIMITED","cost":{"tokens":1e2}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$LIMITED","cost":{"Tokens":1}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$LIMITED","cost":null}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$LIMITED","cost":{},"cost":{}}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","environment":"live"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"environment":"test","key":"$RICH"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","environment":"Test"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","environment":""}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","environment":null}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","environment":"live","environment":"live"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"tag":"POST /v1/chat","key":"$RICH"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$REVOKED","tag":" ~"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","tag":""}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","tag":null}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","tag":7}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","tag":"é"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","tag":"a\nb"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","tag":"a","tag":"a"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","tag":"` + strings.Repeat("t", 64) + `"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH","tag":"` + strings.Repeat("t", 65) + `"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":""}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"x"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"\u0078"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"x","key":"y"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"Key":"x"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"x"}{}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"x",}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{,"key":"x"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"scopes":["a:b"]}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"x","scopes":["a:b",]}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"x","other":1}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"x","project_id":"prj_x"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, ``},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", "text/plain", `{"key":"x"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", "application/json; charset=utf-8", `{"key":"$RICH"}`},
	{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"` + strings.Repeat("k", leanBody) + `"}`},
	{"POST", "/v1/keys/verify", "Bearer $JWT", "", plainJSON, `{"key":"$RICH","project_id":"$PROJECT"}`},
	{"POST", "/v1/keys/verify", "Bearer $JWT", "", plainJSON, `{"key":"$RICH"}`},
	{"POST", "/v1/keys/verify", "Bearer $JWT", "$VERIFIER", plainJSON, `{"key":"$RICH"}`},
	{"POST", "/v1/keys/verify", "Bearer x", "", plainJSON, `{"key":"$RICH","project_id":"$PROJECT"}`},
	{"POST", "/v1/keys/verify", "", "", plainJSON, `{"key":"$RICH"}`},
	{"GET", "/v1/keys/verify", "", "$VERIFIER", "", ""},
}

// brokenAsks returns requests to the two hot operations that are each wrong in one
// place: what the lean edge must leave to the ordinary one, or refuse as it does.
func brokenAsks() (all []ask) {
	verify := func(body string) { all = append(all, ask{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, body}) }
	for _, body := range []string{
		`{"key":"$RICH" "scopes":[]}`, `{"key":"$RICH",,"scopes":[]}`, `{"key":"$RICH","scopes":["a:b" "c:d"]}`, `{"key" "$RICH"}`,
		`{"key":"$RICH"`,
		`"key":"$RICH"}`, `{"key":"$RICH"}}`, `{"key":"$RICH"} x`, `[{"key":"$RICH"}]`, `{"key":["$RICH"]}`, `{"key":null}`, `{"key":1}`,
		`{"key":$RICH}`,
		`{'key':'$RICH'}`, `{key:"$RICH"}`, `{"key":"$RICH","scopes":{}}`, `{"key":"$RICH","scopes":[[]]}`,
		`{"key":"$RICH","scopes":"a:b"}`,
		`{"key":"$RICH","scopes":[""]}`, `{"key":"$RICH","scopes":[":"]}`, `{"key":"$RICH","scopes":["a:b:c"]}`,
		`{"key":"$RICH","scopes":["A:b"]}`,
		`{"key":"$RICH","scopes":["a:B"]}`, `{"key":"$RICH","scopes":["a b:c"]}`, `{"key":"$RICH","scopes":["1a:b"]}`,
		`{"key":"$RICH","scopes":["a:_b"]}`,
		`{"key":"$RICH","scopes":["` + strings.Repeat("a", 32) + `:b"]}`, `{"key":"$RICH","scopes":["` + strings.Repeat("a", 33) + `:b"]}`,
		`{"key":"$RICH","scopes":["a:` + strings.Repeat("b", 64) + `"]}`, `{"key":"$RICH","scopes":["a:` + strings.Repeat("b", 65) + `"]}`,
		`{"key":"$RICH","scopes":["a:b"` + strings.Repeat(`,"a:b"`, 99) + `]}`,
		`{"key":"$RICH","scopes":["a:b"` + strings.Repeat(`,"a:b"`, 100) + `]}`,
		"{\"key\":\"$RICH\",\"scopes\":[\"a:b\x00\"]}", "{\"key\":\"$RICH\",\"scopes\":[\"a:b\x7f\"]}",
		"{\"key\":\"$RICH\",\"scopes\":[\"a:\xff\"]}",
		"{\"key\":\"$RICH\",\"scopes\":[\"a:\\u0062\"]}", "{\"key\":\"\xff\xfe\"}", "{\"key\":\"a\tb\"}", "{\"key\":\"\"}",
		"{\"k\\u0065y\":\"$RICH\"}",
		`{"key":"$RICH","scopes":[],"scopes":[]}`, `{"key":"$RICH","project_id":"$PROJECT","project_id":"$PROJECT"}`,
		`{"key":"$RICH","project_id":""}`,
		`{"key":"$RICH","project_id":null}`, `{"key":"$RICH","project_id":"$PROJECT "}`,
		`{"key":"$RICH","project_id":"key_00000000000000000000000000"}`,
		"\ufeff{\"key\":\"$RICH\"}", "\v{\"key\":\"$RICH\"}", "{\"key\":\"$RICH\"}\x00", strings.Repeat(" ", leanBody) + `{"key":"$RICH"}`,
	} {
		verify(body)
	}
	credentials := []ask{
		{authorization: "Api-Key"}, {authorization: "Api-Key "},
		{authorization: "Api-Key\t$VERIFIER"}, {authorization: "Api-Key $VERIFIER $VERIFIER"}, {authorization: "$VERIFIER"},
		{authorization: " "}, {authorization: "Basic dTpw"}, {authorization: "Bearer"}, {authorization: "Bearer "},
		{authorization: "Bearer $VERIFIER"}, {authorization: "Bearer $JWTx"}, {authorization: "Bearer $JWT" + again + "Bearer $JWT"},
		{authorization: "Api-Key $VERIFIER" + again + "Api-Key $VERIFIER"}, {authorization: "Api-Key $VERIFIER", key: "$VERIFIER"},
		{authorization: "Bearer $JWT", key: "$VERIFIER"}, {authorization: "Bearer x", key: "$VERIFIER"},
		{authorization: "Bearer $JWT", key: "x"}, {authorization: "Basic dTpw", key: "$VERIFIER"},
		{key: "$VERIFIER" + again + "$VERIFIER"}, {key: "$VERIFIER" + again}, {key: "$VERIFIER $VERIFIER"}, {key: " $VERIFIER "},
		{key: " "}, {key: "\xff"}, {key: "$VERIFIER\x00"}, {key: "$REVOKED"}, {key: "$EXPIRED"}, {key: "$FOREIGN"}, {key: "$FOREIGN!"},
		{key: strings.Repeat("k", maxTokenLength)}, {key: strings.Repeat("k", maxTokenLength+1)},
		{authorization: "Bearer " + strings.Repeat("k", maxAccessTokenLength+1)}, {},
	}
	for _, c := range credentials {
		for _, body := range []string{`{"key":"$RICH"}`, `{"key":"$RICH","project_id":"$PROJECT"}`, `{"key":}`, ``} {
			all = append(all, ask{"POST", "/v1/keys/verify", c.authorization, c.key, plainJSON, body})
		}
		all = append(all, ask{"GET", "/v1/project", c.authorization, c.key, "", ""})
	}
	for _, declared := range []string{"", "application/json;charset=utf8", "application/json; charset=latin1", "Application/JSON",
		"application/json" + again + "application/json", "text/json"} {
		all = append(all, ask{"POST", "/v1/keys/verify", "", "$VERIFIER", declared, `{"key":"$RICH"}`})
	}
	return all
}
