"""What a run of `benchmarks.faults` left behind, read into memory: events, faults, and what was stored and spooled."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fault_machine import ID
from benchmarks.fault_plan import TRAINER

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Happened:
    """A fault as it was, in monotonic seconds.

    Attributes:
        kind, target, value: as planned.
        began: when it was let happen.
        healing, healed: when its end began and was done; both the same but for a process that has to start.
        agents: whom it concerns.
    """

    kind: str
    target: str
    value: float
    began: float
    healing: float
    healed: float
    agents: tuple[str, ...]


@dataclass(frozen=True)
class Book:
    """The final outbox of one agent."""

    stream: str
    sent: int
    acked: int
    dropped: int
    spooled: frozenset[str]


@dataclass
class Evidence:
    """All that is known of a run.

    Attributes:
        about: what was planned.
        scene: events of the scene, in the order of time.
        agents: per agent its events, in the order of time.
        faults: what went wrong.
        looks: when the trainer was asked who is there, and what it said; None for no answer.
        stored: how often each record's identifier lies in the database.
        order: per stream, sequences in the order of their rows.
        books: per agent the final outbox.
    """

    about: Mapping[str, Any]
    scene: list[Event]
    agents: dict[str, list[Event]]
    faults: list[Happened]
    looks: list[Event]
    stored: Counter[str]
    order: dict[str, list[int]]
    books: dict[str, Book]
    _times: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Index the looks."""
        self._look_times = [look["asked"] for look in self.looks]

    def after(self, agent: str, moment: float) -> Iterator[Event]:
        """An agent's events from a moment on."""
        events = self.agents[agent]
        for index in range(self._index(agent, moment), len(events)):
            yield events[index]

    def before(self, agent: str, moment: float, kind: str) -> Event | None:
        """The last event of a kind before a moment."""
        earlier = self.agents[agent][: self._index(agent, moment)]
        return next((event for event in reversed(earlier) if event["e"] == kind), None)

    def load(self, moment: float) -> float:
        """The machine's load of one minute at a moment; 0 where nobody looked."""
        index = bisect_left(self._look_times, moment)
        near = (look["load"] for look in self.looks[index:] if "load" in look)
        return float(next(near, 0.0))

    def looked(self, moment: float) -> int:
        """The number of the first look after a moment."""
        return bisect_left(self._look_times, moment)

    def _index(self, agent: str, moment: float) -> int:
        times = self._times.get(agent)
        if times is None:
            times = self._times[agent] = [event["t"] for event in self.agents[agent]]
        return bisect_left(times, moment)

    def of(self, *kinds: str) -> list[Happened]:
        """The faults of some kinds."""
        return [fault for fault in self.faults if fault.kind in kinds]

    def alone(self, fault: Happened, agent: str, begin: float, end: float) -> bool:
        """Whether between two moments no other fault touched the agent."""
        return not any(
            other is not fault and agent in other.agents and other.began < end and other.healed > begin
            for other in self.faults
        )


def read(folder: Path) -> Evidence:
    """Read a run's folder, also one that is still written to."""
    about = json.loads((folder / "run.json").read_text())
    scene = list(_lines(folder / "scene.jsonl"))
    machines = {machine["name"]: tuple(machine["agents"]) for machine in about["machines"]}
    agents: defaultdict[str, list[Event]] = defaultdict(list)
    for name in machines:
        for event in _lines(folder / name / "log.jsonl"):
            agents[event["a"]].append(event)
    everybody = tuple(agent for held in machines.values() for agent in held)
    faults = [
        Happened(
            e["kind"], e["a"], e["value"], e["began"], e["healing"], e["healed"],
            everybody if e["a"] == TRAINER else machines.get(e["a"], (e["a"],)),
        )
        for e in scene if e["e"] == "fault"
    ]  # fmt: skip
    stored, order = _stored(folder / "trainer" / "store.sqlite")
    return Evidence(
        about, scene, dict(agents), sorted(faults, key=lambda fault: fault.began),
        [event for event in scene if event["e"] in ("look", "gone")], stored, order,
        {agent: _book(folder / name / agent / "outbox.sqlite") for name, held in machines.items() for agent in held},
    )  # fmt: skip


def _lines(path: Path) -> Iterator[Event]:
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            with suppress(ValueError):  # a process was killed in the middle of its last line
                yield json.loads(line)


def _stored(path: Path) -> tuple[Counter[str], dict[str, list[int]]]:
    stored: Counter[str] = Counter()
    order: defaultdict[str, list[int]] = defaultdict(list)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        for identifier, stream, sequence in database.execute(
            "SELECT window_id, stream, sequence FROM windows ORDER BY row"
        ):
            stored[identifier] += 1
            order[stream].append(sequence)
        stored.update(row[0] for row in database.execute("SELECT alert_id FROM alerts"))
    return stored, dict(order)


def _book(path: Path) -> Book:
    if not path.exists():
        return Book("", 0, 0, 0, frozenset())
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        stream, sent, acked, dropped = database.execute("SELECT stream, sent, acked, dropped FROM totals").fetchone()
        records: Sequence[bytes] = [row[0] for row in database.execute("SELECT record FROM spool")]
    found = [ID.search(record) for record in records]
    return Book(stream, sent, acked, dropped, frozenset(match.group().decode() for match in found if match))
