"""How long from a label to the new head being live in the agents, and what it costs the trainer in memory.

    python -m benchmarks.latency [--quick] [--json] [--figure FILE] [--stored N ...] [--agents N ...] [--rounds N]

For each number of stored windows, all labelled, and each number of agents: a real trainer process, real links of agents
(session, CURVE, The Update Framework, golden test, swap; in threads of this process), and rounds of five labels that
trigger a run. A round begins when the last label is sent and ends when an agent's own state has the new head: the first
agent, and all of them. With several agents the first is the canary, which must run the version for a second here
before the others get it (a minute is the default), so that "all" contains this second.

Windows beyond 2,000 repeat those before under other ids. Memory is the highest that the trainer and its learner's
process ever held, together. Limits: 1 s at 1,000 windows (p95, first agent); 5 s and 1 GB at 100,000.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.heads import Heads
from edge_agent.link import Link
from edge_agent.outbox import DEFAULT_QUOTA, Scored
from edge_agent.slots import Slots
from edge_agent.state import State
from sentry_proto import codec
from sentry_proto.keys import AGENT
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import Label, Window
from tests.e2e.study import Study, eventually
from tests.e2e.wire_agent import windows_of_states
from trainer_service import keyring, labels, schema
from trainer_service.keyring import Home
from trainer_service.store import Arrival, Store

STORED, AGENTS, ROUNDS = (100, 1_000, 10_000, 100_000), (1, 50), 20
QUICK_STORED, QUICK_ROUNDS = (100, 1_000), 4
LABELS_PER_RUN = 5
CANARY_S = 1.0
LIMITS_S = {1_000: 1.0, 100_000: 5.0}
LIMITS_MB = {100_000: 1_000.0}
DISTINCT, AT_ONCE = 2_000, 1_000
LOOK_S = 0.002
READY_S = 1_800.0

Truth = list[tuple[str, str]]


class Agent:
    """Everything of an agent that speaks with the trainer, and when each version first ran."""

    def __init__(self, folder: Path, home: Home, name: str) -> None:
        key = keyring.enroll(home, name, home.folder / f"{name}.key", AGENT, datetime.now(UTC))
        self.name, self.state = name, State(participant="P00")
        slots = Slots(folder / name / "bundles", functools.partial(Heads, tasks=DEFAULT_TASKS))
        (folder / name).mkdir()
        self._link = Link(key, folder / name, DEFAULT_QUOTA, slots, self.state, lambda _: None, lambda: None)
        self.since: dict[int, float] = {}

    def look(self) -> None:
        """Note a new version, and count a window as scored with it."""
        version = self.state.version
        if version and version not in self.since:
            self.since[version] = time.monotonic()
            self._link.outbox.put((), [Scored(version, "P00", "stress", alerting=False)])

    def close(self) -> None:
        """Hang up."""
        self._link.close()
        self._link.outbox.close()


@contextmanager
def agents_of(folder: Path, home: Home, count: int) -> Iterator[list[Agent]]:
    """So many agents, looked at every few milliseconds."""
    with ExitStack() as stack:
        agents = [Agent(folder, home, f"lab-{number:02d}") for number in range(count)]
        for agent in agents:
            stack.callback(agent.close)
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(LOOK_S):
                for agent in agents:
                    agent.look()

        watcher = threading.Thread(target=watch)
        watcher.start()
        stack.callback(watcher.join)
        stack.callback(ended.set)
        yield agents


def fill(database: Path, stored: int, more: int) -> Truth:
    """Store windows and label `stored` of them; returns what is left to label."""
    store, people = Store(database), 10 if stored <= QUICK_STORED[-1] else 50
    total = stored + more
    distinct = [
        (window, state, codec.encode_record(window))
        for window, state in windows_of_states(people, -(-min(total, DISTINCT) // people), effect=2.0)
    ]
    order = np.random.default_rng(1).permutation(len(distinct))
    truth: Truth = []
    for first in range(0, total, AT_ONCE):
        arrivals = []
        for number in range(first, min(first + AT_ONCE, total)):
            window, state, data = distinct[order[number % len(distinct)]]
            arrivals.append(_renamed(window, data, number))
            truth.append((_id(number), state))
        store.ingest(arrivals, time.time())
    _label(store, truth[:stored])
    store.close()
    return truth[stored:]


def _id(number: int) -> str:
    return f"{number + 1:032x}"


def _renamed(window: Window, data: bytes, number: int) -> Arrival:
    name = _id(number)
    record = dataclasses.replace(window, window_id=name)
    return Arrival("seed", "5" * 32, number + 1, record, data.replace(window.window_id.encode(), name.encode(), 1))


def _label(store: Store, truth: Truth) -> None:
    """The first labels through the front door, so that everybody is on a side of the holdout; the rest in one go."""
    now = time.time()
    rows = [Label(window_id, window_id, "stress", state, "import", "benchmark", 1.0, now) for window_id, state in truth]
    with store.write() as connection:
        for one in rows[:1_000]:
            labels.put(connection, one, now)
        if rows[1_000:]:
            connection.execute(schema.labels.insert(), [{**vars(one), "received": now} for one in rows[1_000:]])


def measure(stored: int, count: int, rounds: int) -> dict[str, Any]:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        study = Study(Path(folder))
        stack.callback(study.close)
        home = Home(study.trainer_dir)
        left = fill(home.database, stored, rounds * LABELS_PER_RUN)
        trainer = study.start_trainer("--labels-per-run", LABELS_PER_RUN, "--canary-seconds", CANARY_S)
        agents = stack.enter_context(agents_of(Path(folder), home, count))
        eventually(lambda: study.status()["model_version"], READY_S, "a first version")
        seconds, refused = [], 0
        for first in range(0, len(left), LABELS_PER_RUN):
            _settled(study, agents)
            took = _round(study, agents, left[first : first + LABELS_PER_RUN])
            refused += took is None
            seconds += [took] if took else []
        return _row(stored, count, refused, seconds, _memory_mb(trainer.pid))


def _settled(study: Study, agents: Sequence[Agent]) -> None:
    """Wait until everybody runs the live version and the learner has taken in all that there is."""

    def rest() -> bool:
        status = study.status()
        live, stream = status["model_version"], status["learner"]["stream"]["tasks"].get("stress", {})
        known = stream.get("labels") == status["labels"] and status["learner"]["state"] == "idle"
        return known and status["rollout"] is None and all(live in agent.since for agent in agents)

    eventually(rest, READY_S, "all agents run the live version")


def _round(study: Study, agents: Sequence[Agent], truth: Truth) -> tuple[float, float] | None:
    """Seconds to the first agent and to all; None if the gate refused the candidate."""
    known = study.control.call("decisions", limit=1)[0]["row"]
    for number, (window_id, state) in enumerate(truth, 1):
        if number == len(truth):
            given = time.monotonic()
        params = {"task": "stress", "value": state, "source": "import", "rater": "benchmark"}
        study.control.call("label", label_id=uuid.uuid4().hex, window_id=window_id, **params)

    def decided() -> Any:
        newest = study.control.call("decisions", limit=1)[0]
        return newest if newest["row"] > known else None

    decision = eventually(decided, 120, "a decision")
    if decision["verdict"] == "refused":
        return None
    version = decision["candidate"]
    eventually(lambda: all(version in agent.since for agent in agents), 120, f"all agents run version {version}")
    times = [agent.since[version] - given for agent in agents]
    return min(times), max(times)


def _memory_mb(trainer: int) -> float:
    """Peak resident memory of a process and its children, in MB."""
    children = Path(f"/proc/{trainer}/task/{trainer}/children").read_text().split()
    peaks = [
        int(line.split()[1])
        for pid in (str(trainer), *children)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return sum(peaks) * 1024 / 1e6


def _row(
    stored: int, count: int, refused: int, seconds: Sequence[tuple[float, float]], memory: float
) -> dict[str, Any]:
    first, everybody = np.array(seconds, float).reshape(-1, 2).T
    row: dict[str, Any] = {"stored": stored, "agents": count, "published": len(seconds), "refused": refused}
    for name, took in (("first", first), ("all", everybody)):
        row |= {f"{name}_median_s": _round2(np.median(took)), f"{name}_p95_s": _round2(np.percentile(took, 95))}
    row["memory_mb"] = round(memory)
    checks = [(row["first_p95_s"], LIMITS_S.get(stored)), (row["memory_mb"], LIMITS_MB.get(stored))]
    row["limits"] = [limit for _, limit in checks]
    row["kept"] = all(value < limit for value, limit in checks if limit is not None)
    return row


def _round2(value: Any) -> float:
    return round(float(value), 2)


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table for a person."""
    lines = [
        f"{'stored':>8} {'agents':>6} {'rounds':>6} {'first: median':>14} {'p95':>7} {'limit':>7} "
        f"{'all: median':>12} {'p95':>7} {'memory':>9} {'limit':>8}"
    ]
    for row in rows:
        latency, memory = (
            "-" if limit is None else f"{limit:g} {unit}"
            for limit, unit in zip(row["limits"], ("s", "MB"), strict=True)
        )
        verdict = "" if row["limits"] == [None, None] else "  kept" if row["kept"] else "  MISSED"
        lines.append(
            f"{row['stored']:>8,} {row['agents']:>6} {row['published']:>6} {row['first_median_s']:>12.2f} s "
            f"{row['first_p95_s']:>5.2f} s {latency:>7} {row['all_median_s']:>10.2f} s {row['all_p95_s']:>5.2f} s "
            f"{row['memory_mb']:>6} MB {memory:>8}{verdict}"
        )
    return "\n".join(lines)


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Latency by stored windows, with the limits."""
    import matplotlib as mpl  # noqa: PLC0415 - only where a figure is wanted

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for count in sorted({row["agents"] for row in rows}):
        for name, style in (("first", "-o"), ("all", "--s")):
            some = [row for row in rows if row["agents"] == count and (count > 1 or name == "first")]
            label = f"{count} agents, {name}" if count > 1 else "1 agent"
            if some:
                axis.plot([row["stored"] for row in some], [row[f"{name}_p95_s"] for row in some], style, label=label)
    axis.plot(list(LIMITS_S), list(LIMITS_S.values()), "_", color="tab:red", ms=24, mew=2, label="limit, first agent")
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("stored windows, all labelled")
    axis.set_ylabel("label to live head, p95 [s]")
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, or JSON; 1 if a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="two sizes and few rounds: about a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw latency by stored windows")
    parser.add_argument("--stored", type=int, nargs="+", metavar="N", help="numbers of stored windows")
    parser.add_argument("--agents", type=int, nargs="+", metavar="N", help="numbers of agents")
    parser.add_argument("--rounds", type=int, metavar="N", help="for each of them")
    options = parser.parse_args(argv)
    sizes = options.stored or (QUICK_STORED if options.quick else STORED)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    rows = []
    for stored in sizes:
        for count in options.agents or ((1,) if options.quick else AGENTS):
            rows.append(measure(stored, count, rounds))
            print(render(rows[-1:]), file=sys.stderr, flush=True)
    if options.figure:
        draw(rows, options.figure)
    kept = all(row["kept"] for row in rows)
    print(json.dumps({"rows": rows, "kept": kept}) if options.json else render(rows))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
