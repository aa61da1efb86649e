"""What happened when: the demo's story as numbers, so that it can be tested and tuned without a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sentry_proto.control import ControlClient
from sentry_proto.errors import PeerUnreachable

POLL_S = 1.0
RATE_NAMES = ("false_positive_rate", "miss_rate", "false_discovery_share", "false_alarms_per_hour")

Ask = Callable[..., Any]


@dataclass
class Timeline:
    """Seconds since the beginning at which each thing was first seen; None until then."""

    first: dict[str, float | None] = field(
        default_factory=lambda: dict.fromkeys(("window", "label", "version", "agent_version", "alert", "rate"))
    )
    end: dict[str, Any] = field(default_factory=dict)

    def look(self, ask: Ask, elapsed: float) -> None:
        """Note what has come true by now."""
        status, agents, rates = ask("status"), ask("agents"), ask("rates")
        self._note("window", status["windows"] > 0, elapsed)
        self._note("label", status["labels"] > 0, elapsed)
        self._note("version", status["model_version"] > 0, elapsed)
        self._note("agent_version", any(agent["model_version"] for agent in agents), elapsed)
        self._note("alert", status["alerts"] > 0, elapsed)
        self._note("rate", any(row[name]["enough"] for row in rates for name in RATE_NAMES), elapsed)
        self.end = {
            **{name: status[name] for name in ("model_version", "windows", "labels", "alerts", "people")},
            "agents": agents,
            "decisions": ask("decisions", limit=100),
            "rates": rates,
        }

    def _note(self, name: str, true: bool, elapsed: float) -> None:
        if true and self.first[name] is None:
            self.first[name] = round(elapsed, 1)

    def as_json(self) -> Mapping[str, Any]:
        """All of it."""
        return {"first_seen_s": self.first, **self.end}


def watch(client: ControlClient, stop: threading.Event, seconds: float, check: Callable[[], None]) -> Timeline:
    """Look once a second, for some seconds or until `stop`; `check` raises if the demo has broken."""
    timeline, begin = Timeline(), time.monotonic()
    while (elapsed := time.monotonic() - begin) < seconds and not stop.wait(POLL_S):
        check()
        try:
            timeline.look(client.call, elapsed)
        except PeerUnreachable:
            continue
    return timeline
