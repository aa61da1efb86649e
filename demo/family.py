"""The demo's child processes: they start in order, and they end together.

Each child leads a process group of its own, so that a Ctrl-C in the terminal reaches the demo alone, which then ends
them in the reverse order of their start. A child that dies ends the demo, with the child's last words.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from sentry_proto.errors import EnvironmentFault

PATIENCE_S = 6.0
"""A child that has not ended this long after SIGTERM is killed."""

LAST_WORDS = 12
"""Lines of a dead child's log that are shown."""


class Family:
    """Child processes with one log file each; use as a context manager."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start a child; what it prints goes to `name`.log."""
        with self._log(name).open("ab") as log:
            self._children[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def check(self) -> None:
        """Look after all children.

        Raises:
            EnvironmentFault: if one has ended, with its last words.
        """
        for name, child in self._children.items():
            if child.poll() is not None:
                how = f"by signal {-child.returncode}" if child.returncode < 0 else f"with code {child.returncode}"
                words = self.last_words(name) or "It said nothing."
                raise EnvironmentFault(f"the {name} has ended {how}. Its last words:\n{words}")

    def last_words(self, name: str) -> str:
        """The end of a child's log."""
        lines = self._log(name).read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LAST_WORDS:])

    def pid(self, name: str) -> int:
        """A child's process id."""
        return self._children[name].pid

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def stop(self) -> None:
        """End all children, the youngest first."""
        for child in reversed(self._children.values()):
            _signal_group(child, signal.SIGTERM)
            try:
                child.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                _signal_group(child, signal.SIGKILL)
                child.wait()
        self._children.clear()

    def __enter__(self) -> Family:
        """Nothing to do: children are started one by one."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all children, whatever happened."""
        self.stop()


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
