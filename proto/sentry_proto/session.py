"""The session protocol, both ends of it: bytes and `now` in, bytes out; no sockets, files or clocks.

    agent                                trainer
      | Hello(stream, layout)  ----------> |    on every new connection; repeated with backoff until welcomed
      | <---------- Welcome(credit, model) |    or Refusal(0, reason): wrong protocol or layout, no such key
      | Item(1) ... Item(credit) --------> |    at most `credit` in flight
      | <------------------ Ack(sequences) |    only after the commit; Refusal(sequence) for a bad item;
      |                                    |    Refusal(sequence, stream) if another item has this number there
      | Heartbeat -------------------------> |  every second, and at once when another model runs
      | <--------- Pulse(time, model)      |    every second, and at once when a bundle is published

The agent's end, and what moves it:

    away      --a connection stands-->         greeting    a Hello at once
    greeting  --Welcome-->                     open        items and heartbeats flow
    open      --silence, or no ack in time-->  greeting    a Hello at once
    open      --Refusal(0)-->                  greeting    a Hello after the longest backoff
    any       --a new stream-->                greeting    a Hello at once
    any       --connection lost-->             away

The trainer's end has one state: a peer is there from its first frame until it was silent for `FORGET_S`, sent bytes
that are no frame, or lost its key. An item tells its own stream and layout, so it needs no Hello before it.

Delivery is at least once: on leaving `open`, whatever is in flight counts as unsent, and the spool still has it. The
store's unique key (agent, stream, sequence) makes it exactly once. A spool that was put back from an older copy of its
machine gives a number twice: the trainer sees that the records differ, and the agent goes on in a new stream.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace

from sentry_proto import codec, limits
from sentry_proto.errors import RequestRefused
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.types import Ack, AgentFrame, Heartbeat, Hello, Item, Refusal, TrainerFrame, Welcome

AWAY = "away"
GREETING = "greeting"
OPEN = "open"

FIRST_BACKOFF_S = 0.25
LONGEST_BACKOFF_S = 5.0

FORGET_S = 15.0
"""A peer that was silent for so long gets no pulse any more."""

Spool = Callable[[Collection[int], int], Iterable[tuple[int, bytes]]]
"""Given sequences to leave out and a number, the oldest spooled records: sequence and bytes."""


class AgentSession:
    """The agent's end of one session; every method takes `now` in monotonic seconds.

    Attributes:
        state: `AWAY`, `GREETING` or `OPEN`.
        refusal: the trainer's reason for not welcoming this agent; empty when it did.
    """

    def __init__(self, hello: Hello) -> None:
        self._hello = hello
        self._backoff = FIRST_BACKOFF_S
        self._next_hello = self._next_beat = self._heard = 0.0
        self._credit = 0
        self._in_flight: dict[int, float] = {}
        self.state = AWAY
        self.refusal = ""

    @property
    def in_flight(self) -> frozenset[int]:
        """Sequences that are sent and neither acked nor refused."""
        return frozenset(self._in_flight)

    def connected(self, now: float) -> None:
        """A new connection stands."""
        self._backoff = FIRST_BACKOFF_S
        self._enter(GREETING, now)

    def lost(self, now: float) -> None:
        """The connection is gone, or takes no bytes."""
        if self.state != AWAY:
            self._enter(AWAY, now)

    def received(self, data: bytes, now: float) -> TrainerFrame:
        """Take in a frame; the caller settles acks and refusals of items with its spool.

        Raises:
            MalformedMessage: the bytes are no frame; nothing has changed.
        """
        frame = codec.decode_trainer_frame(data)
        self._heard = now
        match frame:
            case Welcome() if self.state != AWAY:
                self._credit, self.refusal, self._backoff = frame.credit, "", FIRST_BACKOFF_S
                self.state = OPEN
            case Ack(sequences=sequences):
                for sequence in sequences:
                    self._in_flight.pop(sequence, None)
            case Refusal(sequence=0, reason=reason):
                self.refusal, self._backoff = reason, LONGEST_BACKOFF_S
                if self.state == OPEN:
                    self._enter(GREETING, now, LONGEST_BACKOFF_S)
            case Refusal(sequence=sequence, stream=""):
                self._in_flight.pop(sequence, None)
        return frame

    def begin_anew(self, stream: str, now: float) -> None:
        """From now on all items go out in this stream."""
        self._hello = replace(self._hello, stream=stream)
        if self.state != AWAY:
            self._enter(GREETING, now)

    def due(self, now: float, spool: Spool, heartbeat: Callable[[], Heartbeat]) -> Iterator[bytes]:
        """What is to be sent now: a greeting, or as many items as there is credit for, and the heartbeat.

        Stop iterating and call `lost` if the socket does not take a frame.
        """
        self._check_alive(now)
        if self.state == GREETING and now >= self._next_hello:
            self._next_hello = now + self._backoff
            self._backoff = min(2 * self._backoff, LONGEST_BACKOFF_S)
            yield codec.encode_agent_frame(self._hello)
        if self.state != OPEN:
            return
        for sequence, record in spool(self.in_flight, max(0, self._credit - len(self._in_flight))):
            self._in_flight[sequence] = now
            yield codec.encode_agent_frame(Item(self._hello.stream, sequence, record))
        if now >= self._next_beat:
            self._next_beat = now + limits.HEARTBEAT_S
            yield codec.encode_agent_frame(heartbeat())

    def beat_now(self) -> None:
        """Something has changed that the trainer waits for: the next heartbeat is due at once."""
        self._next_beat = 0.0

    def _check_alive(self, now: float) -> None:
        oldest = min(self._in_flight.values(), default=now)
        silent = now - self._heard > limits.PEER_DEAD_S
        if self.state == OPEN and (silent or now - oldest > limits.RESEND_S):
            self._enter(GREETING, now)

    def _enter(self, state: str, now: float, wait_s: float = 0.0) -> None:
        self.state = state
        self._in_flight.clear()
        self._heard, self._next_hello = now, now + wait_s


class TrainerSession:
    """The trainer's end of one session; `now` as there.

    Attributes:
        key: the public key that CURVE has proven for the peer.
    """

    def __init__(self, key: str, now: float) -> None:
        self.key = key
        self._heard = now

    def received(self, data: bytes, now: float) -> AgentFrame:
        """Take in a frame; the caller answers a Hello with `welcome`, and items once they are committed.

        Raises:
            MalformedMessage: the bytes are no frame, which ends the session.
        """
        frame = codec.decode_agent_frame(data)
        self._heard = now
        return frame

    def there(self, now: float) -> bool:
        """Whether the peer was heard lately, and so gets pulses."""
        return now - self._heard < FORGET_S


def welcome(hello: Hello, model_version: int) -> Welcome:
    """The answer to a greeting.

    Raises:
        RequestRefused: the agent speaks another protocol or another layout.
    """
    if hello.protocol != limits.PROTOCOL:
        raise RequestRefused(f"the agent speaks protocol {hello.protocol}, this trainer {limits.PROTOCOL}")
    if hello.layout_id != LAYOUT_ID:
        raise RequestRefused(f"the agent has feature layout {hello.layout_id[:20]!r}, this trainer speaks {LAYOUT_ID}")
    return Welcome(limits.PROTOCOL, limits.CREDIT, model_version)
