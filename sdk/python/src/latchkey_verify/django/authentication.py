"""For views that answer 401 and want request.auth: opt-in, since the library answers 403."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed

from .. import Unavailable, refusal_of
from . import check
from .permissions import KeyParser, Limited, NoAnswer


class APIKeyAuthentication(BaseAuthentication):
    """Proves the key of a request: request.auth is what Latchkey says about it."""

    key_parser = KeyParser()

    def authenticate(self, request):
        key = self.key_parser.get(request)
        if not key:
            return None
        try:
            result = check(request, key)
        except Unavailable:
            raise NoAnswer from None
        if result.code == "valid":
            return None, result.key
        refused = refusal_of(result)
        if refused.status in (402, 429):
            raise Limited(refused)
        raise AuthenticationFailed({"code": refused.code, "detail": refused.detail})

    def authenticate_header(self, request):
        return 'Api-Key realm="latchkey"'
