"""The connection to the trainer: one thread that owns the socket, and drives `AgentSession` and the outbox with it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import zmq

from edge_agent.outbox import Outbox
from sentry_proto.codec import encode_agent_frame
from sentry_proto.curve import ConnectionWatch, watched_client_socket
from sentry_proto.errors import MalformedMessage, StorageError
from sentry_proto.json_log import fields
from sentry_proto.keys import KeyFile
from sentry_proto.session import AWAY, OPEN, AgentSession
from sentry_proto.types import Ack, Heartbeat, Hello, Offset, Pulse, Refusal, TrainerFrame, Wanted

log = logging.getLogger(__name__)

POLL_MS = 50
"""A new record waits for at most this long."""

DRAIN_S = 10.0
ABSENT_S = 3.0
"""At the end of a run, records have `DRAIN_S` to leave, and only `ABSENT_S` if no trainer takes them."""


class Uplink:
    """Sends what the outbox holds, and heartbeats, for as long as the agent runs.

    Args:
        key: this machine's.
        outbox: what to send.
        hello: the greeting.
        heartbeat: tells the agent's state, given what is wrong with the connection; called in this object's thread,
            from the first moment on.
        on_model: told the version that the trainer offers, whenever it says so.
        on_audit: told the audit probability that it wishes for, likewise; 0 for none.
        on_offsets: told the personal offsets that are in force for the participant, likewise.
        on_failure: called if the thread dies of a bug, which `close` then raises: better no agent than a silent one.
        news: set by whoever has something to tell the trainer before the next second is over.
        on_wanted: told which windows that were passed over it wants after all.
    """

    def __init__(
        self,
        key: KeyFile,
        outbox: Outbox,
        hello: Hello,
        heartbeat: Callable[[str], Heartbeat],
        on_model: Callable[[int], None],
        on_audit: Callable[[float], None],
        on_offsets: Callable[[tuple[Offset, ...]], None],
        on_failure: Callable[[], None],
        news: threading.Event | None = None,
        on_wanted: Callable[[tuple[Wanted, ...]], None] = lambda _: None,
    ) -> None:
        self._key, self._outbox = key, outbox
        self._heartbeat, self._on_failure = heartbeat, on_failure
        self._on_model, self._on_audit, self._on_offsets = on_model, on_audit, on_offsets
        self._on_wanted = on_wanted
        self._session, self._news = AgentSession(hello), news or threading.Event()
        self._closing = threading.Event()
        self._closed, self._drain_s = 0.0, DRAIN_S
        self._trouble = ""
        self._failure: Exception | None = None
        self.words = "connecting"
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self._thread.start()

    @property
    def open(self) -> bool:
        """Whether the trainer takes records now."""
        return self._session.state == OPEN

    def close(self, drain_s: float = DRAIN_S) -> None:
        """Give what is spooled `drain_s` seconds to leave, then disconnect."""
        self._closed = time.monotonic()
        self._drain_s = drain_s
        self._closing.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # raised again by close
            self._failure = error
            self._on_failure()

    def _serve(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket, watch = watched_client_socket(context, self._key.endpoints.ingest, self._key)
        try:
            while not self._finished():
                self._step(watch)
            if self.open:
                self._send(encode_agent_frame(self._beat()))
                time.sleep(POLL_MS / 1000)  # the socket's own thread hands it to the kernel
        finally:
            watch.close()
            self._socket.close()
            context.term()

    def _finished(self) -> bool:
        if not self._closing.is_set():
            return False
        patience = self._drain_s if self.open else min(self._drain_s, ABSENT_S)
        return self._outbox.totals().spooled == 0 or time.monotonic() - self._closed > patience

    def _step(self, watch: ConnectionWatch) -> None:
        if self._socket.poll(POLL_MS):
            self._receive()
        now = time.monotonic()
        fresh = watch.poll()
        if not watch.connected:
            self._session.lost(now)
        elif fresh or self._session.state == AWAY:
            self._session.connected(now)
        if self._news.is_set():
            self._news.clear()
            self._session.beat_now()
        for frame in self._session.due(now, self._outbox.pending, self._beat):
            if not self._send(frame):
                self._session.lost(now)
                break
        self._say(watch)

    def _receive(self) -> None:
        """Take in all that has arrived, and settle it in one transaction."""
        acked: list[int] = []
        while True:
            try:
                parts = self._socket.recv_multipart(zmq.DONTWAIT)
                self._take(self._session.received(parts[-1], time.monotonic()), acked)
            except zmq.Again:
                break
            except MalformedMessage as error:
                self._trouble = f"the trainer sent something malformed: {error}"
        if acked:
            self._settle(lambda: self._outbox.ack(acked))

    def _take(self, frame: TrainerFrame, acked: list[int]) -> None:
        if isinstance(frame, Ack):
            acked += frame.sequences
        elif isinstance(frame, Refusal):
            if frame.stream:
                self._begin_anew(frame)
            elif frame.sequence:
                log.warning("the trainer refused record %d: %s", frame.sequence, frame.reason)
                self._settle(lambda: self._outbox.refuse(frame.sequence, frame.reason))
        else:
            self._on_model(frame.model_version)
            if isinstance(frame, Pulse):
                self._on_audit(frame.audit_probability)
                self._on_offsets(frame.offsets)
                if frame.wanted:
                    self._on_wanted(frame.wanted)

    def _begin_anew(self, refusal: Refusal) -> None:
        """Go on in a new stream, unless that was done since this was sent."""
        if refusal.stream != self._outbox.stream:
            return
        log.warning("a new stream begins at record %d: %s", refusal.sequence, refusal.reason)
        self._settle(self._outbox.renew)
        if refusal.stream != self._outbox.stream:
            self._session.begin_anew(self._outbox.stream, time.monotonic())

    def _settle(self, change: Callable[[], None]) -> None:
        try:
            change()
            self._trouble = ""
        except StorageError as error:  # the record stays spooled, and is sent and acked once more
            self._trouble = str(error)

    def _send(self, frame: bytes) -> bool:
        try:
            self._socket.send(frame, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def _say(self, watch: ConnectionWatch) -> None:
        words = self._session.refusal or watch.words
        if watch.connected and not self._session.refusal:
            words = "connected" if self.open else "waiting for the trainer's welcome"
        if words != self.words:
            log.info("trainer: %s", words, extra=fields(trainer=words))
        self.words = words

    def _beat(self) -> Heartbeat:
        return self._heartbeat(self._trouble)
