#!/bin/bash
# Fills one database of each kind with the program of 0.1, and writes each as SQL,
# with what its clients know of it as JSON, into the folder of this script. It needs
# git, go, curl, jq, sqlite3, python3 and PostgreSQL's programs in the PATH, and a
# user that may run them.
set -euo pipefail
commit=87c2a5305f267c56ff302047d43f27ec4353c00a
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
chmod 711 "$work"
server=
end() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; server=; }
trap 'end; stop_postgres; rm -rf "$work"' EXIT

as_postgres() { if [ "$(id -u)" = 0 ]; then su postgres -s /bin/bash -c "PATH='$PATH' $*"; else bash -c "$*"; fi; }
start_postgres() {
  mkdir "$work/pg"
  [ "$(id -u)" != 0 ] || chown postgres "$work/pg"
  as_postgres "cd $work/pg && initdb -D data -U postgres -A trust -E UTF8 --locale=C >log &&
    pg_ctl -D data -s -w -l log -o \"-c listen_addresses= -c unix_socket_directories=$work/pg\" start"
}
stop_postgres() { [ ! -d "$work/pg/data" ] || as_postgres "pg_ctl -D $work/pg/data -s -m immediate stop" || true; }

git -C "$(git -C "$here" rev-parse --show-toplevel)" archive --output "$work/source.tar" "$commit"
mkdir "$work/source"
tar -xf "$work/source.tar" -C "$work/source"
(cd "$work/source" && go build -buildvcs=false -o "$work/latchkey" ./cmd/latchkey)

# The master key of the API's tests.
LATCHKEY_MASTER_KEY=$(printf '\1\2\3%029d' 0 | tr 0 '\0' | base64)
export LATCHKEY_MASTER_KEY LATCHKEY_LOG=json LATCHKEY_PUBLIC_URL=http://127.0.0.1:8080
export LATCHKEY_LISTEN=127.0.0.1:0 LATCHKEY_ADMIN_LISTEN=127.0.0.1:0

serve() { # DATABASE
  LATCHKEY_DATABASE=$1 "$work/latchkey" serve 2>"$work/log" &
  server=$!
  for _ in $(seq 100); do
    url=http://$(jq -r 'select(.msg == "serving").address' "$work/log" 2>/dev/null) && [ "$url" != http:// ] && return
    sleep 0.1
  done
  cat "$work/log"; exit 1
}

# call METHOD PATH CREDENTIAL [BODY [HEADER]] prints the answer and stops at an error.
call() {
  curl -sS --fail-with-body -X "$1" -H "$3" ${4:+-H 'Content-Type: application/json' -d "$4"} ${5:+-H "$5"} "$url$2"
}
sign_up() { call POST /v1/auth/signup 'X-None: 1' "$(jq -n --arg n "$1" '{email: "\($n)@example.com", password: "seven violet lamps at the harbour", name: $n}')"; }

fill() { # NAME DATABASE
  serve "$2"
  local ada bob bearer org project keys facts
  ada=$(sign_up ada) bob=$(sign_up bob)
  bearer="Authorization: Bearer $(jq -r .access_token <<<"$ada")"
  org=$(call POST /v1/organizations "$bearer" '{"name":"Acme"}' | jq -r .id)
  project=$(call POST "/v1/organizations/$org/projects" "$bearer" '{"name":"API"}' | jq -r .id)
  keys=/v1/projects/$project/keys
  facts=$(jq -n --arg o "$org" --arg p "$project" '{organization: $o, project: $p, keys: [], imported: []}')
  key() { # STATUS MADE [TOKEN]
    facts=$(jq --arg s "$1" --argjson m "$2" --arg t "${3:-}" '.keys += [{id: $m.key.id, token: (if $t == "" then $m.token else $t end), code: $s}]' <<<"$facts")
  }

  local plain rich rotated again gone made
  plain=$(call POST "$keys" "$bearer" '{"name":"plain"}'); key "" "$plain"
  rich=$(call POST "$keys" "$bearer" '{"name":"rich","scopes":["keys:read","keys:verify","documents:read"],"external_id":"cust_7","environment":"test",
    "metadata":{"plan":"gold"},"expires_at":"2099-01-31T12:00:00Z"}'); key "" "$rich"
  rotated=$(call POST "$keys" "$bearer" '{"name":"rotated"}'); key "" "$rotated"
  again=$(call POST "$keys/$(jq -r .key.id <<<"$rotated")/rotate" "$bearer" '{"grace_seconds":86400}'); key "" "$again"
  gone=$(call POST "$keys" "$bearer" '{"name":"revoked"}'); key key_revoked "$gone"
  call POST "$keys/$(jq -r .key.id <<<"$gone")/revoke" "$bearer" '{"reason":"lost"}' >"$work/null"
  key key_expired "$(call POST "$keys" "$bearer" '{"name":"expired","expires_at":"2026-01-01T00:00:00Z"}')"
  gone=$(call POST "$keys" "$bearer" '{"name":"deleted"}'); key invalid_api_key "$gone"
  call DELETE "$keys/$(jq -r .key.id <<<"$gone")" "$bearer"
  local closed
  closed=$(call POST "/v1/organizations/$org/projects" "$bearer" '{"name":"Closed"}' | jq -r .id)
  key project_disabled "$(call POST "/v1/projects/$closed/keys" "$bearer" '{"name":"closed"}')"
  call PATCH "/v1/projects/$closed" "$bearer" '{"status":"disabled"}' >"$work/null"

  # Requests that can be repeated: one that made a key, and one that rotated it.
  made=$(call POST "$keys" "$bearer" '{"name":"repeated"}' 'Idempotency-Key: "key-of-0.1-0123456789"'); key "" "$made"
  again=$(call POST "$keys/$(jq -r .key.id <<<"$rich")/rotate" "$bearer" '{"grace_seconds":86400}' 'Idempotency-Key: "rotation-of-0.1-0123456789"')
  key "" "$again"
  facts=$(jq --arg keys "$keys" --argjson made "$made" --argjson again "$again" '.replays = [
    {path: $keys, body: {name: "repeated"}, idempotency_key: "\"key-of-0.1-0123456789\"", status: 201, token: $made.token},
    {path: "\($keys)/\($again.key.id)/rotate", body: {grace_seconds: 86400}, idempotency_key: "\"rotation-of-0.1-0123456789\"", status: 200, token: $again.token}
  ]' <<<"$facts")

  # Keys made elsewhere, one for each algorithm; one has been used since.
  local rows
  rows=$(python3 - <<'PY'
import base64, hashlib, json
rows = []
def add(algorithm, token, hash, prefix=""):
    rows.append({"token": token, "row": {"name": algorithm, "algorithm": algorithm, "hash": hash, **({"prefix": prefix} if prefix else {})}})
for algorithm, prefix in ("django-sha512", "Abcdefgh"), ("django-pbkdf2-sha256", "Ijklmnop"):
    token = prefix + "." + "s3cretOfThirtyTwoCharacters" + prefix[:5]
    if algorithm == "django-sha512":
        hash = "sha512$$" + hashlib.sha512(token.encode()).hexdigest()
    else:
        digest = hashlib.pbkdf2_hmac("sha256", token.encode(), b"salt", 1000)
        hash = "pbkdf2_sha256$1000$salt$" + base64.b64encode(digest).decode()
    add(algorithm, token, hash, prefix)
for token in "imported-token-0123456789-abcdefghij", "imported-used-0123456789-abcdefghij":
    add("sha256-hex", token, hashlib.sha256(token.encode()).hexdigest())
token = "imported-base64-0123456789-abcdefghij"
add("sha256-base64url", token, base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("="))
print(json.dumps(rows))
PY
)
  call POST "$keys/import" "$bearer" "$(jq '{keys: map(.row)}' <<<"$rows")" >"$work/imported"
  call GET /v1/project "X-Api-Key: imported-used-0123456789-abcdefghij" >"$work/null"
  facts=$(jq --argjson rows "$rows" '.imported = ($rows | map(.token))' <<<"$facts")

  # People: one invited and in, one invited and not yet; sessions of both kinds.
  local invitation pending refreshed other
  invitation=$(call POST "/v1/organizations/$org/invitations" "$bearer" '{"email":"bob@example.com","role":"developer"}')
  call POST /v1/invitations/accept "Authorization: Bearer $(jq -r .access_token <<<"$bob")" "$(jq '{token}' <<<"$invitation")" >"$work/null"
  pending=$(call POST "/v1/organizations/$org/invitations" "$bearer" '{"email":"cara@example.com","role":"viewer"}')
  call POST /v1/auth/signup 'X-None: 1' '{"email":"cara@example.com","password":"seven violet lamps at the harbour"}' >"$work/null"
  refreshed=$(call POST /v1/auth/refresh 'X-None: 1' "$(jq '{refresh_token}' <<<"$ada")")
  other=$(call POST /v1/auth/login 'X-None: 1' '{"email":"bob@example.com","password":"seven violet lamps at the harbour"}')
  curl -sS -c "$work/cookies" -o "$work/null" -H 'Sec-Fetch-Site: same-origin' \
    -d 'email=bob@example.com' --data-urlencode 'password=seven violet lamps at the harbour' "$url/console/sign-in"
  facts=$(jq --argjson ada "$ada" --argjson refreshed "$refreshed" --argjson other "$other" --argjson pending "$pending" \
    --arg cookie "$(awk '$6 == "latchkey_session" { print $7 }' "$work/cookies")" '
    .access_token = $refreshed.access_token | .refresh_token = $refreshed.refresh_token | .used_refresh_token = $ada.refresh_token |
    .other_refresh_token = $other.refresh_token | .cookie = $cookie | .invitation = $pending.token' <<<"$facts")
  grep -q latchkey_session "$work/cookies"
  call GET "/v1/organizations/$org/audit-events?limit=200" "$bearer" >"$work/events"
  jq --arg at "$(date -u +%Y-%m-%dT%H:%M:%SZ)" --slurpfile events "$work/events" \
    '.at = $at | .events = ($events[0].items | map(.id))' <<<"$facts" >"$here/$1.json"
  kill "$server"; wait "$server"; server=
}

fill sqlite "sqlite:$work/latchkey.db"
sqlite3 "$work/latchkey.db" .dump >"$here/sqlite.sql"
start_postgres
fill postgres "postgres://postgres@localhost:5432/postgres?host=$work/pg&sslmode=disable"
# Lines of psql, and settings that only some versions of the server know, are left out.
pg_dump --inserts --no-owner --no-privileges --no-comments -U postgres -h "$work/pg" postgres |
  grep -Ev '^(\\|--|SET transaction_timeout|$)' >"$here/postgres.sql"
