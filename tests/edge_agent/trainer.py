"""A small trainer of our own on the real wire: CURVE, allow-list, session protocol; it keeps what it is sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from sentry_proto import codec, limits
from sentry_proto.curve import Gatekeeper, server_socket
from sentry_proto.keys import AGENT, AllowList, Endpoints, KeyFile
from sentry_proto.types import Ack, Heartbeat, Hello, Item, Offset, Pulse, Refusal, TrainerFrame, Welcome
from tests.e2e.study import free_port


def eventually(fine: Callable[[], object], what: str, within_s: float = 10.0) -> None:
    """Wait until `fine` says so."""
    deadline = time.monotonic() + within_s
    while not fine():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.01)


class Lab:
    """One trainer's key pair and one agent's key file, in a folder."""

    def __init__(self, folder: Path, enrolled: bool = True) -> None:
        trainer, agent = zmq.curve_keypair(), zmq.curve_keypair()
        self.secret = trainer[1].decode()
        self.key = KeyFile(
            name="lab-1",
            role=AGENT,
            public=agent[0].decode(),
            secret=agent[1].decode(),
            server=trainer[0].decode(),
            endpoints=Endpoints.of("127.0.0.1", free_port()),
            root={},
        )
        entry = {"public": self.key.public, "role": AGENT, "enrolled": "", "revoked": None}
        self.allowed = folder / "enrolled.json"
        self.allowed.write_text(json.dumps({"lab-1": entry} if enrolled else {}))


class Trainer:
    """Serves from the moment it is made until `close`; `refuse` names sequences that it will not take.

    Attributes:
        stored: sequence -> record, as first sent.
        items: every sequence that came, repetitions included.
        heartbeats, hellos: that came.
        audit: the audit probability that its pulses wish for.
        offsets: personal offsets that its pulses carry.
        ahead_s: by which its clock is wrong.
    """

    def __init__(self, lab: Lab, refuse: tuple[int, ...] = (), version: int = 0, acks: bool = True) -> None:
        self.stored: dict[int, bytes] = {}
        self.items: list[int] = []
        self.heartbeats: list[Heartbeat] = []
        self.hellos: list[Hello] = []
        self.audit = 0.0
        self.offsets: tuple[Offset, ...] = ()
        self.ahead_s = 0.0
        self._refuse, self.version, self._acks = refuse, version, acks
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._gate = Gatekeeper(self._context, AllowList(lab.allowed), (AGENT,))
        self._socket = server_socket(self._context, lab.key.endpoints.ingest, lab.secret, AGENT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._socket.poll(20):
                continue
            identity, data = self._socket.recv_multipart()
            for answer in self._answers(codec.decode_agent_frame(data)):
                self._socket.send_multipart([identity, codec.encode_trainer_frame(answer)])

    def _answers(self, frame: Hello | Item | Heartbeat) -> list[TrainerFrame]:
        if isinstance(frame, Hello):
            self.hellos.append(frame)
            return [Welcome(limits.PROTOCOL, 4, self.version), self._pulse()]
        if isinstance(frame, Heartbeat):
            self.heartbeats.append(frame)
            return [self._pulse()]
        self.items.append(frame.sequence)
        if frame.sequence in self._refuse:
            return [Refusal(frame.sequence, "no such task")]
        self.stored.setdefault(frame.sequence, frame.record)
        return [Ack((frame.sequence,))] if self._acks else []

    def _pulse(self) -> Pulse:
        return Pulse(time.time() + self.ahead_s, self.version, self.audit, self.offsets)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()
        self._gate.close()
        self._context.term()
