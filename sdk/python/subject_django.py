"""The service that sdk/conformance drives: Django REST Framework behind wsgiref."""

import socketserver
import sys
import wsgiref.simple_server

import django
from django.conf import settings
from subject_core import Controls

settings.configure(
    ROOT_URLCONF="subject_urls", ALLOWED_HOSTS=["*"], INSTALLED_APPS=["rest_framework"], LOGGING_CONFIG=None, LATCHKEY={},
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
)
django.setup()

from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from latchkey_verify.django import latchkey
from latchkey_verify.django.permissions import HasAPIKey, HasScopes
from rest_framework.decorators import api_view, permission_classes
from rest_framework.response import Response


@api_view()
@permission_classes([HasAPIKey])
def open_to_keys(request):
    return Response(request.latchkey.key["id"])


@api_view()
@permission_classes([HasScopes("documents:read")])
def documents(request):
    return Response(request.latchkey.key["id"])


def make(options):
    settings.LATCHKEY = options
    latchkey.cache_clear()
    return latchkey()


controls = Controls(make)


def control(request, what):
    return HttpResponse(controls(what, request.META["QUERY_STRING"], request.body))


sys.modules["subject_urls"] = urls = type(sys)("subject_urls")
urls.urlpatterns = [path("open", open_to_keys), path("documents", documents), path("test/<what>", control)]


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads, request_queue_size = True, 256


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args):
        pass


server = Server(("127.0.0.1", 0), Handler)
server.set_app(get_wsgi_application())
print(server.server_port, flush=True)
server.serve_forever()
