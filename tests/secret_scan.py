"""Look for secrets in the files that git tracks: `python -m tests.secret_scan`; part of `make lint`.

It knows the secrets of this project, and those that most often end up in a repository. A line that must look like one,
as in a test, carries the mark `not a secret`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PATTERNS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "a CURVE secret": re.compile(r"\"secret\"\s*:\s*\"(?!(.)\1{39})[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}\""),
    "a cloud key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|xox[abprs]-[A-Za-z0-9-]{10,}|hf_[A-Za-z0-9]{34})\b"),
    "a password in an address": re.compile(
        r"\b[a-z+]+://[^\s:/@\"'{}]+:(?!(?:password|secret|word)@|\*)[^\s/@\"'{}]+@"
    ),
}
NAMES = re.compile(r"\.(?:pem|key|p12|pfx)$|(?:^|/)\.env$|(?:^|/)id_(?:rsa|ed25519)$")
MARK = "not a secret"
LARGEST = 2 << 20


def found_in(name: str, text: str) -> Iterator[str]:
    """What looks like a secret in one file, as `file:line: what`."""
    if NAMES.search(name):
        yield f"{name}:1: the name of a key file"
    for number, line in enumerate(text.splitlines(), 1):
        if MARK not in line:
            yield from (f"{name}:{number}: {what}" for what, pattern in PATTERNS.items() if pattern.search(line))


def main() -> int:
    """Print all findings; 1 if there are any."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    findings: list[str] = []
    for name in filter(None, listed.split("\0")):
        path = Path(name)
        if path.is_file() and path.stat().st_size <= LARGEST:
            findings += found_in(name, path.read_text(encoding="utf-8", errors="replace"))
    print("\n".join(findings) or "no secrets in the tracked files")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
