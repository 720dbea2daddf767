"""Verifies the API keys that clients send to your service, next to your code.

An answer of Latchkey is kept for up to a minute, and dropped as soon as the key
changes. The rules are in docs/local.md; sdk/conformance holds this package to them.
"""

import atexit
import collections
import datetime
import hashlib
import http.client
import ipaddress
import json
import logging
import os
import random
import re
import socket
import threading
import time
import urllib.parse

from .refusals import refusal, refusal_of, token_of

__all__ = ["Latchkey", "Result", "Unavailable", "refusal", "refusal_of", "token_of"]

QUIET = 5.0  # seconds: nothing is kept of what has changed, since another node may hear of it so much later
SLACK = 2.0  # that a call may take longer than it waits
LONGEST = 1 << 20  # of an answer, in bytes
MOST_USES = 500  # in one call
VISIBLE = re.compile(r"[!-~]{1,512}").fullmatch  # as all keys are

log = logging.getLogger("latchkey")
Result = collections.namedtuple("Result", "code key verification local")


class Unavailable(Exception):
    """There is no answer from Latchkey: refuse with 503."""


class _Refused(Exception):
    def __init__(self, status, code):
        super().__init__(f"Latchkey answered {status} {code}")
        self.status = status


class _Answer:
    __slots__ = ("end", "fresh", "said", "sent")

    def __init__(self, said, sent):
        self.said, self.sent, self.fresh, self.end = said, sent, sent, float("inf")


class _Flight:
    def __init__(self):
        self.done, self.answer = threading.Event(), None


class _Kept(collections.OrderedDict):
    """Forgets what was used least lately."""

    def __init__(self, most):
        super().__init__()
        self.most = most

    def find(self, key):
        if key in self:
            self.move_to_end(key)
        return self.get(key)

    def put(self, key, value):
        self[key] = value
        self.move_to_end(key)
        if len(self) > self.most:
            self.popitem(last=False)


def _time(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


def _shared(said):
    """Says whether an answer is good for all who ask at the same time.

    Each use of a key with limits costs, and a key with allowed_ips depends on the address.
    """
    return not said.get("limits") and said["code"] != "address_not_allowed" and not (said.get("key") or {}).get("allowed_ips")


def _address(ip):
    """Returns the address as Latchkey takes it. A question with anything else is refused."""
    try:
        address = ipaddress.ip_address((ip or "").partition("%")[0])
    except ValueError:
        return {}  # a Unix socket, or no address
    return {"ip": str(getattr(address, "ipv4_mapped", None) or address)}


def _pretend(keys, token):
    """Returns what Latchkey would say about a token of a fake."""
    if token not in keys:
        return {"valid": False, "code": "not_found", "max_age": 0}
    default = {"id": f"key_{token}", "name": token, "environment": "live", "status": "active", "scopes": [], "external_id": None}
    key = {**default, "prefix": token, "metadata": {}, "created_at": "2026-03-02T09:30:00Z", "expires_at": None, **keys[token]}
    code = "valid" if key["status"] == "active" else key["status"]
    return {"valid": code == "valid", "code": code, "max_age": 0, "token_id": token, "key": key}


class Latchkey:
    """Makes no request until the first question, so that importing it never fails."""

    def __init__(
        self, url=None, api_key=None, *, api_key_file=None, environment=None, header=None, keyword="Api-Key", grace=60, wait=20,
        timeout=2, asking=16, kept=10_000, client_ip=None, clock=time.monotonic, on_out_of_sync=None,
    ):
        self._url_text = url or os.environ.get("LATCHKEY_URL", "")
        self._key_text = api_key or os.environ.get("LATCHKEY_API_KEY", "")
        self._key_file = api_key_file or os.environ.get("LATCHKEY_API_KEY_FILE")
        self.environment, self.header, self.keyword, self.client_ip = environment, header, keyword, client_ip
        if not (0 <= grace <= 600 and 1 <= wait <= 20):
            raise ValueError("grace must be 0 to 600, and wait 1 to 20 seconds")
        self._grace, self._wait, self._timeout, self._clock, self._on_out_of_sync = grace, wait, timeout, clock, on_out_of_sync
        self._most = kept
        self._slots = threading.BoundedSemaphore(asking)
        self._lock = threading.Lock()
        self._known, self._unknown = _Kept(kept), _Kept(max(1, kept // 10))
        self._flights, self._changed, self._uses = {}, {}, {}
        self._cursor = self._last = None
        self._failed, self._reset, self._said = False, float("-inf"), float("-inf")
        self._hits = self._asked = self._url = 0
        self._idle = []  # connections
        self._closed = threading.Event()
        self._thread = self._pid = self._polling = self._fake = None

    @classmethod
    def fake(cls, keys, **options):
        """Returns one for your own tests: it knows these keys by their tokens, and asks no one."""
        made = cls(url="http://fake", api_key="fake", **options)
        made._fake, made._pid = keys, os.getpid()
        return made

    def start(self):
        """Begins to follow changes, if that has not begun in this process."""
        with self._lock:
            if self._fake is not None or self._pid == os.getpid() or self._closed.is_set():
                return
            self._pid = os.getpid()  # also another one after a fork
            self._urls = [one.strip().rstrip("/") for one in self._url_text.split(",")]
            if not all(re.match(r"https?://[^/]", one) for one in self._urls):
                raise ValueError("LATCHKEY_URL must start with https:// or http://")
            self._read_key()
            self._idle, self._last = [], None
            self._thread = threading.Thread(target=self._follow, name="latchkey", daemon=True)
            self._thread.start()
            atexit.register(self.close)

    def _read_key(self):
        self._key = self._key_text
        if self._key_file:
            with open(self._key_file, encoding="utf-8") as file:
                self._key = file.read().strip()
        if not self._key:
            raise ValueError("this service needs a key: LATCHKEY_API_KEY")

    def check(self, token, scopes=(), ip=None):
        """Answers about a token. ip is the address of the client. Raises Unavailable if there is no answer."""
        if self._pid != os.getpid():
            self.start()
        if not isinstance(token, str) or not VISIBLE(token):
            return Result("not_found", None, {}, True)
        digest = hashlib.sha256(token.encode()).digest()
        answer = self._find(digest, asked=False)
        local = answer is not None
        if answer is None:
            answer = self._ask(digest, token, ip)
        said, code, key = answer.said, answer.said["code"], answer.said.get("key")
        if said["valid"]:
            if self.environment and key["environment"] != self.environment:
                code = "wrong_environment"
            elif scopes and not set(scopes) <= set(key["scopes"]):
                code = "insufficient_scope"
            elif local:
                with self._lock:
                    self._use(said["token_id"], 1, time.time())
        return Result(code, key, said, local)

    def admit(self, headers, scopes=(), ip=None):
        """Judges a request by its headers, pairs of names and values: a Result and None, or what refuses it."""
        token, refused = token_of(headers, self.header, self.keyword)
        if refused:
            return None, refusal(refused)
        try:
            result = self.check(token, scopes, ip)
        except Unavailable:
            return None, refusal("unavailable")
        return result, None if result.code == "valid" else refusal_of(result, scopes)

    def stats(self):
        with self._lock:
            age = None if self._last is None else self._clock() - self._last
            kept = len(self._known) + len(self._unknown)
            return {"hits": self._hits, "asked": self._asked, "kept": kept, "in_sync": self._in_sync(), "sync_age": age}

    def close(self):
        """Stops following changes, and reports the uses that are not reported yet."""
        if self._closed.is_set() or self._pid != os.getpid() or self._fake is not None:
            return
        self._closed.set()
        polling = self._polling
        if polling is not None and polling.sock is not None:
            try:
                polling.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended
        self._thread.join(self._wait + SLACK)
        if self._uses:
            self._poll(0, 1.0)

    def _in_sync(self):
        return self._last is not None and not self._failed and self._clock() < self._last + self._wait + SLACK

    def _find(self, digest, asked):
        """Returns a kept answer that is good now; if Latchkey was asked and has not answered, as without it."""
        with self._lock:
            answer = self._known.find(digest) or self._unknown.find(digest)
            now = self._clock()
            if answer is None or now >= answer.end:
                return None
            good = now < answer.fresh
            if asked or not self._in_sync():
                good = answer.said["valid"] and self._last is not None and now < self._last + self._grace
            self._hits += good
            return answer if good else None

    def _keep(self, digest, answer):
        """Keeps an answer, unless it may already be untrue."""
        said, since = answer.said, answer.sent - QUIET
        with self._lock:
            if not said.get("max_age", 0) > 0 or not self._in_sync() or self._reset > since:
                return
            if self._changed.get(said.get("token_id"), since) > since:
                return
            answer.fresh = answer.sent + said["max_age"] * (1 - random.random() / 10)  # not all are asked about together
            if "deadline" in said:
                answer.end = answer.sent + said["deadline"]
            (self._known if said["valid"] else self._unknown).put(digest, answer)

    def _ask(self, digest, token, ip):
        """Asks once for all who ask at the same time."""
        with self._lock:
            flight = self._flights.get(digest)
            joined = flight is not None
            if not joined:
                flight = self._flights[digest] = _Flight()
        if joined:
            flight.done.wait(2 * self._timeout + 1)
            answer = flight.answer
            if answer is not None and not _shared(answer.said):
                answer = self._question(token, ip)
        else:
            answer = None
            try:
                answer = flight.answer = self._question(token, ip)
                if answer is not None:
                    self._keep(digest, answer)
            finally:
                with self._lock:
                    if self._flights.get(digest) is flight:
                        del self._flights[digest]
                flight.done.set()
        answer = answer or self._find(digest, asked=True)
        if answer is None:
            raise Unavailable("no answer from Latchkey")
        return answer

    def _question(self, token, ip):
        if self._fake is not None:
            return _Answer(_pretend(self._fake, token), self._clock())
        until = time.monotonic() + self._timeout
        if not self._slots.acquire(timeout=self._timeout):
            return None
        try:
            self._asked += 1
            sent = self._clock()
            said = self._post("/v1/keys/verify", {"key": token, **_address(ip)}, until)
            whole = said.get("code") == "valid" and isinstance(said.get("key"), dict) and said.get("token_id")
            if not isinstance(said.get("valid"), bool) or not isinstance(said.get("code"), str) or said["valid"] and not whole:
                return None
            return _Answer(said, sent)
        except (OSError, ValueError, AttributeError, http.client.HTTPException, _Refused):
            return None
        finally:
            self._slots.release()

    def _follow(self):
        while not self._closed.is_set():
            pause = self._poll(self._wait, self._wait + SLACK)
            self._closed.wait(pause)

    def _poll(self, wait, patience):
        """Asks for changes once, and returns how long to wait before the next call."""
        with self._lock:
            uses = list(self._uses.values())[:MOST_USES]
            for use in uses:
                del self._uses[use["token_id"]]
        ask = {"wait": wait, "uses": [{**use, "last_at": _time(use["last_at"])} for use in uses]}
        if self._cursor is not None:
            ask["cursor"] = self._cursor
        try:
            said = self._post("/v1/keys/sync", ask, time.monotonic() + patience, polls=True)
            cursor, changed, reset = said["cursor"], said["changed"], said["reset"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, http.client.HTTPException, _Refused) as error:
            with self._lock:
                was, self._failed = self._last is not None and not self._failed, True
                for use in uses:
                    self._use(use["token_id"], use["count"], use["last_at"])
            if was and not self._closed.is_set():
                log.warning("changes of keys are not heard for now: %s", error)
                if self._on_out_of_sync:
                    self._on_out_of_sync(error)
            return 5.0 if 400 <= getattr(error, "status", 0) < 500 else 0.1 + random.random()
        with self._lock:
            heard = self._hear(cursor, changed, reset)
        return 0.0 if heard else 0.1  # whatever answers, it is not asked all the time

    def _hear(self, cursor, changed, reset):
        now = self._clock()
        self._cursor, self._last, self._failed = cursor, now, False
        self._changed = {token: at for token, at in self._changed.items() if now - at < 6 * QUIET}
        if not changed and not reset:
            return False
        self._changed.update(dict.fromkeys(changed, now))
        if reset:
            self._reset = now
            self._forget()
        for digest in [d for d, answer in self._known.items() if answer.said["token_id"] in changed]:
            del self._known[digest]
        self._flights = {}  # a request from now on does not share a question from before
        return True

    def _forget(self):
        self._known.clear()
        self._unknown.clear()

    def _use(self, token, count, at):
        known = self._uses.get(token)
        if known is None and len(self._uses) >= self._most:
            return
        if known is not None:
            count, at = count + known["count"], max(at, known["last_at"])
        self._uses[token] = {"token_id": token, "count": count, "last_at": at}

    def _post(self, path, body, until, polls=False):
        """Sends a request to Latchkey. If no connection takes it, the next address gets it, once."""
        text = json.dumps(body).encode()
        for attempt in range(2):
            try:
                return self._send(self._urls[self._url % len(self._urls)], path, text, until, polls, fresh=attempt > 0)
            except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected):
                self._url += 1
                if attempt or self._closed.is_set() or time.monotonic() >= until:
                    raise
            except _Refused as error:
                self._url += error.status >= 500
                raise

    def _send(self, url, path, text, until, polls, fresh):
        parts = urllib.parse.urlsplit(url)
        left = max(0.01, until - time.monotonic())
        conn = None
        if not polls and not fresh and self._idle:
            try:
                base, conn = self._idle.pop()
            except IndexError:
                pass  # another thread was first
            if conn is not None and base != url:
                conn.close()
                conn = None
        if conn is None:
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            conn = kind(parts.netloc, timeout=left)
        if polls:
            self._polling = conn
        whole = False
        try:
            if conn.sock is not None:
                conn.sock.settimeout(left)
            headers = {"Content-Type": "application/json", "X-Api-Key": self._key, "Accept-Encoding": "identity"}
            conn.request("POST", parts.path + path, text, headers)
            response = conn.getresponse()
            if conn.sock is not None:
                conn.sock.settimeout(max(0.01, until - time.monotonic()))
            answer = response.read(LONGEST + 1)
            whole = len(answer) <= LONGEST and not response.will_close and not polls
            if response.status != 200:
                raise self._refused(response, answer)
            if len(answer) > LONGEST or response.getheader("Content-Encoding"):
                raise ValueError("the answer is not Latchkey's")
            return json.loads(answer)
        finally:
            if whole and len(self._idle) < 64:
                self._idle.append((url, conn))
            else:
                conn.close()

    def _refused(self, response, text):
        """Returns what an error says. If it is about the key of this service, nothing kept is used from now on."""
        try:
            problem = json.loads(text)
        except ValueError:
            problem = {}  # something else has answered
        problem = problem if isinstance(problem, dict) else {}
        if response.status in (401, 403):
            with self._lock:
                try:
                    self._read_key()
                except (OSError, ValueError):
                    pass  # the last one is all there is
                self._failed, self._last = True, None
                self._forget()
                now = time.monotonic()
                say = now - self._said >= 60
                self._said = now if say else self._said
            if say:
                request = problem.get("request_id") or response.getheader("X-Request-Id")
                code, detail = problem.get("code"), problem.get("detail")
                log.error("the key of this service is refused: %d %s (request %s): %r", response.status, code, request, detail)
        return _Refused(response.status, problem.get("code", ""))
