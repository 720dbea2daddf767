"""Make API keys with djangorestframework-api-key, in an SQLite database.

Usage: django-keys.py DATABASE

Prints, as JSON, what the library printed once and stored nowhere: the tokens,
and for each whether the library itself finds it good. scripts/prove-django-import
runs it and imports the result; service/testdata/django.json and
cmd/latchkey/testdata/django.sqlite3 were made by it.
"""

import importlib.metadata
import json
import pathlib
import sys
import tempfile
from datetime import timedelta

database = pathlib.Path(sys.argv[1]).resolve()
app = pathlib.Path(tempfile.mkdtemp()) / "heroes"
app.mkdir()
(app / "__init__.py").touch()
(app / "models.py").write_text(
    """
from django.db import models
from rest_framework_api_key.models import AbstractAPIKey

class HeroAPIKey(AbstractAPIKey):
    hero = models.CharField(max_length=20)
"""
)
sys.path.insert(0, str(app.parent))

import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database)}},
    INSTALLED_APPS=["rest_framework_api_key", "heroes"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command
from django.utils import timezone
from heroes.models import HeroAPIKey
from rest_framework_api_key.models import APIKey

call_command("migrate", run_syncdb=True, verbosity=0)
version = importlib.metadata.version("djangorestframework-api-key")
day = timedelta(days=1)
tokens = []
for model, fields in [
    (APIKey, {"name": "nightly export"}),
    (APIKey, {"name": "expires far away", "expiry_date": timezone.now() + 36500 * day}),
    (APIKey, {"name": "expired", "expiry_date": timezone.now() - day}),
    (APIKey, {"name": "revoked", "revoked": True}),
    (HeroAPIKey, {"name": "of a hero", "hero": "ada"}),
]:
    key, token = model.objects.create_key(**fields)
    tokens.append({
        "table": model._meta.db_table, "name": key.name, "prefix": key.prefix, "hashed_key": key.hashed_key, "token": token,
        "created": key.created.isoformat(), "expiry_date": key.expiry_date and key.expiry_date.isoformat(), "revoked": key.revoked,
        "good": model.objects.is_valid(token),
    })
json.dump({"library": f"djangorestframework-api-key {version}", "keys": tokens}, sys.stdout, indent=1)
print()
