"""What the trainer knows of its agents' health: the last heartbeat of each, and when it came."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sentry_proto import limits
from sentry_proto.types import Heartbeat
from trainer_service.canary import GONE, Running

SHOWN = (
    "model_version", "update_state", "camera_state", "fps", "participant", "session", "clock_rate", "event_time",
    "sent", "acked", "spooled", "dropped", "frames", "error", "software",
)  # fmt: skip
"""The heartbeat's fields that the control API passes on."""

ELSEWHERE_S = 2 * limits.HEARTBEAT_S
"""An agent that was not heard here for so long may be calling another process."""


@dataclass(frozen=True)
class Moment:
    """One instant on both clocks: wall in Unix seconds to show, monotonic to measure silence with."""

    wall: float
    monotonic: float


@dataclass(frozen=True)
class _Sighting:
    fields: Mapping[str, Any]
    wall: float
    monotonic: float | None  # None: before this trainer started


class Fleet:
    """Shared between the thread that hears agents and those that ask about them."""

    def __init__(self, remembered: Mapping[str, tuple[Mapping[str, Any], float]]) -> None:
        self._lock = threading.Lock()
        self._last = {name: _Sighting(fields, seen, None) for name, (fields, seen) in remembered.items()}
        self._stored = {name: seen for name, (_, seen) in remembered.items()}
        self._here: dict[str, float] = {}
        self._unsaved: dict[str, tuple[Heartbeat, float]] = {}

    def heard(self, name: str, beat: Heartbeat, now: Moment) -> None:
        """Take in a heartbeat."""
        with self._lock:
            self._last[name] = _Sighting(vars(beat), now.wall, now.monotonic)
            self._here[name] = now.monotonic
            self._unsaved[name] = (beat, now.wall)

    def follow(self, stored: Mapping[str, tuple[Mapping[str, Any], float]], now: Moment) -> None:
        """Take in what another process on the same database has heard: rows that change, of agents not heard here.

        No clock is compared with another's; an agent counts as heard when its row is seen to have changed.
        """
        with self._lock:
            for name, (fields, seen) in stored.items():
                changed, self._stored[name] = self._stored.get(name) != seen, seen
                here = now.monotonic - self._here.get(name, -math.inf) < ELSEWHERE_S
                if changed and not here and (name not in self._last or self._last[name].wall != seen):
                    self._last[name] = _Sighting(fields, seen, now.monotonic)

    def participant(self, name: str) -> str:
        """Whom this agent's last heartbeat named; empty for nobody."""
        with self._lock:
            sighting = self._last.get(name)
        return str(sighting.fields["participant"]) if sighting else ""

    def watching(self, participant: str, now_s: float) -> list[str]:
        """The agents that record this participant now; `now_s` in monotonic seconds."""
        with self._lock:
            last = dict(self._last)
        return sorted(
            name
            for name, seen in last.items()
            if seen.fields["participant"] == participant
            and seen.monotonic is not None
            and now_s - seen.monotonic < limits.PEER_DEAD_S
        )

    def forget(self, participant: str) -> None:
        """Leave out this name from what agents said last."""
        with self._lock:
            for name, seen in self._last.items():
                if seen.fields["participant"] == participant:
                    self._last[name] = replace(seen, fields={**seen.fields, "participant": "", "session": ""})

    def running(
        self, names: Iterable[str], version: int, now: Moment, elsewhere: Mapping[str, int] | None = None
    ) -> dict[str, Running]:
        """How each of these agents stands with a model version.

        Args:
            names: the agents'.
            version: of the model.
            now: this moment.
            elsewhere: windows scored with it, by agent, for those that another process hears.
        """
        with self._lock:
            return {
                name: _running(self._last.get(name), version, now, (elsewhere or {}).get(name, 0)) for name in names
            }

    def unsaved(self) -> int:
        """Of how many agents there is something to save."""
        with self._lock:
            return len(self._unsaved)

    def take_unsaved(self, most: int | None = None) -> list[tuple[str, Heartbeat, float]]:
        """What was heard since this was last asked, of those that have waited longest: name, heartbeat, time."""
        with self._lock:
            names = list(islice(self._unsaved, most))
            return [(name, *self._unsaved.pop(name)) for name in names]

    def put_back(self, beats: Iterable[tuple[str, Heartbeat, float]]) -> None:
        """Return what could not be saved, unless something newer has come; it waits behind the others."""
        with self._lock:
            for name, beat, seen in beats:
                self._unsaved.setdefault(name, (beat, seen))

    def describe(self, enrolled: Iterable[str], now: Moment) -> list[dict[str, Any]]:
        """One entry per enrolled agent, also for those that never called, as the control API gives it."""
        with self._lock:
            last = dict(self._last)
        return [_describe(name, last.get(name), now) for name in sorted(enrolled)]


def _running(sighting: _Sighting | None, version: int, now: Moment, elsewhere: int) -> Running:
    if sighting is None or sighting.monotonic is None:
        return GONE
    fields, scored = sighting.fields, Counter[str]()
    for count in fields.get("counts", ()):
        scored[count.task] += count.windows if count.model_version == version else 0
    alive = now.monotonic - sighting.monotonic < limits.PEER_DEAD_S
    return Running(alive, fields["model_version"], fields["update_state"], max(scored.values(), default=elsewhere))


def _describe(name: str, sighting: _Sighting | None, now: Moment) -> dict[str, Any]:
    if sighting is None:
        nothing = dict.fromkeys(("last_seen", "silent_s", "clock_off_s", *SHOWN))
        return {"name": name, "alive": False, "seen": False, **nothing}
    fresh = sighting.monotonic is not None  # measured on a clock that does not jump
    silent = (
        now.monotonic - sighting.monotonic if sighting.monotonic is not None else max(0.0, now.wall - sighting.wall)
    )
    return {
        "name": name,
        "alive": fresh and silent < limits.PEER_DEAD_S,
        "seen": True,
        "last_seen": sighting.wall,
        "silent_s": round(silent, 3),
        "clock_off_s": round(sighting.fields["time"] - sighting.wall, 3),
        **{field: sighting.fields[field] for field in SHOWN},
    }
