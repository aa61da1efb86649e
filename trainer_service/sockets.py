"""The three sockets, each owned by one thread that ends when it is told to.

Every message is answered by a rule that owns no socket (`Intake`, `Updates`, `ControlApi`); the enrolment of the
sender's key is looked up anew for each, so that a revocation cuts standing connections too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import zmq

from sentry_proto import limits
from sentry_proto.codec import encode_trainer_frame
from sentry_proto.curve import PATIENCE_S, peer_key, server_socket
from sentry_proto.keys import AGENT, CONTROL
from sentry_proto.watchdog import Progress
from trainer_service.enrolment import Enrolment
from trainer_service.fleet import Moment
from trainer_service.ingest import Intake, Message, Reply

log = logging.getLogger(__name__)

ROUND_LARGEST = 256
"""Messages taken into one commit."""

TICK_MS = 100
"""How long a thread sleeps at most before it looks whether it should end."""

SAVE_EVERY_S = 2.0
SAVE_AT_ONCE = 50
"""Agents whose heartbeats are saved in one go; the others wait for the next round, so that no round takes long."""

REFRESH_EVERY_S = 1.0

CONTROL_PATIENCE_S = 120.0
"""An import of many labels or an erasure may rightly take long."""

Socket = zmq.Socket[bytes]
Context = zmq.Context[Socket]


def bind_address(endpoint: str) -> str:
    """Where to listen for an endpoint that others connect to: loopback stays loopback, all else is every interface."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return f"tcp://127.0.0.1:{port}" if host in ("127.0.0.1", "localhost") else f"tcp://*:{port}"


def _moment() -> Moment:
    return Moment(time.time(), time.monotonic())


class SocketThread(threading.Thread):
    """Runs one socket until `stop` is called."""

    def __init__(self, name: str, context: Context, endpoint: str, secret: str, role: str, largest: int) -> None:
        super().__init__(name=name, daemon=True)
        self._stopping = threading.Event()
        self._progress = Progress(CONTROL_PATIENCE_S if role == CONTROL else PATIENCE_S)
        self.socket = server_socket(context, bind_address(endpoint), secret, role, largest)

    def stalled(self, now: float) -> bool:
        """Whether it hangs, at `now` in monotonic seconds."""
        return self._progress.stalled(now)

    def stop(self) -> None:
        """Ask the thread to end, and wait until its socket is closed."""
        self._stopping.set()
        if self.ident is None:
            self.socket.close()
        else:
            self.join()

    def run(self) -> None:
        """Serve until stopped."""
        try:
            self.serve()
        finally:
            self.socket.close()

    def serve(self) -> None:
        """One thread's work."""
        raise NotImplementedError

    def arrived(self, most: int) -> Iterator[Message]:
        """The messages that wait now; those of a wrong number of parts are dropped."""
        for _ in range(most):
            self._progress.passed()
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if len(frames) == 2:
                yield Message(frames[0].bytes, peer_key(frames[1]), frames[1].bytes)

    def send(self, route: bytes, data: bytes) -> None:
        """Answer; a peer that does not read loses its answer and delays nobody."""
        try:
            self.socket.send_multipart([route, data], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.debug("an answer was lost: %s", error)


class IngestThread(SocketThread):
    """Agents' records and heartbeats in; acks, refusals and pulses out."""

    def __init__(
        self,
        context: Context,
        endpoint: str,
        secret: str,
        intake: Intake,
        allowed: Enrolment,
        save_every_s: float = SAVE_EVERY_S,
    ) -> None:
        super().__init__("ingest", context, endpoint, secret, AGENT, limits.MAX_FRAME_BYTES)
        self._intake, self._save_every_s = intake, save_every_s
        self._allowed = allowed
        self._published = threading.Event()
        self._wake_address = f"inproc://wake-ingest-{id(self)}"
        self._woken: Socket = context.socket(zmq.PULL)
        self._woken.bind(self._wake_address)
        self._waker: Socket = context.socket(zmq.PUSH)
        self._waker.connect(self._wake_address)

    def pulse_now(self) -> None:
        """Tell all agents at once that there is a new model; call from one thread only."""
        self._waker.send(b"", zmq.NOBLOCK)

    def stop(self) -> None:
        """Also close the wake-up line."""
        super().stop()
        self._waker.close(0)
        self._woken.close(0)

    def serve(self) -> None:
        """Rounds of receive, commit, answer; with a pulse every second."""
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        poller.register(self._woken, zmq.POLLIN)
        next_pulse = next_save = next_refresh = 0.0
        unsaved = 0
        while not self._stopping.is_set():
            self._progress.passed()
            ready = dict(poller.poll(TICK_MS))
            now = _moment()
            if now.monotonic >= next_refresh:
                next_refresh = now.monotonic + REFRESH_EVERY_S
                self._allowed.refresh()
            if self.socket in ready:
                self._answer(self._intake.round(self.arrived(ROUND_LARGEST), now))
            if self._woken in ready:
                self._woken.recv()
                next_pulse = now.monotonic
            if now.monotonic >= next_pulse:
                next_pulse = now.monotonic + limits.HEARTBEAT_S
                self._answer(self._intake.pulses(now))
            if now.monotonic >= next_save:
                next_save = now.monotonic + self._save_every_s
                unsaved = self._intake.unsaved()
            if unsaved > 0:
                unsaved -= SAVE_AT_ONCE
                self._intake.save_heartbeats(SAVE_AT_ONCE)
        self._intake.save_heartbeats()

    def _answer(self, replies: list[Reply]) -> None:
        encoded: dict[int, bytes] = {}  # one pulse is for many
        for route, frame in replies:
            data = encoded.get(id(frame)) or encode_trainer_frame(frame)
            encoded[id(frame)] = data
            self.send(route, data)


class RequestThread(SocketThread):
    """One answer to each request of an enrolled key of `role`; `answer` is also told its name. Others get none."""

    def __init__(
        self,
        name: str,
        context: Context,
        endpoint: str,
        secret: str,
        role: str,
        allowed: Enrolment,
        answer: Callable[[bytes, str], bytes | None],
    ) -> None:
        largest = limits.MAX_CONTROL_BYTES if role == CONTROL else limits.MAX_FRAME_BYTES
        super().__init__(name, context, endpoint, secret, role, largest)
        self._role = role
        self._allowed = allowed
        self._answer = answer

    def serve(self) -> None:
        """Receive, look the key up, answer."""
        while not self._stopping.is_set():
            self._progress.passed()
            if not self.socket.poll(TICK_MS):
                continue
            for message in self.arrived(ROUND_LARGEST):
                name = self._allowed.name_of(message.key, self._role)
                if name is None:
                    continue
                reply = self._answer(message.data, name)
                if reply is not None:
                    self.send(message.route, reply)
