"""The settings of the library's own tests, which sdk/test runs with their import changed, against a real Latchkey."""

from django.conf import settings


def pytest_configure():
    settings.configure(
        SECRET_KEY="only for these tests",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        USE_TZ=True,
    )
