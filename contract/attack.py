"""What schemathesis cannot read from openapi.yaml: how to get credentials, and which valid requests may be refused."""

import itertools
import json
import os
import re
from typing import Any

import requests
import schemathesis

URL = os.environ["LATCHKEY_URL"]
SCOPES = [
    "project:read",
    "project:write",
    "keys:read",
    "keys:write",
    "keys:verify",
    "usage:read",
    "limits:read",
    "limits:write",
    "webhooks:read",
    "documents:read",
]
LONGEST = 500  # characters of a value in an address
people = itertools.count(1)
account = {"email": os.environ["LATCHKEY_EMAIL"], "password": os.environ["LATCHKEY_PASSWORD"]}


def post(path: str, body: dict[str, Any], bearer: str = "") -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    answer = requests.post(URL + path, json=body, headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.json()


def access_token() -> str:
    """Log in, or sign up a new user if an attack has changed the password."""
    try:
        return post("/v1/auth/login", account)["access_token"]
    except requests.HTTPError:
        account["email"] = f"attacker-{next(people)}@example.com"
        return post("/v1/auth/signup", account)["access_token"]


def api_key() -> str:
    bearer = access_token()
    organization = post("/v1/organizations", {"name": "Attacked"}, bearer)
    project = post(f"/v1/organizations/{organization['id']}/projects", {"name": "Attacked"}, bearer)
    key = {"name": "attacker", "scopes": SCOPES}
    return post(f"/v1/projects/{project['id']}/keys", key, bearer)["token"]


def kind(case: schemathesis.Case, _context: object) -> str:
    """Tell which credential an operation gets. Where both will do it is the user's, who sees what all links point to."""
    definition = case.operation.definition.raw
    schemes = {scheme for alternative in definition["security"] for scheme in alternative}
    if definition["operationId"] in ("logOut", "revokeOtherSessions"):
        return "session of its own"
    if definition["operationId"] in ("getCaller", "verifyKey") or "BearerJWT" not in schemes:
        return "key" if schemes else "none"
    return "user"


@schemathesis.auth(cache_by_key=kind, refresh_interval=120)
class Credentials:
    """A good credential for every operation that takes one; anew when an attack has ended it."""

    def get(self, case: schemathesis.Case, context: object) -> dict[str, str]:
        match kind(case, context):
            case "none":
                return {}
            case "key":
                return {"X-Api-Key": api_key()}
            case _:
                return {"Authorization": f"Bearer {access_token()}"}

    def set(self, case: schemathesis.Case, data: dict[str, str], _context: object) -> None:
        case.headers.update(data)


calls = itertools.count()


@schemathesis.hook
def before_call(_context: object, case: schemathesis.Case, _kwargs: object) -> None:
    """Send three of four requests without what makes most of them be refused, so that more is reached.

    What goes into an address is cut to what one may have: a longer one is refused before the contract is asked.
    """
    for values in (case.query, case.path_parameters):
        for name, value in list((values or {}).items()):
            if isinstance(value, str):
                values[name] = value[:LONGEST]
    if next(calls) % 4 and case.meta is not None and case.meta.generation.mode.is_positive:
        case.headers.pop("If-Match", None)
        case.headers.pop("Idempotency-Key", None)
        case.query.pop("cursor", None)


# What a valid request may be refused for with 412 or 422, though OpenAPI has no words for it.
REASONS = {
    ("idempotency_mismatch", None),  # the same Idempotency-Key with another body
    ("precondition_failed", None),  # an If-Match of another revision
    ("validation_failed", "cursor"),  # cursors are opaque: only those handed out are good
    ("validation_failed", "/password"),  # common passwords
    ("validation_failed", "/new"),
    ("validation_failed", "action"),  # of no form that an action has
    ("validation_failed", "created_by"),  # of no form that an id has
    ("validation_failed", "actor"),
    ("validation_failed", "target"),
    ("validation_failed", "since"),  # after until, or too long ago for minutes
    ("validation_failed", "until"),
    ("validation_failed", "/since"),  # the same of a rehearsal
    ("validation_failed", "/until"),
    ("validation_failed", "interval"),  # minutes of anything but a whole project
    ("validation_failed", "group_by"),
    ("validation_failed", "tag"),  # with keys, customers, environments or plans
    ("validation_failed", ""),  # of a selection of all keys
    ("validation_failed", "/created_by"),
    ("validation_failed", "/plan_id"),  # of no plan of the project
    ("validation_failed", "/url"),  # of a form that a webhook's address must not have, or not public
    ("validation_failed", "/limit"),  # of no credits that the key or the external id has
    ("validation_failed", "/key_id"),  # neither it nor an external id, or of no key of the project
    ("validation_failed", "/external_id"),  # beside a key_id, or of keys on several plans
    ("validation_failed", "/amount"),  # nothing
    ("validation_failed", "/key"),  # neither it nor a key_id
    ("validation_failed", "/ip"),  # of the length of an address only
    ("validation_failed", "/project_id"),  # required of users
    ("validation_failed", "/expires_at"),  # of a service token: in the past
    ("validation_failed", "/spend_id"),  # of no verification of the key, or without a negative cost
}


# Where a field of a limit is refused, by a rule that OpenAPI 3.0 can only say in words.
RULES_OF_LIMITS = [
    (r"type", r"is not enforced by this version, which refuses what it cannot enforce"),
    (r"limit|period|burst|initial|refill|time_zone", r"does not apply to limits of the type (rate|quota|credits)"),
    (r"name", r"is the name of another limit in this list"),
    (r"limit", r"is required: a number, or null for no limit"),
    (r"limit", r"must be at most 1000000 a second"),
    (r"period", r"must be one of second, minute, hour, day"),  # of a rate
    (r"period", r"must be one of hour, day, week, month, year"),  # of a quota
    (r"burst", r"needs a limit"),
    (r"burst", r"must be 1 to what the rate allows in a year, .*"),
    (r"time_zone", r"needs a refill"),
    (r"time_zone", r"must be the name of a time zone \(IANA\), .*"),
    (r"refill/amount", r"must be at most the maximum"),
]


def in_prose(error: dict[str, str], key: bool) -> bool:
    """Tell whether a field breaks a rule that OpenAPI 3.0 can only say in words.

    No NUL, no control characters in names, names in metadata and in a cost, addresses, and RULES_OF_LIMITS. A key's own
    limits are counted per key.
    """
    pointer, said = error["pointer"], error["detail"]
    if said == "must not hold NUL" or said.startswith("must not contain control characters") or pointer.endswith("/metadata"):
        return True
    if re.fullmatch(r"(/keys/\d+)?/allowed_ips/\d+", pointer) and said.startswith("must be an address or a network"):
        return True
    if re.fullmatch(r"/events/\d+", pointer) and said in ("is there already", "must be the only entry"):
        return True
    if pointer == "/cost" and said == "must have names of limits only":
        return True
    if key and re.fullmatch(r"(/keys/\d+)?/limits/\d+/per", pointer) and said == "must be key":
        return True
    return any(
        re.fullmatch(rf"(/keys/\d+)?/limits/\d+/({field})", pointer) and re.fullmatch(rule, said) for field, rule in RULES_OF_LIMITS
    )


@schemathesis.check
def refusals_of_valid_requests_have_a_reason(
    _context: object, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (412, 422):
        return
    problem = json.loads(response.content)
    key = "Key" in case.operation.definition.raw["operationId"]
    errors = [error for error in problem.get("errors", []) if not in_prose(error, key)]
    reasons = {(problem["code"], error["pointer"]) for error in errors}
    if "errors" not in problem:
        reasons = {(problem["code"], None)}
    if not reasons <= REASONS:
        raise AssertionError(f"A valid request was refused: {sorted(reasons - REASONS, key=str)} {errors}")
