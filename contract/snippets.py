"""Runs the programs of the guides as they are printed, and compares what they print with the text that follows them."""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "contract" / "snippets"
RUN = {
    "sh": ("snippet.sh", ["sh", "-eu"]),
    "go": ("snippet.go", ["go", "run"]),
    "javascript": ("snippet.mjs", ["node"]),
    "python": ("snippet.py", [sys.executable]),
}

WORK.mkdir(parents=True, exist_ok=True)
ran = 0
for page in sys.argv[1:]:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    for (language, program), (following, want) in zip(blocks, [*blocks[1:], ("", "")]):
        if language == "text":
            continue
        if following != "text":
            sys.exit(f"{page}: a {language} block is not followed by what it prints")
        name, command = RUN[language]
        (WORK / name).write_text(program)
        got = subprocess.run([*command, WORK / name], capture_output=True, text=True, cwd=ROOT, env=os.environ)
        if got.returncode != 0 or got.stdout != want:
            sys.exit(f"{page}:\n{program}\nprinted\n{got.stdout}{got.stderr}\ninstead of\n{want}")
        ran += 1
print(f"{ran} programs ran")
