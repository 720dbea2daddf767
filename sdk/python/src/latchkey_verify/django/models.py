"""What rest_framework_api_key.models has, without a table: keys are in Latchkey."""

import datetime
import json
import types
import urllib.error
import urllib.parse
import urllib.request

from django.core.exceptions import ObjectDoesNotExist

from .. import Unavailable
from . import latchkey


def _time(text):
    return None if text is None else datetime.datetime.fromisoformat(text)


class _Manager:
    def is_valid(self, key):
        """Reports whether a key is valid. Raises Unavailable if there is no answer."""
        return latchkey().check(key).code == "valid"

    def get_from_key(self, key):
        """Returns the APIKey of a token, also if it has expired. Raises APIKey.DoesNotExist for all that may not be used."""
        result = latchkey().check(key)
        if result.code not in ("valid", "expired"):
            raise APIKey.DoesNotExist("Key is not valid.")
        return APIKey(result.key)

    def create_key(self, name, expiry_date=None, revoked=False, **more):
        """Makes a key and returns it with its token. LATCHKEY_API_KEY must hold keys:write."""
        if expiry_date is not None:
            expiry_date = expiry_date.astimezone(datetime.UTC).isoformat()
        project = self._call("GET", "/v1/project")["id"]
        made = self._call("POST", f"/v1/projects/{project}/keys", {"name": name, "expires_at": expiry_date, **more})
        if revoked:
            made["key"] = self._call("POST", f"/v1/projects/{project}/keys/{made['key']['id']}/revoke", {})
        return APIKey(made["key"]), made["token"]

    def _call(self, method, path, body=None):
        client = latchkey()
        client.start()
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Api-Key": client._key, "Content-Type": "application/json"}
        request = urllib.request.Request(client._urls[0] + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            problem = error.read().decode()
            raise ValueError(f"Latchkey refuses it: {problem}") from None
        except OSError as error:
            raise Unavailable(str(error)) from error


class APIKey(types.SimpleNamespace):
    """A key, as the library has it; external_id, scopes and metadata are there, too."""

    DoesNotExist = type("DoesNotExist", (ObjectDoesNotExist,), {})
    objects = _Manager()

    def __init__(self, key):
        super().__init__(
            id=key["id"], name=key["name"], prefix=key["prefix"], created=_time(key["created_at"]), expiry_date=_time(key["expires_at"]),
            revoked=key.get("revoked_at") is not None, external_id=key.get("external_id"), scopes=key["scopes"],
            metadata=key.get("metadata", {}), environment=key["environment"],
        )

    @property
    def has_expired(self):
        return self.expiry_date is not None and self.expiry_date < datetime.datetime.now(datetime.UTC)

    def __str__(self):
        return self.name
