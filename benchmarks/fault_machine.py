"""One machine of `benchmarks.faults`: real outboxes and links in a process that may be killed, and what they did.

    python -m benchmarks.shifted_clock CLOCK benchmarks.fault_machine CONFIG

Each agent makes a window of the size that real ones have every ten seconds, and with every second of them an alert.
Every event is one line of JSON in the log, written at once, so that a kill loses none:

    boot     the agent's process runs
    make     these records are about to be spooled      put   they are
    ack      the trainer has acknowledged these, so many milliseconds after they were put
    link     the session opened or closed               trouble   what the outbox says of its disk
    totals   sent, acked, spooled, dropped              end   closed politely
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import signal
import sys
import threading
import time
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.heads import Heads
from edge_agent.link import Link
from edge_agent.slots import Slots
from edge_agent.state import State
from sentry_proto.keys import AGENT, KeyFile
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import Alert, CameraState, Record, Stratum, Window
from trainer_service.fleet_agents import WINDOW_EVERY_S, WINDOW_S, a_window

MARK = "fa017500"
"""What the identifier of every record begins with."""

LOOK_S = 0.1
ID = re.compile(MARK.encode() + rb"[0-9a-f]{24}")


class Log:
    """Lines that a kill of this process cannot take back."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, agent: str, event: str, **fields: Any) -> None:
        """One event, now, in monotonic seconds, which all processes of a machine share."""
        line = {"t": round(time.monotonic(), 4), "a": agent, "e": event, **fields}
        os.write(self._file, json.dumps(line).encode() + b"\n")


class LoggedAgent:
    """One agent: makes records, and tells what becomes of them."""

    def __init__(self, name: str, key: Path, folder: Path, quota: int, log: Log, draw: np.random.Generator) -> None:
        self._name, self._log = name, log
        log.write(name, "boot")
        folder.mkdir(exist_ok=True)
        slots = Slots(folder / "bundles", functools.partial(Heads, tasks=DEFAULT_TASKS))
        state = State(participant=name, session="s0001", camera=CameraState.OK)
        self._link = Link(KeyFile.load(key, AGENT), folder, quota, slots, state, lambda _: None, self._died)
        self._template = a_window(draw)
        self._next, self._made = time.monotonic() + draw.uniform(0, WINDOW_EVERY_S), 0
        self._put_at: dict[str, float] = {}
        self._ids: dict[int, str] = {}
        self._said: dict[str, Any] = {}
        self._watch()

    def _died(self) -> None:
        self._log.write(self._name, "died")

    def _watch(self) -> None:
        """Look over the shoulder of the outbox: what is handed out, and what is acknowledged."""
        outbox = self._link.outbox
        pending, ack = outbox.pending, outbox.ack

        def watched_pending(exclude: Collection[int], limit: int) -> list[tuple[int, bytes]]:
            found = pending(exclude, limit)
            for sequence, record in found:
                if sequence not in self._ids and (match := ID.search(record)):
                    self._ids[sequence] = match.group().decode()
            return found

        def watched_ack(sequences: Collection[int]) -> None:
            now = time.monotonic()
            ids = [self._ids[sequence] for sequence in sequences if sequence in self._ids]
            ms = [round(1000 * (now - self._put_at[i]), 1) if i in self._put_at else None for i in ids]
            self._log.write(self._name, "ack", ids=ids, ms=ms, stray=len(sequences) - len(ids))
            ack(sequences)

        outbox.pending, outbox.ack = watched_pending, watched_ack  # type: ignore[method-assign]

    def step(self, now: float) -> None:
        """Make what is due, and tell what has changed."""
        if now >= self._next:
            self._next += WINDOW_EVERY_S
            self._make()
        self._tell("link", open=self._link.uplink.open)
        self._tell("trouble", words=self._link.outbox.trouble)
        self._tell("totals", **vars(self._link.outbox.totals()))

    def _make(self) -> None:
        self._made += 1
        wall = time.time()
        features = dataclasses.replace(self._template.features, participant=self._name, start=wall - WINDOW_S, end=wall)
        alerting = self._made % 2 == 0
        window = dataclasses.replace(
            self._template, window_id=_new_id(), features=features, consent_id="consent-1",
            stratum=Stratum.ALERT if alerting else Stratum.UNCERTAIN,
        )  # fmt: skip
        records: list[Record] = [window]
        if alerting:
            records.append(_alert(window, self._name))
        ids = [_id_of(record) for record in records]
        self._log.write(self._name, "make", ids=ids)
        self._put_at |= dict.fromkeys(ids, time.monotonic())
        self._link.outbox.put(records)
        self._log.write(self._name, "put", ids=ids)

    def _tell(self, event: str, **fields: Any) -> None:
        if self._said.get(event) != fields:
            self._said[event] = fields
            self._log.write(self._name, event, **fields)

    def close(self) -> None:
        """Hang up, and tell the last totals."""
        self._link.close()
        self._tell("totals", **vars(self._link.outbox.totals()))
        self._link.outbox.close()
        self._log.write(self._name, "end")


def _new_id() -> str:
    return MARK + uuid.uuid4().hex[len(MARK) :]


def _id_of(record: Record) -> str:
    return record.window_id if isinstance(record, Window) else record.alert_id


def _alert(window: Window, participant: str) -> Alert:
    return Alert(
        _new_id(), participant, "s0001", "stress", window.features.start, None, 0.75, 0.5, 0, "0" * 32, "consent-1"
    )


def main() -> None:
    """Run until SIGTERM."""
    config = json.loads(Path(sys.argv[1]).read_text())
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    log, draw = Log(Path(config["log"])), np.random.default_rng()
    agents = [
        LoggedAgent(one["name"], Path(one["key"]), Path(one["folder"]), one["quota"], log, draw)
        for one in config["agents"]
    ]
    while not ended.wait(LOOK_S):
        for agent in agents:
            agent.step(time.monotonic())
    closing = [threading.Thread(target=agent.close) for agent in agents]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()


if __name__ == "__main__":
    main()
