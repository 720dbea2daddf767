"""The service that sdk/conformance drives: http.server with the core. The other subjects use its controls."""

import http.server
import json
import logging
import os
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "src"))
from latchkey_verify import Latchkey
from latchkey_verify.refusals import limit_headers

logging.basicConfig(level=logging.INFO)


class Controls:
    """What the suite does to the SDK of a case."""

    def __init__(self, make):
        self.make, self.latchkey, self.ahead = make, None, 0.0

    def __call__(self, what, query, body):
        """Does one thing, and returns the answer."""
        if what == "begin":
            self.ahead = 0.0
            self.latchkey = self.make({**json.loads(body), "clock": lambda: time.monotonic() + self.ahead})
            self.latchkey.start()
        elif what == "advance":
            self.ahead += float(urllib.parse.parse_qs(query)["seconds"][0])
        elif what == "stats":
            return json.dumps({"in_sync": self.latchkey.stats()["in_sync"]})
        elif what == "close":
            self.latchkey.close()
        return "null"


controls = Controls(lambda options: Latchkey(**options))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        url = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, {}, controls(url.path.removeprefix("/test/"), url.query, body).encode())

    def do_GET(self):
        scopes = ["documents:read"] if self.path == "/documents" else []
        result, refused = controls.latchkey.admit(self.headers.items(), scopes, self.client_address[0])
        if refused:
            return self.answer(refused.status, refused.headers, refused.body)
        return self.answer(200, limit_headers(result.verification), result.key["id"].encode())

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
