"""Django and Django REST Framework.

Change one import of djangorestframework-api-key, and Latchkey verifies the keys:

    from latchkey_verify.django.permissions import HasAPIKey  # was rest_framework_api_key.permissions
"""

import functools

from django.conf import settings

from .. import Latchkey


@functools.lru_cache(maxsize=1)
def latchkey():
    """Returns the one Latchkey of this process, made by settings.LATCHKEY, a dictionary, or the environment."""
    return Latchkey(**getattr(settings, "LATCHKEY", {}))


def check(request, key, scopes=()):
    """Returns what Latchkey says about the key of a request."""
    one = latchkey()
    ip = one.client_ip(request) if one.client_ip else request.META.get("REMOTE_ADDR")
    return one.check(key, scopes, ip)
