#!/usr/bin/env python3
"""Runs what the pages of this repository print, block by block, and fails for a block that nothing runs.

A page is any Markdown file. Its shell blocks run in one shell, in order, in a folder of the page's own, beside the files
in contract/guides/PAGE; those of README.md run in a copy of this repository. What a block prints is the text block after
it; without one it prints nothing. There "…" matches anything on a line, and the spaces after it any number of spaces;
alone it matches any lines. A word after the language names the file that a program is saved as, for later blocks to run.
A page that starts its own server finds nothing; any other finds an instance and these variables: LATCHKEY_URL,
LATCHKEY_API_KEY for an API that asks, PRESENTED for a customer's key.

A page says which scopes these keys need, in the words that NEEDS matches, and runs with keys that hold exactly those.
Then it runs once for each scope with a key that lacks it, or, where the page creates the key, with the scope removed
from its text. That run is in a plain shell, as a reader's is: it must fail, and say which scope is missing.

A comment right before a block says what the reader does not see: "keeps running: TEXT" that its command runs until the
next such command, and has printed TEXT, "in CI" that .ci/run runs it, "run by TEST" that this Go test does, "not run here" that nothing
does, and the page says so, "folders" that it is a list of folders, and "drawing" that it is a drawing, whose files must exist.

Usage: guides.py [PAGE...]; without any, all of them.
"""

import json
import os
import pathlib
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Self

from pages import (
    BUILT,
    CREATED,
    CREATES,
    ROOT,
    Block,
    Failed,
    Wrong,
    compare,
    drawing,
    folders,
    in_ci,
    in_test,
    names,
    needs,
    output,
    read,
    settings,
)

FIXED = ROOT / "contract" / "guides"
SERVER = ROOT / "contract" / "server"
WORK = BUILT / "guides"
FROZEN = ROOT / "repository" / "storetest" / "testdata"
PATIENCE = 600  # seconds for one block, which may have to compile everything
PROGRAMS = {"go": "go run", "javascript": "node", "python": "python"}
SUFFIXES = {"go": "go", "javascript": "mjs", "python": "py"}


def wait_for(what: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > end:
            raise Wrong(otherwise())
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Page:
    """A page while it is run, with keys that hold all scopes that it names or all except the one that is missing."""

    def __init__(self, name: str, missing: tuple[str, str] = ("", "")) -> None:
        self.name = name
        self.text = (ROOT / name).read_text()
        self.missing = missing
        if missing[0] == CREATED:
            self.text = CREATES.sub(lambda made: made[0].replace(f'"{missing[1]}"', ""), self.text, count=1)
        self.blocks = read(self.text)
        self.folder = WORK / name.replace("/", "-").removesuffix(".md")
        self.shell: subprocess.Popen[str] | None = None
        self.goes_on: subprocess.Popen[bytes] | None = None
        self.instance = False
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("LATCHKEY_")}

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder, ignore_errors=True)
        fixed = FIXED / pathlib.Path(self.name).stem
        if self.folder.name == "README":
            clone(self.folder)
        elif fixed.is_dir():
            shutil.copytree(fixed, self.folder)
        else:
            self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.goes_on, self.shell:
            end(process)
        if self.instance:
            output(SERVER, "stop")

    def run(self) -> int:
        """Run all blocks and return how many there are."""
        last: Block | None = None
        printed: str | None = None  # by the last block, and not yet compared
        for block in [*self.blocks, Block(0, "", "", "", "")]:
            if block.language == "text" and block.comment not in ("folders", "drawing"):
                if last is None or printed is None:
                    raise Wrong(f"line {block.line}: no block before it prints this")
                compare(last, printed, block.text)
                printed = None
                continue
            if last is not None and printed:
                raise Wrong(f"line {last.line}:\n{last.text}printed what no text block shows:\n{printed}")
            last, printed = block, self.one(block) if block.line else None
        return len(self.blocks)

    def one(self, block: Block) -> str | None:
        """Run a block and return what it printed."""
        if block.comment == "folders":
            return folders(block)
        if block.comment == "drawing":
            return drawing(block)
        if block.comment == "in CI":
            return in_ci(block)
        if block.comment == "not run here":
            return None
        if block.comment.startswith("run by "):
            return in_test(block)
        match block.language:
            case "sh" if not block.name:
                return self.bash(block.text)
            case "console":
                return self.console(block)
            case "sh" | "go" | "javascript" | "python":
                return self.program(block)
            case "nginx":
                return self.nginx(block)
            case "ini":
                return self.pgbouncer(block)
            case "dotenv":
                return self.settings(block)
        raise Wrong(f"line {block.line}: nothing runs a block of {block.language or 'no language'}:\n{block.text}")

    def prepare(self) -> None:
        """Start the shell, and the instance that a page finds."""
        if self.shell is not None:
            return
        port = free_port()
        self.environment |= {
            "PATH": f"{ROOT / 'sdk' / 'published'}:{BUILT}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CURL_HOME": str(self.folder),
            "LISTEN": f"127.0.0.1:{port}",
            "PORT": str(port),
            "UVICORN_PORT": str(port),
            "PIP_FIND_LINKS": str(ROOT / "build" / "sdk"),
            "PIP_NO_INDEX": "1",
            "PIP_QUIET": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_TARGET": str(self.folder / "installed"),
            "PYTHONPATH": str(self.folder / "installed"),
        }
        # The addresses that the pages name are those of a free port.
        lines = [f'connect-to = "127.0.0.1:{named}:127.0.0.1:{port}"\n' for named in (8000, 8080, 8081)]
        (self.folder / ".curlrc").write_text("".join(lines))
        if any(b.language == "go" for b in self.blocks):
            (self.folder / "go.mod").write_text("module example.com/documents\n\ngo 1.26\n")
            (self.folder / "go.work").write_text(f"go 1.26.0\n\nuse {ROOT}\nuse .\n")
        if "latchkey serve\n" in "".join(b.text for b in self.blocks):
            self.environment |= {"LATCHKEY_LISTEN": f"127.0.0.1:{port}", "LATCHKEY_ADMIN_LISTEN": "127.0.0.1:0"}
        else:
            self.prepare_instance()
        self.shell = subprocess.Popen(
            ["bash"] if self.missing[0] else ["bash", "-euo", "pipefail"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "stderr").open("w"),
            text=True,
            start_new_session=True,
        )

    def prepare_instance(self) -> None:
        def server(*arguments: str) -> str:
            return subprocess.check_output([SERVER, *arguments], text=True).strip()

        self.instance = True
        exports = re.findall(r"(LATCHKEY_\w+)='(.*?)'", server("start"))
        home = BUILT / "instance"
        scopes = {"LATCHKEY_API_KEY": [], "PRESENTED": ["documents:read"]} | needs(self.text)
        held = {name: ",".join(s for s in all if (name, s) != self.missing) for name, all in scopes.items()}
        self.environment |= dict(exports) | {
            "LATCHKEY_API_KEY": server("key", "payments", held["LATCHKEY_API_KEY"]),
            "PRESENTED": server("customer", "payments", held["PRESENTED"]),
            "LATCHKEY_DATABASE": f"sqlite:{home / 'latchkey.db'}",
            "LATCHKEY_MASTER_KEY": (home / "latchkey.key").read_text().strip(),
        }
        self.environment["LATCHKEY_PUBLIC_URL"] = self.environment["LATCHKEY_URL"]
        if (self.folder / "manage.py").exists():
            self.prepare_django()

    def prepare_django(self) -> None:
        """Give Django a database that the library has made, and three of its tokens: good, expired and revoked."""
        shutil.copy(FROZEN / "django-3.sqlite3", self.folder / "db.sqlite3")
        keys = json.loads((FROZEN / "django-3.json").read_text())["keys"]
        tokens = {key["name"]: key["token"] for key in reversed(keys)}
        named = {"DJANGO_TOKEN": "nightly export", "EXPIRED": "expired", "REVOKED": "revoked"}
        self.environment |= {variable: tokens[name] for variable, name in named.items()}

    def bash(self, text: str) -> str:
        """Run lines in the page's shell."""
        self.prepare()
        assert self.shell is not None and self.shell.stdin is not None and self.shell.stdout is not None
        lines, done = self.folder / ".block", f"done {secrets.token_hex(8)}"
        lines.write_text(text)
        # Read from a file, so that a command that reads its input does not read the next lines.
        self.shell.stdin.write(f". {lines} </dev/null; echo '{done}' $?\n")
        self.shell.stdin.flush()
        late = threading.Timer(PATIENCE, end, [self.shell])
        late.start()
        got = ""
        try:
            while not (finished := re.search(rf"{done} (\d+)\n\Z", got)):
                line = self.shell.stdout.readline()
                if not line:
                    break
                got += line
        finally:
            late.cancel()
        if not finished or finished[1] != "0":
            said = "".join(
                (self.folder / name).read_text() for name in ("stderr", "goes-on") if (self.folder / name).exists()
            )
            raise Failed(f"{text}failed after printing\n{got}{said}")
        return got[: finished.start()]

    def console(self, block: Block) -> str:
        commands = "".join(line[2:] + "\n" for line in block.text.splitlines() if line.startswith("$ "))
        shown = "".join(line + "\n" for line in block.text.splitlines() if not line.startswith("$ "))
        if stays := block.comment.partition("keeps running: ")[2]:
            self.stay(commands, stays)
            return ""
        compare(block, self.bash(commands), shown)
        return ""

    def stay(self, command: str, until: str) -> None:
        """Run a command that keeps running, and wait until it has printed a text."""
        self.prepare()
        end(self.goes_on)
        log = self.folder / "goes-on"
        with log.open("w") as out:
            running = self.goes_on = subprocess.Popen(
                ["bash", "-euc", command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

        def said() -> bool:
            if running.poll() is not None:
                raise Wrong(f"{command}ended:\n{log.read_text()}")
            return until in log.read_text()

        wait_for(said, lambda: f"{command}has not said {until!r}:\n{log.read_text()}")

    def program(self, block: Block) -> str | None:
        self.prepare()
        name = block.name or f"program.{SUFFIXES[block.language]}"
        (self.folder / name).write_text(block.text)
        if not block.name:
            return self.bash(f"{PROGRAMS[block.language]} {name}\n")
        later = "".join(b.text for b in self.blocks if b.line > block.line)
        later += "".join(found.read_text() for found in self.folder.glob("manage.py"))
        runs = r"go (run|test) \." if block.language == "go" else rf"\b{name.partition('.')[0]}\b"
        if not re.search(runs, later):
            raise Wrong(f"line {block.line}: no block runs {name}")
        return ""

    def nginx(self, block: Block) -> str:
        """Have nginx check a part of its configuration, with certificates made here."""
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=keys.example.com"]
        output(*request, "-keyout", key, "-out", certificate)
        text = re.sub(r"/etc/ssl/[^;]*\.key", str(key), re.sub(r"/etc/ssl/[^;]*\.pem", str(certificate), block.text))
        text = text.replace("listen 443", f"listen 127.0.0.1:{free_port()}")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{kind}_temp_path {self.folder};\n" for kind in kinds)
        whole = self.folder / "nginx.conf"
        whole.write_text(f"pid {self.folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{text}}}\n")
        if said := output("nginx", "-t", "-q", "-e", "stderr", "-c", whole):
            raise Wrong(f"line {block.line}: nginx says\n{said}")
        return ""

    def pgbouncer(self, block: Block) -> str:
        """Have PgBouncer start with a configuration, because it cannot only check one."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            folder.chmod(0o755)  # it refuses to be root
            (folder / "userlist.txt").touch()
            text = block.text.replace("/etc/pgbouncer", name).replace("6432", str(free_port()))
            (folder / "pgbouncer.ini").write_text(text + "unix_socket_dir =\n")
            log = folder / "log"
            with log.open("w") as out:
                user = ["-u", pwd.getpwuid(65534).pw_name] if os.geteuid() == 0 else []
                command = ["pgbouncer", *user, str(folder / "pgbouncer.ini")]
                running = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
            try:
                wait_for(lambda: "process up" in log.read_text() or running.poll() is not None, log.read_text)
                if running.poll() is not None or re.search("WARNING|ERROR|FATAL", log.read_text()):
                    raise Wrong(f"line {block.line}: pgbouncer says\n{log.read_text()}")
            finally:
                end(running)
        return ""

    def settings(self, block: Block) -> str:
        """Have the doctor check settings. Their database does not exist, and that is no error in settings."""
        given = dict(line.split("=", 1) for line in block.text.splitlines())
        given = {name: value.replace("…", b64encode(secrets.token_bytes(32)).decode()) for name, value in given.items()}
        said = output(BUILT / "latchkey", "doctor", env=self.environment | given, cwd=self.folder)
        if "ok    settings\n" not in said or "is no setting" in said:
            raise Wrong(f"line {block.line}: the doctor says\n{said}")
        return ""


def clone(folder: pathlib.Path) -> None:
    """Copy what Git would have after the next commit: what a reader of README.md has."""
    for name in output("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, target)


def end(process: subprocess.Popen | None) -> None:
    """End a process and all that it has started."""
    if process is not None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def gates() -> None:
    """Show that this program finds what it is there to find."""
    for text in (
        "```yaml\na: 1\n```\n",
        "```\nwhat is this\n```\n",
        "```sh\nfalse\n```\n",
        "```sh\necho one\n```\n",
        "```sh\necho one\n```\n\n```text\ntwo\n```\n",
        "```text\none\n```\n",
        "```python\nprint(1 / 0)\n```\n",
        "```python unused.py\npass\n```\n",
        "```nginx\nserver { listens 443; }\n```\n",
        "```ini\n[pgbouncer]\npool_mod = transaction\n```\n",
        "```dotenv\nLATCHKEY_SIGNUP=sometimes\n```\n",
        "<!-- in CI -->\n```console\n$ make nothing\n```\n",
        "```sh\necho unended\n",
        "    indented code\n",
        "- a list\n  ```sh\n  true\n  ```\n",
        "> ```sh\n> true\n> ```\n",
        "[a page](nowhere.md)\n",
        "[a part](README.md#nowhere)\n",
        "Set `LATCHKEY_NOTHING`.\n",
        "Run `make nothing`.\n",
        "Run `latchkey key nothing`.\n",
        "Watch `latchkey_nothing_total`.\n",
        '```sh\necho "$LATCHKEY_API_KEY" >/dev/null\n```\n',
    ):
        try:
            check(Made(text))
        except Wrong:
            continue
        sys.exit(f"This page was taken:\n{text}")


class Made(Page):
    """A page that gates makes up. It finds nothing."""

    def __init__(self, text: str) -> None:
        self.made = text
        super().__init__("README.md")
        self.folder = WORK / "made-up"
        self.text = text

    def prepare_instance(self) -> None:
        pass


def check(page: Page) -> int:
    page.blocks = read(page.text)
    with page:
        names(page.name, page.text)
        return page.run()


def refused(name: str) -> int:
    """Run a page once for each scope that it needs, without that scope, and return how often."""
    text = (ROOT / name).read_text()
    scopes = [(key, scope) for key, all in needs(text).items() for scope in all]
    scopes += [(CREATED, scope) for made in CREATES.findall(text)[:1] for scope in made.split('", "')]
    for missing in scopes:
        try:
            with Page(name, missing) as page:
                page.run()
        except Failed as failure:
            if missing[1] not in str(failure):
                raise Wrong(f"without {missing[1]} it does not say what is missing: {failure}") from failure
        else:
            raise Wrong(f"it succeeds although {missing[0]} lacks {missing[1]}")
    return len(scopes)


def pages() -> Iterator[str]:
    yield from sorted(
        output("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md", cwd=ROOT).splitlines()
    )


def main() -> None:
    subprocess.run([ROOT / "contract" / "prepare"], check=True)
    subprocess.run([SERVER, "build"], check=True)
    subprocess.run([ROOT / "sdk" / "pack"], check=True)
    os.environ["PATH"] = f"{BUILT / 'venv' / 'bin'}:{os.environ['PATH']}:/usr/sbin"  # where Debian has nginx
    WORK.mkdir(parents=True, exist_ok=True)
    readme = (ROOT / "README.md").read_text()
    for page in pages():
        if pathlib.PurePath(page).parent.name == "docs" and f"]({page})" not in readme:
            sys.exit(f"README.md does not lead to {page}")
    gates()
    for file in sorted((ROOT / "deploy").rglob("*")):
        if file.is_file():
            settings(file.read_text())
    for page in sys.argv[1:] or pages():
        start = time.monotonic()
        try:
            count, lacking = check(Page(page)), refused(page)
        except Wrong as wrong:
            sys.exit(f"{page}: {wrong}")
        print(f"{page}: {count} blocks, {lacking} missing scopes, {time.monotonic() - start:.0f} s", flush=True)
    shutil.rmtree(WORK)


main()
