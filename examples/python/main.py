"""What a third-party backend and a person's tool do with Latchkey, by the client from openapi-python-client.

The same program is here in three other languages.
"""

import os
import uuid
from typing import TypeVar

from latchkey_client import AuthenticatedClient, Client
from latchkey_client.api.account import log_in
from latchkey_client.api.keys import create_key, get_key, list_keys, rotate_key, verify_key
from latchkey_client.api.projects import get_current_project
from latchkey_client.models import (
    CreatedKey,
    CreateKeyRequest,
    Key,
    KeyList,
    LogInRequest,
    Problem,
    Project,
    RotateKeyRequest,
    Session,
    Verification,
    VerifyKeyRequest,
)

T = TypeVar("T")


class Refusal(Exception):
    """What Latchkey refused, and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail} (request {problem.request_id})")
        self.problem = problem


def expect(kind: type[T], answer: object) -> T:
    """Return the answer as what it should be, or raise the refusal that it is."""
    if isinstance(answer, Problem):
        raise Refusal(answer)
    if not isinstance(answer, kind):
        raise TypeError(f"{answer!r} is no {kind.__name__}")
    return answer


url = os.environ["LATCHKEY_URL"]
backend = AuthenticatedClient(url, token=os.environ["LATCHKEY_API_KEY"], prefix="", auth_header_name="X-Api-Key")
credentials = LogInRequest(os.environ["LATCHKEY_EMAIL"], os.environ["LATCHKEY_PASSWORD"])
session = expect(Session, log_in.sync(client=Client(url), body=credentials))
person = AuthenticatedClient(url, token=session.access_token)

# A key knows its project.
project = expect(Project, get_current_project.sync(client=backend))
print(f"The key belongs to the project {project.name}.")

# A person creates keys. Each token is there this once.
for name in "nightly-export", "invoices", "customer-portal":
    wanted = CreateKeyRequest(name, scopes=["documents:read"], external_id="customer-4711")
    created = expect(CreatedKey, create_key.sync(project.id, client=person, body=wanted))
print(f"{session.user.name} created the key {created.key.name}.")

# A service asks whether a token that was presented to it is good.
for scope in "documents:read", "documents:write":
    question = VerifyKeyRequest(created.token, scopes=[scope])
    answer = expect(Verification, verify_key.sync(client=backend, body=question))
    print(f"Asked for {scope}, the answer is {answer.code}.")

# A list comes in pages; next_cursor is None on the last one.
names = []
page = expect(KeyList, list_keys.sync(project.id, client=person, external_id="customer-4711", limit=2))
names += [key.name for key in page.items]
while page.next_cursor is not None:
    page = expect(
        KeyList,
        list_keys.sync(project.id, client=person, external_id="customer-4711", limit=2, cursor=page.next_cursor),
    )
    names += [key.name for key in page.items]
print(f"Page by page, customer-4711 has the keys {', '.join(names)}.")

# Refusals are typed errors.
try:
    expect(Key, get_key.sync(project.id, "key_00000000000000000000000000", client=person))
except Refusal as refusal:
    print(f"A key that does not exist: {refusal.problem.status} {refusal.problem.code}.")
try:
    expect(CreatedKey, create_key.sync(project.id, client=person, body=CreateKeyRequest("")))
except Refusal as refusal:
    where = refusal.problem.errors[0].pointer if refusal.problem.errors else "nowhere"
    print(f"A key without a name: {refusal.problem.status} {refusal.problem.code} at {where}.")

# A rotation whose answer was lost is asked for again under the same Idempotency-Key.
once = str(uuid.uuid4())
tokens = []
for _ in range(2):
    grace = RotateKeyRequest(grace_seconds=3600)
    rotated = rotate_key.sync(project.id, created.key.id, client=person, body=grace, idempotency_key=once)
    tokens.append(expect(CreatedKey, rotated).token)
if tokens[0] == tokens[1] != created.token:
    print("Rotated twice with one Idempotency-Key, the key has one new token.")
