"""`sentry-trainer fleet-sim`: a trainer of its own under the load of a whole fleet, and what that cost.

    a folder with keys for all --> sentry-trainer serve, in a process of its own, whose CPU and memory are measured
                               `-> squads of simulated agents (`fleet_agents`), in processes of their own
    steady load --> some agents stopped now and then (SIGSTOP) --> all cut off, all back at once --> count

What the agents know to be acked is compared with what lies in the trainer's database when all is over.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq
from sqlalchemy import select

from sentry_proto.durable import write_durable
from sentry_proto.errors import EnvironmentFault, InputError
from sentry_proto.keys import AGENT, KeyFile
from trainer_service import keyring, schema
from trainer_service.fleet_agents import Schedule, Tally, run_squad
from trainer_service.keyring import Home
from trainer_service.store import Store

SETTLE_S = 2.0
"""Between the last session's opening and the first measured window."""

PARTS, STOPS = 8, (1, 3, 5)
"""In these parts of the time some agents are stopped: by turns, since a store that grows slows all of them."""

PROMISED_AGENTS = 1_000
TICKS = os.sysconf("SC_CLK_TCK")
Latencies = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """What to simulate.

    Attributes:
        agents: how many, those that are stopped included.
        seconds: of steady load.
        stopped: how many of them are stopped (SIGSTOP) in three of its eight parts, the second, fourth and sixth.
    """

    agents: int = PROMISED_AGENTS
    seconds: float = 600.0
    stopped: int = 0

    def check(self) -> None:
        """Raise InputError for what cannot be simulated."""
        if not 1 <= self.agents <= 10_000:
            raise InputError(f"--agents must be between 1 and 10000, not {self.agents}")
        if not 10 <= self.seconds <= 86_400:
            raise InputError(f"--seconds must be between 10 and 86400, not {self.seconds:g}")
        if not 0 <= self.stopped < self.agents:
            raise InputError(f"--stopped must leave an agent running, not {self.stopped} of {self.agents}")


@dataclass(frozen=True)
class Figure:
    """One measured number beside its limit; None for no limit."""

    promise: str
    name: str
    reached: float
    limit: float | None
    unit: str

    @property
    def kept(self) -> bool:
        """Whether the limit holds."""
        return self.limit is None or bool(self.reached <= self.limit)


@dataclass(frozen=True)
class Usage:
    """What a process has used: CPU seconds, and megabytes now and at most."""

    cpu_s: float
    rss_mb: float
    peak_mb: float


def simulate(plan: Plan) -> list[Figure]:
    """Run the whole simulation.

    Raises:
        InputError: a plan that cannot be.
        EnvironmentFault: the trainer does not start.
    """
    plan.check()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-sim-")))
        home = keyring.init(folder / "trainer", "127.0.0.1", three_free_ports(), datetime.now(UTC))
        keys = enroll_all(home, plan.agents)
        trainer = start_trainer(home)
        stack.callback(end, trainer)
        squads = [_Squad(keys[: plan.agents - plan.stopped], 1)]
        if plan.stopped:
            squads.append(_Squad(keys[plan.agents - plan.stopped :], 2))
        for squad in squads:
            stack.callback(squad.kill)
        for squad in squads:
            squad.hear()
        begin, before, after, tallies = _run(plan, squads, trainer.pid)
        peak = usage(trainer.pid)
        worker = sum((usage(child).peak_mb for child in children(trainer.pid)), 0.0)
        end(trainer)
        figures = _latencies(plan, begin, tallies)
        figures += _costs(plan, before, after, peak, worker, tallies)
        return figures + _losses(home, tallies)


def _run(plan: Plan, squads: Sequence[_Squad], trainer: int) -> tuple[float, Usage, Usage, list[Tally]]:
    """Steady load, the stop, the storm; returns when it began, the trainer's usage around it, and the tallies."""
    begin = time.monotonic() + SETTLE_S
    for squad in squads:
        squad.pipe.send(Schedule(begin, begin + plan.seconds))
    sleep_until(begin)
    before = usage(trainer)
    for stop in STOPS if plan.stopped else ():
        sleep_until(begin + stop * plan.seconds / PARTS)
        squads[-1].signal(signal.SIGSTOP)
        sleep_until(begin + (stop + 1) * plan.seconds / PARTS)
        squads[-1].signal(signal.SIGCONT)
    sleep_until(begin + plan.seconds)
    after = usage(trainer)
    return begin, before, after, [squad.hear() for squad in squads]


class _Squad:
    """The parent's end of one process of agents."""

    def __init__(self, keys: Sequence[KeyFile], seed: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=run_squad, args=(theirs, tuple(keys), seed), daemon=True)
        self._process.start()
        theirs.close()

    def hear(self) -> Any:
        """Its next word.

        Raises:
            EnvironmentFault: it has died.
        """
        try:
            return self.pipe.recv()
        except EOFError as error:
            raise EnvironmentFault("a process of simulated agents has died; its reason stands above") from error

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()


# ---- the trainer under test -------------------------------------------------------------------------------------


def enroll_all(home: Home, agents: int) -> list[KeyFile]:
    """Make and enrol so many keys in one write."""
    server = keyring.load_server_key(home)
    entries = json.loads(home.enrolled.read_text())
    keys = []
    for number in range(agents):
        public, secret = (key.decode("ascii") for key in zmq.curve_keypair())
        name = f"sim-{number:04d}"
        keys.append(KeyFile(name, AGENT, public, secret, server.public, server.endpoints, {}))
        entries[name] = {"public": public, "role": AGENT, "enrolled": "", "revoked": None}
    write_durable(home.enrolled, json.dumps(entries).encode())
    return keys


def start_trainer(home: Home) -> subprocess.Popen[str]:
    """Start a trainer and wait until it listens.

    Raises:
        EnvironmentFault: it ended instead.
    """
    command = [sys.executable, "-m", "trainer_service.cli", "serve", "--dir", str(home.folder)]
    with (home.folder / "trainer.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    if not process.stdout.readline().startswith("ready"):
        process.wait()
        words = (home.folder / "trainer.log").read_text().strip()
        raise EnvironmentFault(f"the trainer did not start: {words.splitlines()[-1] if words else 'it said nothing'}")
    return process


def end(process: subprocess.Popen[str]) -> None:
    """End the trainer politely, if it still runs."""
    if process.poll() is None:
        process.terminate()
        process.communicate(timeout=30)


def three_free_ports() -> int:
    """The first of three ports that nobody listens on."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        try:
            for port in range(first, first + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            continue
        return first


def usage(pid: int) -> Usage:
    """What /proc says of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    rss, peak = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return Usage((int(fields[11]) + int(fields[12])) / TICKS, rss, peak)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def sleep_until(moment: float) -> None:
    """Sleep until a monotonic moment."""
    time.sleep(max(0.0, moment - time.monotonic()))


# ---- figures ----------------------------------------------------------------------------------------------------


def _latencies(plan: Plan, begin: float, tallies: Sequence[Tally]) -> list[Figure]:
    acks = np.array(tallies[0].acks).reshape(-1, 2)
    when, took = acks[:, 0] - begin, 1000 * acks[:, 1]
    p50, p95, p99 = np.percentile(took, (50, 95, 99)) if len(took) else (np.inf,) * 3
    figures = [
        Figure("R7", "ack p50", p50, None, "ms"),
        Figure("R7", "ack p95", p95, None, "ms"),
        Figure("R7", "ack p99", p99, 250.0, "ms"),
        Figure("R7", "storm", max(tally.storm_s for tally in tallies), 30.0, "s"),
    ]
    if plan.stopped:
        part, within = np.divmod(when / plan.seconds * PARTS, 1)
        beside = np.isin(part, STOPS)
        apart = ~beside & (part < PARTS - 1) & (within >= 0.5)  # what was spooled meanwhile has come by then
        change = _change(took[beside], took[apart], 99)
        figures.append(Figure("R8", f"p99 with {plan.stopped} stopped, change", change, 20.0, "%"))
        median = _change(took[beside], took[apart], 50)
        figures.append(Figure("R8", f"median with {plan.stopped} stopped, change", median, None, "%"))
    return figures


def _change(some: Latencies, others: Latencies, percentile: float) -> float:
    """By how many percent a percentile of the first is higher; infinite where there is nothing to compare."""
    if not len(some) or not len(others):
        return math.inf
    return float(100 * (np.percentile(some, percentile) / np.percentile(others, percentile) - 1))


def _costs(
    plan: Plan, before: Usage, after: Usage, peak: Usage, worker_mb: float, tallies: Sequence[Tally]
) -> list[Figure]:
    cpu = 100 * (after.cpu_s - before.cpu_s) / plan.seconds
    return [
        Figure("R7", "trainer CPU, steady", cpu, 50.0, "% of a core"),
        Figure("R7", "trainer memory, peak", peak.peak_mb, 300.0, "MB"),
        Figure("", "its learner's process, peak", worker_mb, None, "MB"),
        Figure("", "simulator CPU", sum(tally.cpu_s for tally in tallies), None, "s"),
    ]


def _losses(home: Home, tallies: Sequence[Tally]) -> list[Figure]:
    store = Store(home.database)
    with store.read() as connection:
        table = schema.windows.c
        stored = Counter((row.stream, row.sequence) for row in connection.execute(select(table.stream, table.sequence)))
    store.close()
    acked = set().union(*(tally.settled for tally in tallies))
    return [
        Figure("R1", "records sent", sum(tally.sent for tally in tallies), None, ""),
        Figure("R1", "lost: acked and not stored", len(acked - stored.keys()), 0.0, ""),
        Figure("R1", "doubled", sum(stored.values()) - len(stored), 0.0, ""),
        Figure("R1", "refused", sum(tally.refused for tally in tallies), 0.0, ""),
        Figure("R6", "still spooled at the end", sum(tally.spooled for tally in tallies), 0.0, ""),
    ]


def to_json(plan: Plan, figures: Sequence[Figure]) -> dict[str, Any]:
    """What was simulated and what came of it."""
    return {
        "agents": plan.agents,
        "seconds": plan.seconds,
        "stopped": plan.stopped,
        "load_15_minutes": os.getloadavg()[2],
        "kept": all(figure.kept for figure in figures),
        "figures": [
            {**vars(figure), "reached": round(float(figure.reached), 3), "kept": figure.kept} for figure in figures
        ],
    }


def to_text(plan: Plan, figures: Sequence[Figure]) -> str:
    """A table for people."""
    stopped = f", {plan.stopped} of them stopped for {len(STOPS)} eighths of it" if plan.stopped else ""
    lines = [f"{plan.agents} agents for {plan.seconds:g} s{stopped}; 15-minute load {os.getloadavg()[2]:.1f}"]
    for figure in figures:
        limit = "" if figure.limit is None else f"limit {figure.limit:g}  {'kept' if figure.kept else 'MISSED'}"
        reached = f"{figure.reached:,.1f}" if figure.unit else f"{figure.reached:,.0f}"
        lines.append(f"{figure.promise:3} {figure.name:34} {reached:>10} {figure.unit:12} {limit}".rstrip())
    return "\n".join(lines)
