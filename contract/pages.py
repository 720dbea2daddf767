"""Reads the pages of this repository and holds what they name to what there is: see guides.py."""

import pathlib
import re
import subprocess
from dataclasses import dataclass
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = ROOT / "build" / "contract"
# What the guides call the variables of programs that call Latchkey, beside its own settings.
CALLERS = {"LATCHKEY_URL", "LATCHKEY_API_KEY", "LATCHKEY_API_KEY_FILE", "LATCHKEY_EMAIL", "LATCHKEY_PASSWORD"}
# The sentence in which a page says what a key needs.
NEEDS = re.compile(r"`(LATCHKEY_API_KEY|PRESENTED)` needs (no scope|the scopes? `[^`]+`(?:(?:, | and )`[^`]+`)*)")
# Where the blocks of a page create a key.
CREATES = re.compile(r'"name": "[^"]+", "scopes": \["([^]]+)"\]')
CREATED = "the key that the page creates"


class Wrong(Exception):
    """What a page says is not true."""


class Failed(Wrong):
    """A block of a page ended with an error."""


@dataclass
class Block:
    line: int
    language: str
    name: str
    comment: str
    text: str


def read(page: str) -> list[Block]:
    """Return the blocks of a page, in order, and refuse what looks like one to a reader but not to this program."""
    found: list[Block] = []
    comment, fence, before = "", None, ""
    for number, line in enumerate(page.splitlines(), 1):
        if fence is not None:
            if line == "```":
                found.append(fence)
                fence = None
            else:
                fence.text += line + "\n"
        elif opening := re.fullmatch(r"```(\w*)(?: ([\w.]+))?", line):
            fence = Block(number, opening[1], opening[2] or "", comment, "")
        elif "```" in line or "~~~" in line or (line.startswith(("    ", "\t")) and not before.strip()):
            raise Wrong(f"line {number}: write a block between ``` at the beginning of lines: {line}")
        comment = (re.fullmatch(r"<!-- (.*) -->", line) or ["", ""])[1]
        before = line
    if fence is not None:
        raise Wrong(f"line {fence.line}: the block does not end")
    return found


def pattern(want: str) -> str:
    """Return the regular expression that an expected output is."""
    lines = []
    for line in want.splitlines():
        if line == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(re.sub(r"…((?:\\ )+)", r".*? +", re.escape(line)).replace("…", ".*?") + r"\n")
    return "".join(lines)


def needs(text: str) -> dict[str, list[str]]:
    """Return the scopes that a page says its keys need, by the variable that holds the key."""
    return {name: re.findall("`([^`]+)`", scopes) for name, scopes in NEEDS.findall(" ".join(text.split()))}


def compare(block: Block, got: str, want: str) -> None:
    if not re.fullmatch(pattern(want), got):
        raise Wrong(f"line {block.line}:\n{block.text}printed\n{got}instead of\n{want}")


def output(*command: object, **how: Any) -> str:
    """Run a program and return what it prints, whatever comes of it."""
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **how
    )
    return done.stdout


def folders(block: Block) -> str:
    """Hold a list of folders, the inner ones indented, to what there is."""
    above = ""
    for line in block.text.splitlines():
        inner = line.startswith(" ")
        for name in re.split(r"  +", line.strip())[0].split():
            above = above if inner else name
            if not (ROOT / (above if inner else "") / name).is_dir():
                raise Wrong(f"line {block.line}: there is no folder {name}")
    for package in {file.parent for file in (*ROOT.glob("api/*/*.go"), *ROOT.glob("service/*/*.go"))}:
        if package.name + "/" not in block.text.split():
            raise Wrong(f"line {block.line}: the folder {package.relative_to(ROOT)} is missing")
    return ""


def drawing(block: Block) -> str:
    """Hold the files that a drawing names to those that there are."""
    files = [str(file.relative_to(ROOT)) for file in ROOT.glob("*/**/*.go")]
    for name in re.findall(r"[\w/]+\.go", block.text):
        if not any(file == name or file.endswith("/" + name) for file in files):
            raise Wrong(f"line {block.line}: there is no file {name}")
    return ""


def in_ci(block: Block) -> str:
    for line in block.text.splitlines():
        if line.removeprefix("$ ") not in (ROOT / ".ci" / "run").read_text().splitlines():
            raise Wrong(f"line {block.line}: .ci/run does not run {line}")
    return ""


def in_test(block: Block) -> str:
    """Hold a block to the Go test that runs it: the test names the page and the block's language."""
    text = (ROOT / block.comment.removeprefix("run by ")).read_text()
    if f'"{block.language}"' not in text or "docs/proxies.md" not in text:
        raise Wrong(f"line {block.line}: the test does not run {block.language}")
    return ""


def anchors(page: str) -> set[str]:
    """Return what a link into a page can name: its headings, as the hosts of repositories write them."""
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def settings(text: str) -> None:
    """Hold the settings that a text names to those that there are."""
    known = set(re.findall(r'env:"(\w+)"', (ROOT / "cmd" / "latchkey" / "settings.go").read_text()))
    for setting in set(re.findall(r"\bLATCHKEY_\w*[A-Z]\b", text)) - CALLERS:
        if setting.removeprefix("LATCHKEY_") not in known:
            raise Wrong(f"there is no setting {setting}")


def names(name: str, text: str) -> None:
    """Hold what a page names in passing to what there is: files, settings, targets of make, commands."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        if re.match(r"https?:", target):
            continue
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            raise Wrong(f"there is no {target}")
    settings(text)
    if text.count("$LATCHKEY_API_KEY") and not (needs(text) or CREATES.search(text)):
        raise Wrong("it does not say which scopes LATCHKEY_API_KEY needs")
    sources = "".join(file.read_text() for folder in ("api", "cmd/latchkey") for file in (ROOT / folder).glob("*.go"))
    for metric in re.findall(r"`(latchkey_\w+)`", prose):
        if f'"{metric}"' not in sources and f'"{metric.removeprefix("latchkey_")}"' not in sources:
            raise Wrong(f"there is no metric {metric}")
    spans = re.findall(r"`([^`\n]+)`", prose)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for span in spans:
        if (made := re.fullmatch(r"make ([a-z-]+)", span)) and made[1] not in targets:
            raise Wrong(f"there is no {span}")
        said = re.match(r"latchkey((?: [a-z][a-z-]*(?=\s|$))+)", span)
        if said and f"  latchkey{said[1]}" not in output(BUILT / "latchkey", *said[1].split(), "--help"):
            raise Wrong(f"there is no command {span}")
