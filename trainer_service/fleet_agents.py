"""Simulated agents, many in one process: real sessions, real CURVE sockets, real window sizes, a spool in memory.

    parent                       squad
      | -- Squad ------------->    |   connects all its agents
      | <------------- "open" --   |   once every session is open
      | -- Schedule ---------->    |   steady load, then every agent is cut off, then all reconnect at once
      | <------------- Tally ---   |   once every spool is empty, or `DRAIN_S` after the reconnection

One thread waits for all sockets with epoll. A ZeroMQ descriptor only says that something has happened, so after every
wake-up and every send a socket is read until nothing is left.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import select
import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np
import zmq

from sentry_proto import codec, limits
from sentry_proto.curve import client_socket
from sentry_proto.keys import KeyFile
from sentry_proto.layout import LAYOUT_ID, N_MODALITIES, N_SECOND
from sentry_proto.session import AWAY, OPEN, AgentSession
from sentry_proto.types import Ack, Baseline, FeatureWindow, Heartbeat, Hello, Refusal, ScoredCount, Stratum, Window

WINDOW_EVERY_S = 10.0
WINDOW_S = 30
RETRY_S = 0.1
"""How long an agent without a session waits before it looks again."""

OUTAGE_S = 2.0
DRAIN_S = 60.0
SOFTWARE = "fleet-sim"


@dataclass(frozen=True)
class Schedule:
    """When what happens, in monotonic seconds, which all processes of a machine share."""

    steady: float
    storm: float


@dataclass
class Tally:
    """What a squad saw.

    Attributes:
        acks: of steady load: when a record was spooled, and the seconds until its ack.
        settled: (stream, sequence) of every record that was acked.
        refused: records that the trainer would not take.
        spooled: records that never got an answer.
        sent: records ever spooled.
        storm_s: from the moment of reconnection until the last agent had its session back and its spool empty.
        cpu_s: of this process.
    """

    acks: list[tuple[float, float]] = field(default_factory=list)
    settled: set[tuple[str, int]] = field(default_factory=set)
    refused: int = 0
    spooled: int = 0
    sent: int = 0
    storm_s: float = 0.0
    cpu_s: float = 0.0


class SimulatedAgent:
    """One agent on one connection."""

    def __init__(self, key: KeyFile, template: Window, first_window: float) -> None:
        self.stream = uuid.uuid4().hex
        self.spool: dict[int, tuple[bytes, float]] = {}
        self.next_window = first_window
        self.session = AgentSession(Hello(limits.PROTOCOL, self.stream, LAYOUT_ID, SOFTWARE))
        self._key, self._template = key, template
        self._sequences = itertools.count(1)
        self._acked = 0
        self.ticket = 0  # of the one entry in the squad's heap that counts
        self.socket: zmq.Socket[bytes] | None = None

    def connect(self, context: zmq.Context[zmq.Socket[bytes]]) -> int:
        """Open a connection; returns its descriptor for epoll."""
        self.socket = client_socket(context, self._key.endpoints.ingest, self._key)
        return int(self.socket.getsockopt(zmq.FD))

    def disconnect(self, now: float) -> None:
        """Cut the connection."""
        if self.socket is not None:
            self.socket.close(0)
            self.socket = None
        self.session.lost(now)

    def record(self, now: float) -> None:
        """Spool a window of the size that real ones have."""
        sequence = next(self._sequences)
        window = dataclasses.replace(self._template, window_id=uuid.uuid4().hex)
        self.spool[sequence] = (codec.encode_record(window), now)

    def step(self, now: float) -> Iterator[tuple[int, float, bool]]:
        """Send what is due, and take in what has come: settled sequences, when they were spooled, whether acked."""
        if self.socket is None:
            return
        if self.session.state == AWAY:
            self.session.connected(now)
        for frame in self.session.due(now, self._pending, self._beat):
            try:
                self.socket.send(frame, zmq.DONTWAIT)
            except zmq.Again:
                self.session.lost(now)
                break
        yield from self._hear()

    def _hear(self) -> Iterator[tuple[int, float, bool]]:
        assert self.socket is not None
        while True:
            try:
                data = self.socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            frame = self.session.received(data, time.monotonic())
            done = frame.sequences if isinstance(frame, Ack) else ()
            if isinstance(frame, Refusal) and frame.sequence:
                done = (frame.sequence,)
            for sequence in done:
                entry = self.spool.pop(sequence, None)
                if entry is not None:
                    self._acked += isinstance(frame, Ack)
                    yield sequence, entry[1], isinstance(frame, Ack)

    def next_step(self, now: float) -> float:
        """When to look again though nothing has come."""
        if self.session.state != OPEN:
            return now + RETRY_S
        return min(now + limits.HEARTBEAT_S, self.next_window)

    @property
    def waiting(self) -> bool:
        """Whether it could send something at once."""
        return self.session.state == OPEN and len(self.session.in_flight) < min(len(self.spool), limits.CREDIT)

    def _pending(self, exclude: Collection[int], most: int) -> list[tuple[int, bytes]]:
        waiting = ((sequence, entry[0]) for sequence, entry in self.spool.items() if sequence not in exclude)
        return list(itertools.islice(waiting, most))

    def _beat(self) -> Heartbeat:
        spooled = len(self.spool)
        return Heartbeat(
            time=time.time(), stream=self.stream, model_version=0, update_state="current", camera_state="ok", fps=30.0,
            participant="P01", session="s0001", clock_rate=1.0, event_time=time.time(), sent=self._acked + spooled,
            acked=self._acked, spooled=spooled, dropped=0, software=SOFTWARE, frames=0,
            counts=(ScoredCount(1, "P01", "stress", False, self._acked),),
        )  # fmt: skip


class Squad:
    """All agents of one process."""

    def __init__(self, keys: Collection[KeyFile], seed: int) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 2 * len(keys) + 16)
        random = np.random.default_rng(seed)
        template = a_window(random)
        self._agents = [SimulatedAgent(key, template, np.inf) for key in keys]
        self._phases = random.uniform(0, WINDOW_EVERY_S, len(keys))
        self._epoll = select.epoll()
        self._by_fd: dict[int, SimulatedAgent] = {}
        self._heap: list[tuple[float, int, SimulatedAgent]] = []
        self._ticket = itertools.count(1)
        self.tally = Tally()

    def connect(self) -> None:
        """Connect every agent now."""
        now = time.monotonic()
        for agent in self._agents:
            descriptor = agent.connect(self._context)
            self._by_fd[descriptor] = agent
            self._epoll.register(descriptor, select.EPOLLIN)
            self._plan(agent, now)

    def cut(self) -> None:
        """Disconnect every agent at once, with one more window in each spool."""
        now = time.monotonic()
        for descriptor in self._by_fd:
            self._epoll.unregister(descriptor)
        self._by_fd.clear()
        self._heap.clear()
        for agent in self._agents:
            agent.disconnect(now)
            agent.next_window = np.inf
            agent.record(now)

    def serve(self, until: float) -> None:
        """Let the agents live until then."""
        while (now := time.monotonic()) < until:
            while self._heap and self._heap[0][0] <= now:
                _, ticket, agent = heapq.heappop(self._heap)
                if ticket != agent.ticket:
                    continue
                if now >= agent.next_window:
                    agent.record(agent.next_window)
                    agent.next_window += WINDOW_EVERY_S
                self._step(agent, now)
                self._plan(agent, agent.next_step(now))
            wait = min(until, self._heap[0][0] if self._heap else until) - time.monotonic()
            for descriptor, _ in self._epoll.poll(max(0.0, wait)):
                self._step(self._by_fd[descriptor], time.monotonic())

    def start_windows(self, at: float) -> None:
        """From then on every agent makes a window each `WINDOW_EVERY_S`, all at different moments."""
        for agent, phase in zip(self._agents, self._phases, strict=True):
            agent.next_window = at + phase

    @property
    def open(self) -> bool:
        """Whether every session is open."""
        return all(agent.session.state == OPEN for agent in self._agents)

    @property
    def drained(self) -> bool:
        """Whether no spool holds anything."""
        return not any(agent.spool for agent in self._agents)

    def close(self) -> Tally:
        """Disconnect; returns the final count."""
        self.tally.sent = len(self.tally.settled) + self.tally.refused + sum(len(a.spool) for a in self._agents)
        self.tally.spooled = sum(len(agent.spool) for agent in self._agents)
        for agent in self._agents:
            agent.disconnect(0.0)
        self._epoll.close()
        self._context.term()
        self.tally.cpu_s = time.process_time()
        return self.tally

    def _step(self, agent: SimulatedAgent, now: float) -> None:
        for sequence, spooled, acked in agent.step(now):
            if acked:
                self.tally.acks.append((spooled, time.monotonic() - spooled))
                self.tally.settled.add((agent.stream, sequence))
            else:
                self.tally.refused += 1
        if agent.waiting:
            self._plan(agent, now)

    def _plan(self, agent: SimulatedAgent, when: float) -> None:
        agent.ticket = next(self._ticket)
        heapq.heappush(self._heap, (when, agent.ticket, agent))


def run_squad(pipe: Connection, keys: Collection[KeyFile], seed: int) -> None:
    """The whole life of a squad, in a process of its own."""
    squad = Squad(keys, seed)
    squad.connect()
    while not squad.open:
        squad.serve(time.monotonic() + RETRY_S)
    pipe.send("open")
    while not pipe.poll():
        squad.serve(time.monotonic() + RETRY_S)
    schedule: Schedule = pipe.recv()
    squad.serve(schedule.steady)
    squad.start_windows(schedule.steady)
    squad.serve(schedule.storm)
    squad.cut()
    steady = [ack for ack in squad.tally.acks if ack[0] < schedule.storm]
    back = schedule.storm + OUTAGE_S
    time.sleep(max(0.0, back - time.monotonic()))
    squad.connect()
    while not (squad.open and squad.drained) and time.monotonic() < back + DRAIN_S:
        squad.serve(time.monotonic() + RETRY_S)
    squad.tally.storm_s = time.monotonic() - back
    squad.tally.acks = steady
    pipe.send(squad.close())


def a_window(random: np.random.Generator) -> Window:
    """A window of noise; `WINDOW_S` seconds of all features, which is what most of a real one's bytes are."""
    features = FeatureWindow(
        participant="P01",
        session="s0001",
        start=1_750_000_000.0,
        end=1_750_000_000.0 + WINDOW_S,
        values=random.normal(size=(WINDOW_S, N_SECOND)).astype(np.float32),
        coverage=np.ones((WINDOW_S, N_MODALITIES), np.float32),
        baseline=Baseline(np.zeros(N_SECOND, np.float32), np.ones(N_SECOND, np.float32), 60),
        camera_states="o" * WINDOW_S,
    )
    return Window("0" * 32, features, Stratum.UNCERTAIN, 0.5, 0, (), SOFTWARE)
