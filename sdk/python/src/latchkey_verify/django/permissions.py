"""What rest_framework_api_key.permissions has, and HasScopes."""

from django.conf import settings
from rest_framework import permissions
from rest_framework.exceptions import APIException

from .. import Unavailable, refusal_of
from . import check
from .models import APIKey


class KeyParser:
    """Finds the key of a request: in Authorization after the keyword, or in the header that API_KEY_CUSTOM_HEADER names."""

    keyword = "Api-Key"

    def get(self, request):
        header = getattr(settings, "API_KEY_CUSTOM_HEADER", None)
        return self.get_from_authorization(request) if header is None else self.get_from_header(request, header)

    def get_from_authorization(self, request):
        keyword, found, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        return key if found and keyword.lower() == self.keyword.lower() else None

    def get_from_header(self, request, name):
        return request.META.get(name) or None


class NoAnswer(APIException):
    """There is no answer from Latchkey."""

    status_code = 503
    default_detail = {"code": "unavailable", "detail": "API keys cannot be verified right now. Try again shortly."}
    wait = 1  # Retry-After


class Limited(APIException):
    """A limit of the key refuses the request."""

    def __init__(self, refused):
        super().__init__({"code": refused.code, "detail": refused.detail})
        self.status_code = refused.status
        if "Retry-After" in refused.headers:
            self.wait = int(refused.headers["Retry-After"])


class BaseHasAPIKey(permissions.BasePermission):
    """Allows a request with a valid key. request.latchkey has what is known about it."""

    model = None  # latchkey_verify.django.models.APIKey, or a table based on the library's AbstractAPIKey
    scopes = ()
    key_parser = KeyParser()

    def get_key(self, request):
        return self.key_parser.get(request)

    def has_permission(self, request, view):
        assert self.model is not None, f"{type(self).__name__} must define `.model` with the API key model to use"
        key = self.get_key(request)
        if not key:
            return False
        if self.model is not APIKey:  # a table of your own, as before
            return self.model.objects.is_valid(key)
        try:
            result = check(request, key, self.scopes)
        except Unavailable:
            raise NoAnswer from None
        if result.code == "valid":
            request.latchkey = result
            return True
        refused = refusal_of(result, self.scopes)
        if refused.status in (402, 429):
            raise Limited(refused)
        self.message = {"code": refused.code, "detail": refused.detail}
        return False


class HasAPIKey(BaseHasAPIKey):
    model = APIKey


def HasScopes(*scopes):
    """Returns a permission that also demands scopes: HasScopes("documents:read")."""
    return type("HasScopes", (HasAPIKey,), {"scopes": scopes})


__all__ = ["APIKey", "BaseHasAPIKey", "HasAPIKey", "HasScopes", "KeyParser"]
