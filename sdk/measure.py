"""Verifies one key over HTTP and from memory, in turn, and prints both in microseconds and their ratio."""

import http.client
import json
import os
import platform
import time
import urllib.parse

from latchkey_verify import Latchkey

presented = os.environ["PRESENTED"]
latchkey = Latchkey()
conn = http.client.HTTPConnection(urllib.parse.urlsplit(os.environ["LATCHKEY_URL"]).netloc)
headers = {"Content-Type": "application/json", "X-Api-Key": os.environ["LATCHKEY_API_KEY"]}


def ask():
    conn.request("POST", "/v1/keys/verify", json.dumps({"key": presented}), headers)
    return json.load(conn.getresponse())["code"]


def local():
    return latchkey.check(presented).code


def timed(what, count):
    began = time.perf_counter()
    for _ in range(count):
        assert what() == "valid"
    return (time.perf_counter() - began) * 1e6 / count


while not latchkey.check(presented).local:
    time.sleep(0.1)
rounds = sorted(((timed(ask, 300), timed(local, 20_000)) for _ in range(7)), key=lambda r: r[0] / r[1])
over, near = rounds[3]
print(f"Python {platform.python_version()}, http.client | {over:.0f} | {near:.1f} | {over / near:.0f}")
