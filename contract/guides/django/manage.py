"""The Django project that docs/django.md is about: its views.py and permissions.py are written there."""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.management.commands.runserver import Command
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    DEBUG=True,
    INSTALLED_APPS=["rest_framework_api_key"],
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for this page",
    USE_TZ=True,
)


def documents(request):
    from views import Documents

    return Documents.as_view()(request)


urlpatterns = [path("documents", documents)]

if __name__ == "__main__":
    Command.default_port = os.environ["LISTEN"].rpartition(":")[2]
    execute_from_command_line(sys.argv)
