"""`sentry-agent` with a stage that waits for its own lock as long as a file is there; the rest of the process lives on.

Run as `python -m tests.e2e.deadlocked_agent FILE run ...`.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

from edge_agent.cli import main
from perception.pipeline import FeaturePipeline

LOCKED = Path(sys.argv.pop(1))
feed = FeaturePipeline.feed


def feed_or_block(self: FeaturePipeline, *arguments: Any) -> Any:
    lock = threading.Lock()
    with lock:
        if LOCKED.exists():
            LOCKED.with_suffix(".reached").touch()
            lock.acquire()
        return feed(self, *arguments)


if __name__ == "__main__":
    setattr(FeaturePipeline, "feed", feed_or_block)  # noqa: B010 - mypy knows that it takes a picture
    sys.exit(main())
