"""What a command does when whoever reads its output leaves early, as ``sentry-trainer decisions | head`` does."""

from __future__ import annotations

import os
import sys

UNREAD = 1
"""Exit status of a command whose output was not read to its end."""


def unread() -> int:
    """Let nothing more be written to standard output, not even on the way out; returns the exit status.

    To be called where a command catches BrokenPipeError; a command that flushes standard output before it ends finds
    out about the reader there, and not when the interpreter shuts down.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UNREAD
