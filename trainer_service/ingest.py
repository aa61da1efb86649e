"""Ingest: what agents send becomes stored records, acks and refusals.

`Intake` holds the rules, without socket or clock. One round takes all messages that have arrived, stores their records
in one transaction and only then acknowledges them:

    sender's key not enrolled (any more)   -> Refusal(0), and the peer is forgotten
    bytes that are no frame                -> Refusal(0)
    Hello of another protocol or layout    -> Refusal(0)
    Hello                                  -> Welcome
    Item that breaks the contract          -> Refusal(sequence)
    Item                                   -> commit -> Ack(sequences); a duplicate is acked again
    Item with the number of another        -> Refusal(sequence, stream): the agent begins a new stream
    Heartbeat                              -> the fleet
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sentry_proto import limits
from sentry_proto.codec import decode_record
from sentry_proto.errors import PeerFault, RequestRefused, StorageError, UnknownTask
from sentry_proto.keys import AGENT, AllowList
from sentry_proto.session import TrainerSession, welcome
from sentry_proto.tasks import Task
from sentry_proto.types import Ack, Heartbeat, Hello, Item, Offset, Pulse, Record, Refusal, TrainerFrame, Window
from trainer_service.fleet import Fleet, Moment
from trainer_service.neighbours import LOOK_BACK_S, Neighbours
from trainer_service.store import REUSED, Arrival, Store, Unstorable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """One message as received: where to answer, the key that CURVE has proven, and the bytes."""

    route: bytes
    key: str
    data: bytes


Reply = tuple[bytes, TrainerFrame]


class Intake:
    """The trainer's end of all agents' sessions."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        allowed: AllowList,
        tasks: Iterable[Task],
        model_version: Callable[[str], int],
        audit_probability: Callable[[float], float],
        offsets: Callable[[str], tuple[Offset, ...]] = lambda _: (),
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._allowed = allowed
        self._tasks = {task.name: task for task in tasks}
        self._model_version = model_version
        self._audit_probability = audit_probability
        self._offsets = offsets
        self._neighbours = Neighbours(store, self._tasks.values(), time.time() - LOOK_BACK_S)
        self._sessions: dict[bytes, TrainerSession] = {}
        self.counts: Counter[str] = Counter()

    def round(self, messages: Iterable[Message], now: Moment) -> list[Reply]:
        """Take in what has arrived; the replies hold no ack of anything that is not committed."""
        replies: list[Reply] = []
        arrivals: list[tuple[bytes, Arrival]] = []
        for message in messages:
            name = self._allowed.name_of(message.key, AGENT)
            try:
                if name is None:
                    raise RequestRefused("this key is not enrolled with the trainer, or was revoked")
                frame = self._session(message, now).received(message.data, now.monotonic)
            except PeerFault as fault:
                self._sessions.pop(message.route, None)
                replies.append((message.route, self._refusal(0, fault)))
                continue
            match frame:
                case Hello():
                    replies.append((message.route, self._greet(frame, name)))
                case Heartbeat():
                    self._fleet.heard(name, frame, now)
                case Item():
                    try:
                        record = _checked(decode_record(frame.record), self._tasks)
                    except PeerFault as fault:
                        replies.append((message.route, self._refusal(frame.sequence, fault)))
                    else:
                        arrival = Arrival(name, frame.stream, frame.sequence, record, frame.record)
                        arrivals.append((message.route, arrival))
        return [*replies, *self._commit(arrivals, now)]

    def pulses(self, now: Moment) -> list[Reply]:
        """The trainer's heartbeat to every peer that was heard lately and is enrolled; equal ones are the same."""
        self._sessions = {
            route: session
            for route, session in self._sessions.items()
            if session.there(now.monotonic) and self._allowed.name_of(session.key, AGENT) is not None
        }
        audit = self._audit_probability(now.wall)
        self._neighbours.refresh()
        names = {route: self._allowed.name_of(session.key, AGENT) or "" for route, session in self._sessions.items()}
        told = {
            route: (self._model_version(name), audit, self._offsets_for(name), self._neighbours.of(name))
            for route, name in names.items()
        }
        pulses = {words: Pulse(now.wall, *words) for words in set(told.values())}
        return [(route, pulses[words]) for route, words in told.items()]

    def _offsets_for(self, name: str) -> tuple[Offset, ...]:
        """Those of the participant whom this agent watches, and of nobody else."""
        participant = self._fleet.participant(name)
        return self._offsets(participant) if participant else ()

    def unsaved(self) -> int:
        """Of how many agents there is a heartbeat to write down."""
        return self._fleet.unsaved()

    def save_heartbeats(self, most: int | None = None) -> None:
        """Write down what the fleet has heard, of so many agents; on a failing disk it is kept for later."""
        unsaved = self._fleet.take_unsaved(most)
        if not unsaved:
            return
        try:
            self._store.keep_heartbeats(unsaved)
        except Unstorable:
            self._save_each(unsaved)
        except StorageError as error:
            self._fleet.put_back(unsaved)
            log.warning("heartbeats not stored: %s", error)

    def _save_each(self, beats: list[tuple[str, Heartbeat, float]]) -> None:
        """Leave out the one that the database refuses, which must not hold up the others."""
        for beat in beats:
            try:
                self._store.keep_heartbeats([beat])
            except StorageError as error:
                log.warning("a heartbeat of %s is left out: %s", beat[0], error)

    def _session(self, message: Message, now: Moment) -> TrainerSession:
        """The sender's session, begun with its first message; a route that another key has now is another peer."""
        session = self._sessions.get(message.route)
        if session is None or session.key != message.key:
            session = self._sessions[message.route] = TrainerSession(message.key, now.monotonic)
        return session

    def _greet(self, hello: Hello, name: str) -> TrainerFrame:
        try:
            return welcome(hello, self._model_version(name))
        except RequestRefused as fault:
            return self._refusal(0, fault)

    def _refusal(self, sequence: int, fault: Exception, stream: str = "") -> Refusal:
        self.counts["refused items" if sequence else "refused frames"] += 1
        return Refusal(sequence, str(fault)[: limits.MAX_WORDS], stream)

    def _commit(self, arrivals: list[tuple[bytes, Arrival]], now: Moment) -> list[Reply]:
        if not arrivals:
            return []
        try:
            refused = self._store_records([arrival for _, arrival in arrivals], now.wall)
        except StorageError as error:
            log.warning("%d records not stored and not acknowledged: %s", len(arrivals), error)
            self.counts["unstored items"] += len(arrivals)
            return []
        replies: list[Reply] = []
        acked: defaultdict[bytes, list[int]] = defaultdict(list)
        for (route, arrival), reason in zip(arrivals, refused, strict=True):
            if reason is None:
                acked[route].append(arrival.sequence)
            else:
                stream = arrival.stream if reason == REUSED else ""
                replies.append((route, self._refusal(arrival.sequence, RequestRefused(reason), stream)))
        self.counts["acked items"] += sum(map(len, acked.values()))
        return [*replies, *((route, Ack(tuple(sequences))) for route, sequences in acked.items())]

    def _store_records(self, arrivals: list[Arrival], now: float) -> list[str | None]:
        """As `Store.ingest`; a record that the database refuses is refused, and the others are stored without it."""
        try:
            return self._store.ingest(arrivals, now)
        except Unstorable as error:
            if len(arrivals) == 1:
                log.warning("a record of %s is refused: %s", arrivals[0].agent, error)
                return ["the trainer's database does not take this record"]
        return [reason for arrival in arrivals for reason in self._store_records([arrival], now)]


def _checked(record: Record, tasks: Mapping[str, Task]) -> Record:
    """The record, if it comes with consent and speaks of configured tasks only."""
    if not record.consent_id:
        raise RequestRefused("no consent record: a window or alert must name the consent it was made under")
    if isinstance(record, Window):
        for prediction in record.predictions:
            task = _known(prediction.task, tasks)
            if len(prediction.probabilities) != len(task.classes):
                n = len(prediction.probabilities)
                raise UnknownTask(f"task {task.name} has {len(task.classes)} classes here, the prediction has {n}")
    else:
        _known(record.task, tasks)
    return record


def _known(name: str, tasks: Mapping[str, Task]) -> Task:
    if name not in tasks:
        raise UnknownTask(f"task {name!r} is not configured; known are {', '.join(tasks)}")
    return tasks[name]
