"""The session protocol, without sockets, files or clocks.

    agent                                trainer
      | Hello(stream, layout)  ----------> |    on every new connection; repeated with backoff until welcomed
      | <---------- Welcome(credit, model) |    or Refusal(0, reason): wrong protocol or layout
      | Item(1) ... Item(credit) --------> |    at most `credit` in flight
      | <------------------ Ack(sequences) |    only after the commit; Refusal(sequence) for a bad item
      | Heartbeat -------------------------> |  every second
      | <--------- Pulse(time, model)      |    every second, and at once when a bundle is published

States of the agent's end, and what moves it:

    greeting --Welcome--> open --silence or lost connection--> greeting

Delivery is at least once: on leaving `open`, whatever is in flight counts as unsent, and the spool still has it. The
store's unique key (agent, stream, sequence) makes it exactly once.
"""

from __future__ import annotations

from sentry_proto import limits
from sentry_proto.types import Ack, Hello, Pulse, Refusal, TrainerFrame, Welcome

GREETING = "greeting"
OPEN = "open"

FIRST_BACKOFF_S = 0.25
LONGEST_BACKOFF_S = 5.0


class AgentSession:
    """The agent's end of one session; every method takes `now` in monotonic seconds."""

    def __init__(self, hello: Hello, now: float) -> None:
        self._hello = hello
        self._backoff = FIRST_BACKOFF_S
        self._next_hello = now
        self._next_beat = now
        self._heard = now
        self._credit = 0
        self._in_flight: dict[int, float] = {}
        self.state = GREETING
        self.refusal = ""
        self.model_version = 0

    def connected(self, now: float) -> None:
        """A new connection stands: greet at once."""
        self._greet(now)
        self._backoff = FIRST_BACKOFF_S

    def received(self, frame: TrainerFrame, now: float) -> None:
        """Take in a frame; the caller settles acks and refusals with its spool."""
        self._heard = now
        match frame:
            case Welcome(credit=credit, model_version=version):
                self.state, self.refusal = OPEN, ""
                self._credit, self.model_version = credit, version
                self._backoff = FIRST_BACKOFF_S
            case Ack(sequences=sequences):
                for sequence in sequences:
                    self._in_flight.pop(sequence, None)
            case Refusal(sequence=0, reason=reason):
                self.refusal = reason
                self._backoff = LONGEST_BACKOFF_S
            case Refusal(sequence=sequence):
                self._in_flight.pop(sequence, None)
            case Pulse(model_version=version):
                self.model_version = version

    def hello_due(self, now: float) -> Hello | None:
        """The greeting, if it is time to send one."""
        self._check_alive(now)
        if self.state != GREETING or now < self._next_hello:
            return None
        self._next_hello = now + self._backoff
        self._backoff = min(2 * self._backoff, LONGEST_BACKOFF_S)
        return self._hello

    def beat_due(self, now: float) -> bool:
        """Whether it is time for a heartbeat."""
        if self.state != OPEN or now < self._next_beat:
            return False
        self._next_beat = now + limits.HEARTBEAT_S
        return True

    def capacity(self, now: float) -> int:
        """How many more items may be sent now."""
        self._check_alive(now)
        return max(0, self._credit - len(self._in_flight)) if self.state == OPEN else 0

    @property
    def in_flight(self) -> frozenset[int]:
        """Sequences that are sent and neither acked nor refused."""
        return frozenset(self._in_flight)

    def sent(self, sequence: int, now: float) -> None:
        """An item was handed to the socket."""
        self._in_flight[sequence] = now

    def _check_alive(self, now: float) -> None:
        oldest = min(self._in_flight.values(), default=now)
        silent = now - self._heard > limits.PEER_DEAD_S
        if self.state == OPEN and (silent or now - oldest > limits.RESEND_S):
            self._greet(now)

    def _greet(self, now: float) -> None:
        self.state = GREETING
        self._in_flight.clear()
        self._next_hello = now
        self._heard = now
