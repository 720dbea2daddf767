"""Cases of the library's test_model.py that need none of its tables, and what it has no test for."""

import datetime

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.test import RequestFactory
from latchkey_verify import Latchkey
from latchkey_verify.django import latchkey, permissions
from latchkey_verify.django.authentication import APIKeyAuthentication
from latchkey_verify.django.models import APIKey
from latchkey_verify.django.permissions import HasAPIKey, HasScopes
from rest_framework.response import Response
from rest_framework.views import APIView


def test_get_from_key():
    made, token = APIKey.objects.create_key(name="test", metadata={"team": "billing"})
    found = APIKey.objects.get_from_key(token)
    assert found == made and str(found) == "test" and found.metadata == {"team": "billing"}
    assert not found.revoked and not found.has_expired and found.prefix in token and found.created.tzinfo


@pytest.mark.parametrize("modify", [lambda _: "foobar", lambda token: token[:-1], lambda token: token.upper(), lambda _: ""])
def test_get_from_key_of_none(modify):
    _, token = APIKey.objects.create_key(name="test")
    with pytest.raises(APIKey.DoesNotExist):
        APIKey.objects.get_from_key(modify(token))
    assert issubclass(APIKey.DoesNotExist, ObjectDoesNotExist)


@pytest.mark.parametrize(("hours", "expired"), [(None, False), (1, False), (-1, True)])
def test_has_expired(hours, expired):
    now = datetime.datetime.now(datetime.UTC)
    _, token = APIKey.objects.create_key(name="test", expiry_date=now + datetime.timedelta(hours=hours) if hours else None)
    assert APIKey.objects.get_from_key(token).has_expired is expired
    assert APIKey.objects.is_valid(token) is not expired


def answer(permission, token=None, authentication=(), **more):
    class View(APIView):
        authentication_classes = authentication
        permission_classes = [permission]

        def get(self, request):
            return Response(request.auth and request.auth["name"])

    headers = {"HTTP_AUTHORIZATION": f"Api-Key {token}"} if token else {}
    return View.as_view()(RequestFactory().get("/", **headers, **more))


@pytest.fixture
def fake(monkeypatch):
    one = Latchkey.fake({"reader": {"scopes": ["documents:read"]}, "gone": {"status": "revoked"}})
    monkeypatch.setattr("latchkey_verify.django.latchkey", lambda: one)
    return one


@pytest.mark.usefixtures("fake")
def test_operators():
    for permission, statuses in {
        HasAPIKey: (200, 403, 403),
        ~HasAPIKey: (403, 200, 200),
        HasAPIKey & HasScopes("documents:read"): (200, 403, 403),
        HasScopes("documents:write"): (403, 403, 403),
        HasAPIKey | ~HasAPIKey: (200, 200, 200),
    }.items():
        assert tuple(answer(permission, token).status_code for token in ("reader", "gone", None)) == statuses


@pytest.mark.usefixtures("fake")
def test_authentication_answers_401():
    found = answer(HasAPIKey, "reader", [APIKeyAuthentication])
    refused = answer(HasAPIKey, "gone", [APIKeyAuthentication])
    assert (found.status_code, found.data) == (200, "reader")
    assert (refused.status_code, refused.data["code"]) == (401, "key_revoked")
    assert refused["WWW-Authenticate"] == 'Api-Key realm="latchkey"'
    assert answer(HasAPIKey, None, [APIKeyAuthentication]).status_code == 401


def test_a_table_of_your_own_is_asked_as_before():
    class Table:
        class objects:
            @staticmethod
            def is_valid(key):
                return key == "theirs"

    class HasOther(permissions.BaseHasAPIKey):
        model = Table

    assert [answer(HasOther, token).status_code for token in ("theirs", "ours")] == [200, 403]


def test_one_latchkey_for_a_process():
    assert latchkey() is latchkey()
