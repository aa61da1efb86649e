"""A scripted agent on the real wire: real CURVE, real protocol, invented windows with a known truth."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import zmq

from sentry_proto import codec, limits
from sentry_proto.curve import client_socket
from sentry_proto.keys import AGENT, KeyFile
from sentry_proto.layout import LAYOUT_ID, N_SECOND, SECOND_FEATURES
from sentry_proto.types import Ack, Hello, Item, Record, Refusal, Stratum, Window
from tests.sentry_proto.records import window

STATES = ("calm", "mildly stressed", "stressed")


def windows_of_states(people: int, per_person: int, seed: int = 0, effect: float = 1.0) -> Iterator[tuple[Window, str]]:
    """Windows whose first ten features move with the person's state; yields each with its true state."""
    random = np.random.default_rng(seed)
    span = np.array([min(feature.high - feature.low, 1.0) for feature in SECOND_FEATURES], np.float32)
    for person in range(people):
        offset = random.normal(0, 0.3, N_SECOND).astype(np.float32)
        for index in range(per_person):
            state = int(random.integers(3))
            plain = window(
                uuid.UUID(int=int(random.integers(2**62)) << 64 | person << 32 | index).hex,
                participant=f"W{person:02d}",
                start=1_750_000_000.0 + 60 * index,
                seed=int(random.integers(2**31)),
                stratum=Stratum.AUDIT,
            )
            values = 0.1 * plain.features.values + offset * span
            values[:, :10] += effect * 0.2 * state * span[:10]
            yield dataclasses.replace(plain, features=dataclasses.replace(plain.features, values=values)), STATES[state]


class WireAgent:
    """Sends records and waits for their acks."""

    def __init__(self, key_path: Path) -> None:
        self.stream = uuid.uuid4().hex
        self._sequence = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        key = KeyFile.load(key_path, AGENT)
        self._socket = client_socket(self._context, key.endpoints.ingest, key)
        hello = Hello(limits.PROTOCOL, self.stream, LAYOUT_ID, "test")
        self._socket.send(codec.encode_agent_frame(hello))

    def send(self, records: Sequence[Record], timeout_s: float = 60) -> list[Refusal]:
        """Send records in groups of the credit; returns the refusals once every record is settled."""
        refused: list[Refusal] = []
        for first in range(0, len(records), limits.CREDIT):
            open_sequences = set()
            for record in records[first : first + limits.CREDIT]:
                self._sequence += 1
                open_sequences.add(self._sequence)
                item = Item(self.stream, self._sequence, codec.encode_record(record))
                self._socket.send(codec.encode_agent_frame(item))
            refused += self._settle(open_sequences, time.monotonic() + timeout_s)
        return refused

    def _settle(self, open_sequences: set[int], deadline: float) -> list[Refusal]:
        refused = []
        while open_sequences:
            if not self._socket.poll(int(1000 * max(0, deadline - time.monotonic()))):
                raise AssertionError(f"no ack for {len(open_sequences)} records")
            frame = codec.decode_trainer_frame(self._socket.recv())
            if isinstance(frame, Ack):
                open_sequences -= set(frame.sequences)
            elif isinstance(frame, Refusal):
                refused.append(frame)
                open_sequences.discard(frame.sequence)
        return refused

    def close(self) -> None:
        """Close the connection."""
        self._socket.close(0)
        self._context.term()
