"""Who else knocks at the trainer in `benchmarks.faults`: strangers, a key that is revoked, and an enrolled vandal."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import zmq

from benchmarks.fault_machine import Log
from sentry_proto import codec, limits
from sentry_proto.curve import client_socket
from sentry_proto.errors import MalformedMessage
from sentry_proto.keys import AGENT, KeyFile
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.types import Ack, Hello, Item, TrainerFrame, Welcome
from trainer_service import keyring
from trainer_service.fleet_agents import a_window
from trainer_service.keyring import Home

EVERY_S = 5.0
LISTEN_S = 1.0
GUEST_EVERY_S = 0.2
GUEST_STAYS_S, GUEST_AFTER_S = 4.0, 10.0
STRANGER = "0badc0de" * 4
"""The stream under which those speak who may not."""


class Caller:
    """A socket with a key, and a stream of records."""

    def __init__(self, key: KeyFile, stream: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = client_socket(self._context, key.endpoints.ingest, key)
        self._window = dataclasses.replace(a_window(np.random.default_rng(5)), consent_id="consent-1")
        self._stream, self._sequence = stream, 0

    def say(self, data: bytes) -> None:
        """Send bytes, if they can be."""
        with suppress(zmq.Again):  # within a second: whoever is let in nowhere cannot even send
            self._socket.send(data)

    def greet(self) -> None:
        """Send a Hello."""
        self.say(codec.encode_agent_frame(Hello(limits.PROTOCOL, self._stream, LAYOUT_ID, "visitor")))

    def record(self) -> None:
        """Send a window of the size that real ones have."""
        self._sequence += 1
        window = dataclasses.replace(self._window, window_id=uuid.uuid4().hex)
        self.say(codec.encode_agent_frame(Item(self._stream, self._sequence, codec.encode_record(window))))

    def hear(self, seconds: float) -> list[TrainerFrame]:
        """What comes within so long."""
        heard: list[TrainerFrame] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._socket.poll(int(1000 * left)):
                try:
                    heard.append(codec.decode_trainer_frame(self._socket.recv()))
                except MalformedMessage:
                    continue
        return heard

    def close(self) -> None:
        """Hang up."""
        self._socket.close(0)
        self._context.term()


class Visitors:
    """Threads that knock until `close`."""

    def __init__(self, home: Home, log: Log) -> None:
        self._home, self._log = home, log
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=(how,)) for how in (self._stranger, self._guest)]
        self._vandal_key = self._enroll("vandal")
        self._threads.append(threading.Thread(target=self._repeat, args=(self._vandal,)))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """No more visits."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, visit: Callable[[], None]) -> None:
        while not self._ended.wait(EVERY_S):
            visit()

    def _enroll(self, name: str) -> KeyFile:
        return keyring.enroll(self._home, name, self._file(name), AGENT, datetime.now(UTC))

    def _file(self, name: str) -> Path:
        return self._home.folder / f"{name}.key"

    def _stranger(self) -> None:
        """Nobody's key: not one word may come back."""
        public, secret = (key.decode("ascii") for key in zmq.curve_keypair())
        self._knock("stranger", dataclasses.replace(self._vandal_key, public=public, secret=secret))

    def _knock(self, who: str, key: KeyFile) -> None:
        caller = Caller(key, STRANGER)
        caller.greet()
        caller.record()
        heard = caller.hear(LISTEN_S)
        caller.close()
        accepted = sum(isinstance(frame, Welcome | Ack) for frame in heard)
        self._log.write(who, "visit", heard=len(heard), accepted=accepted)

    def _guest(self) -> None:
        """An enrolled key that sends records, is revoked while it does, and knocks once more later."""
        name = f"guest-{uuid.uuid4().hex[:8]}"
        key = self._enroll(name)
        caller = Caller(key, uuid.uuid4().hex)
        caller.greet()
        revoked = last = None
        welcome = False
        deadline = time.monotonic() + GUEST_STAYS_S
        while (now := time.monotonic()) < deadline:
            caller.record()
            heard = caller.hear(GUEST_EVERY_S)
            welcome = welcome or any(isinstance(frame, Welcome | Ack) for frame in heard)
            if revoked is not None and any(isinstance(frame, Welcome | Ack) for frame in heard):
                last = time.monotonic() - revoked
            if revoked is None and now > deadline - GUEST_STAYS_S / 2:
                keyring.revoke(self._home, name, datetime.now(UTC))
                revoked = time.monotonic()
                deadline = revoked + GUEST_AFTER_S
        caller.close()
        self._log.write("guest", "revoked", welcome=welcome, last_ack_after=last)
        self._knock("revoked", key)
        self._file(name).unlink()

    def _vandal(self) -> None:
        """An enrolled key that sends bytes which are no frames, and others too large to be any."""
        caller = Caller(self._vandal_key, uuid.uuid4().hex)
        heard: list[TrainerFrame] = []
        for size in (0, 1, 100, 10_000, limits.MAX_FRAME_BYTES):
            caller.say(os.urandom(size))
            heard += caller.hear(LISTEN_S / 5)
        caller.close()
        accepted = sum(isinstance(frame, Welcome | Ack) for frame in heard)
        self._log.write("vandal", "visit", heard=len(heard), accepted=accepted)
