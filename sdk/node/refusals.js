// How requests are read and refused, for all frameworks.

const UNAUTHENTICATED = "Authentication required. Send an API key.";

// The status, title and detail of each problem, and the codes of verifications that lead to it.
const problems = {
  unauthenticated: [401, "Authentication required", UNAUTHENTICATED],
  ambiguous_credentials: [400, "Ambiguous credentials", "An API key was sent twice. Send it once."],
  invalid_api_key: [401, "Invalid API key", "The API key is not valid."],
  key_revoked: [401, "Key revoked", "The API key has been revoked."],
  key_expired: [401, "Key expired", "The API key has expired."],
  project_disabled: [401, "Project disabled", "The project of this API key is disabled."],
  insufficient_scope: [403, "Insufficient scope", "The API key lacks a scope that this request needs."],
  wrong_environment: [403, "Wrong environment", "The API key is of another environment."],
  address_not_allowed: [403, "Address not allowed", "The API key may not be used from this address."],
  rate_limited: [429, "Too many requests", "A limit of the API key is reached."],
  quota_exceeded: [429, "Quota exceeded", "A quota of the API key is used up."],
  credits_exhausted: [402, "Credits exhausted", "Credits of the API key are used up."],
  unavailable: [503, "Unavailable", "The answer cannot be known right now. Try again shortly."],
};
const names = { revoked: "key_revoked", expired: "key_expired" };

/** The answer to a client that is not let in: { status, headers, body }. */
export function refusal(code, scopes = [], more = {}) {
  const [status, title, detail] = problems[code];
  const headers = { "Content-Type": "application/problem+json", "Cache-Control": "no-store", ...more };
  if (status === 401) {
    headers["WWW-Authenticate"] = 'Api-Key realm="latchkey"';
    if (code !== "unauthenticated") headers["WWW-Authenticate"] += `, error="invalid_token", error_description="${detail}"`;
  }
  if (code === "insufficient_scope") {
    headers["WWW-Authenticate"] = `Api-Key realm="latchkey", error="insufficient_scope", scope="${scopes.join(" ")}"`;
  }
  if (status === 503) headers["Retry-After"] = "1";
  return { status, headers, body: JSON.stringify({ type: `/docs/errors#${code}`, title, status, detail, code }) };
}

/** The answer to the result of check. A code of a later release is like a key that is not valid. */
export function refusalOf(result, scopes) {
  const code = names[result.code] ?? result.code;
  const known = Object.hasOwn(problems, code) && problems[code][0] !== 503 ? code : "invalid_api_key";
  return refusal(known, scopes, limitHeaders(result.verification));
}

/** The headers that show a client the limits of its key. */
export function limitHeaders(said) {
  const headers = {};
  if (said?.limits?.length) {
    headers.RateLimit = said.limits.map((l) => `"${l.name}";r=${l.remaining}${l.next_after ? `;t=${l.next_after}` : ""}`).join(", ");
  }
  if (said?.retry_after) headers["Retry-After"] = String(said.retry_after);
  return headers;
}

/** The key that a request sends: { token } or { refusal }. headers yields pairs of names and values, each as it was sent. */
export function tokenOf(headers, { header, keyword }) {
  const own = (header ?? "x-api-key").toLowerCase();
  const found = [];
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    const text = value.replace(/^[ \t]+|[ \t]+$/g, "");
    if (lower === own) found.push(text);
    if (lower !== "authorization" || header) continue;
    const space = text.indexOf(" ");
    const scheme = (space < 0 ? text : text.slice(0, space)).toLowerCase();
    const token = space < 0 ? "" : text.slice(space + 1);
    if (scheme === keyword.toLowerCase() || scheme === "bearer" && !isJWT(token)) found.push(token);
  }
  if (found.length === 0) return { refusal: "unauthenticated" };
  return found.length === 1 ? { token: found[0] } : { refusal: "ambiguous_credentials" };
}

// A bearer token for someone else: no key has this form.
function isJWT(token) { return token.startsWith("eyJ") && token.split(".").length === 3; }

/** Whether a token is one word of visible ASCII of at most 512 bytes, as all keys are. */
export function visible(token) { return typeof token === "string" && /^[!-~]{1,512}$/.test(token); }
