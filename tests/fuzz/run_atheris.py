"""The targets under atheris, which looks for inputs by coverage; `make fuzz` installs it and runs them all.

    python -m tests.fuzz.run_atheris "agent frame" -runs=1000000

Options after the target's name are libFuzzer's. It ends with a traceback and the input at the first failure.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris


def main() -> None:
    """Fuzz one target."""
    with atheris.instrument_imports(
        include=["sentry_proto", "edge_agent", "trainer_service", "training", "perception"]
    ):
        from tests.fuzz.targets import TARGETS
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"which of these? {', '.join(TARGETS)}")
    target = TARGETS[sys.argv.pop(1)]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, corpus], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
