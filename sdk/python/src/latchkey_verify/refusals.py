"""How requests are read and refused, for all frameworks."""

import collections
import json

Refusal = collections.namedtuple("Refusal", "status code detail headers body")

# The status, title and detail of each problem.
PROBLEMS = {
    "unauthenticated": (401, "Authentication required", "Authentication required. Send an API key."),
    "ambiguous_credentials": (400, "Ambiguous credentials", "An API key was sent twice. Send it once."),
    "invalid_api_key": (401, "Invalid API key", "The API key is not valid."),
    "key_revoked": (401, "Key revoked", "The API key has been revoked."),
    "key_expired": (401, "Key expired", "The API key has expired."),
    "project_disabled": (401, "Project disabled", "The project of this API key is disabled."),
    "insufficient_scope": (403, "Insufficient scope", "The API key lacks a scope that this request needs."),
    "wrong_environment": (403, "Wrong environment", "The API key is of another environment."),
    "address_not_allowed": (403, "Address not allowed", "The API key may not be used from this address."),
    "rate_limited": (429, "Too many requests", "A limit of the API key is reached."),
    "quota_exceeded": (429, "Quota exceeded", "A quota of the API key is used up."),
    "credits_exhausted": (402, "Credits exhausted", "Credits of the API key are used up."),
    "unavailable": (503, "Unavailable", "The answer cannot be known right now. Try again shortly."),
}
NAMES = {"revoked": "key_revoked", "expired": "key_expired"}


def refusal(code, scopes=(), more=None):
    """Returns the answer to a client that is not let in."""
    status, title, detail = PROBLEMS[code]
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store", **(more or {})}
    if status == 401:
        headers["WWW-Authenticate"] = 'Api-Key realm="latchkey"'
        if code != "unauthenticated":
            headers["WWW-Authenticate"] += f', error="invalid_token", error_description="{detail}"'
    if code == "insufficient_scope":
        headers["WWW-Authenticate"] = f'Api-Key realm="latchkey", error="insufficient_scope", scope="{" ".join(scopes)}"'
    if status == 503:
        headers["Retry-After"] = "1"
    body = {"type": f"/docs/errors#{code}", "title": title, "status": status, "detail": detail, "code": code}
    return Refusal(status, code, detail, headers, json.dumps(body).encode())


def refusal_of(result, scopes=()):
    """Returns the answer to the result of a check. A code of a later release is like a key that is not valid."""
    code = NAMES.get(result.code, result.code)
    if code not in PROBLEMS or PROBLEMS[code][0] == 503:
        code = "invalid_api_key"
    return refusal(code, scopes, limit_headers(result.verification))


def limit_headers(said):
    """Returns the headers that show a client the limits of its key."""
    headers = {}
    if said and said.get("limits"):
        headers["RateLimit"] = ", ".join(
            f'"{one["name"]}";r={one["remaining"]}' + (f";t={one['next_after']}" if one.get("next_after") else "") for one in said["limits"]
        )
    if said and said.get("retry_after"):
        headers["Retry-After"] = str(said["retry_after"])
    return headers


def token_of(headers, header, keyword):
    """Returns the key that a request sends, or the code of a refusal. headers are pairs, each as it was sent."""
    own, found = (header or "X-Api-Key").lower(), []
    for name, value in headers:
        value = value.strip(" \t")
        if name.lower() == own:
            found.append(value)
        if name.lower() != "authorization" or header:
            continue
        scheme, _, token = value.partition(" ")
        jwt = token.startswith("eyJ") and token.count(".") == 2  # for someone else: no key has this form
        if scheme.lower() == keyword.lower() or scheme.lower() == "bearer" and not jwt:
            found.append(token)
    if not found:
        return None, "unauthenticated"
    return (found[0], None) if len(found) == 1 else (None, "ambiguous_credentials")
