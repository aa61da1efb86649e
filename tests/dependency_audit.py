"""Ask for known weaknesses of the pinned dependencies: `python -m tests.dependency_audit`; part of `make lint`.

One request to OSV (https://osv.dev, which gathers the advisories of PyPI and GitHub) with the public names and versions
of constraints.txt. Where nobody answers within `TIMEOUT_S`, the audit says that it was skipped, and is no failure: a
list of weaknesses is only worth what was fetched today.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SERVICE = "https://api.osv.dev/v1/querybatch"
TIMEOUT_S = 10.0
CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"

ACCEPTED: Mapping[str, str] = {}
"""Identifier of an advisory -> why it does not concern Sentry."""


def pinned(text: str) -> list[tuple[str, str]]:
    """Name and version of every pin in a constraints file."""
    return re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", text, re.MULTILINE)


def ask(pins: list[tuple[str, str]], service: str = SERVICE) -> list[list[str]]:
    """The advisories of each pin.

    Raises:
        OSError: nobody answers.
        ValueError, LookupError, TypeError: the answer is none.
    """
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in pins]
    request = urllib.request.Request(service, json.dumps({"queries": queries}).encode())
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
        results: list[dict[str, Any]] = json.load(reply)["results"]
    return [[vulnerability["id"] for vulnerability in result.get("vulns", ())] for result in results]


def main(service: str = SERVICE) -> int:
    """Print what is known; 1 if there is anything that was not accepted."""
    pins = pinned(CONSTRAINTS.read_text())
    try:
        found = ask(pins, service)
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"dependency audit skipped: no answer from {service} ({error})")
        return 0
    lines = [
        f"{name} {version}: https://osv.dev/{advisory}"
        for (name, version), advisories in zip(pins, found, strict=True)
        for advisory in advisories
        if advisory not in ACCEPTED
    ]
    print("\n".join(lines) or f"no known weakness in {len(pins)} pinned dependencies")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
