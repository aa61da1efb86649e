from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentry_proto import codec, limits
from sentry_proto import sentry_pb2 as pb
from sentry_proto.errors import LayoutMismatch, MalformedMessage, PeerFault
from sentry_proto.layout import LAYOUT_ID, N_SECOND
from sentry_proto.types import (
    Ack,
    Hello,
    Item,
    Offset,
    Prediction,
    Pulse,
    Record,
    Refusal,
    Still,
    TrainerFrame,
    Wanted,
    Welcome,
    Window,
)
from tests.sentry_proto.records import alert, heartbeat, prediction, window

VECTORS = Path(__file__).resolve().parents[2] / "proto" / "vectors"
PERSONAL = dataclasses.replace(prediction(alerting=True), personal=(0.25, 0.25, 0.5), generic_alerting=True)
WANTING = Pulse(12.5, 2, 0.0, (), (Wanted("P01", "s1", 1_750_000_015.0), Wanted("P01", "s1", 0.5)))
OFFSET = Pulse(12.5, 2, 0.0, (Offset("P01", "stress", (-0.5, 0.0, 0.5)),))
JPEG = b"\xff\xd8\xff" + bytes(100)
STILLS = tuple(Still(1_750_000_000.0 + t, JPEG) for t in (0.0, 12.5, 30.0))
HELLO = Hello(limits.PROTOCOL, "c" * 32, LAYOUT_ID, "0.1.0")


def assert_same_record(left: Record, right: Record) -> None:
    if isinstance(left, Window) and isinstance(right, Window):
        for name in ("values", "coverage"):
            np.testing.assert_array_equal(getattr(left.features, name), getattr(right.features, name))
        for name in ("centre", "scale"):
            np.testing.assert_array_equal(getattr(left.features.baseline, name), getattr(right.features.baseline, name))
        assert dataclasses.replace(left, features=right.features) == right
        assert (left.features.start, left.features.end) == (right.features.start, right.features.end)
        assert left.features.camera_states == right.features.camera_states
        assert left.features.participant == right.features.participant
    else:
        assert left == right


@pytest.mark.parametrize(
    "record",
    [
        window(predictions=(prediction(),), audit_probability=0.1),
        window(predictions=(PERSONAL,)),
        dataclasses.replace(window(), stills=STILLS),
        alert(),
        alert(end=1_750_000_060.0),
    ],
)
def test_a_record_survives_the_wire(record: Record) -> None:
    assert_same_record(codec.decode_record(codec.encode_record(record)), record)


@pytest.mark.parametrize("frame", [HELLO, Item("c" * 32, 7, b"record"), heartbeat()])
def test_an_agent_frame_survives_the_wire(frame: Hello | Item) -> None:
    assert codec.decode_agent_frame(codec.encode_agent_frame(frame)) == frame


@pytest.mark.parametrize(
    "frame",
    [
        Welcome(1, 64, 3),
        Ack((1, 2, 9)),
        Refusal(4, "unknown task"),
        Refusal(5, "taken", "5" * 32),
        Pulse(12.5, 2, 0.2),
        OFFSET,
        WANTING,
    ],
)
def test_a_trainer_frame_survives_the_wire(frame: TrainerFrame) -> None:
    assert codec.decode_trainer_frame(codec.encode_trainer_frame(frame)) == frame


def nan_window() -> Window:
    bad = window()
    bad.features.values[3, 5] = np.nan
    return bad


def with_stills(*stills: Still) -> Window:
    return dataclasses.replace(window(), stills=stills)


def with_features(**changes: object) -> Window:
    good = window()
    return dataclasses.replace(good, features=dataclasses.replace(good.features, **changes))  # type: ignore[arg-type]


MALFORMED_RECORDS: dict[str, tuple[Record, str]] = {
    "NaN in the values": (nan_window(), "window.values"),
    "a still too many": (with_stills(*STILLS, STILLS[0]), "window.stills"),
    "a still from before it": (with_stills(Still(1_749_999_999.0, JPEG)), "still.time"),
    "a still at no time": (with_stills(Still(float("nan"), JPEG)), "still.time"),
    "a still that is no JPEG": (with_stills(Still(1_750_000_000.0, b"GIF89a")), "still.jpeg"),
    "a still of many bytes": (
        with_stills(Still(1_750_000_000.0, JPEG + bytes(limits.MAX_STILL_BYTES))),
        "still.jpeg",
    ),
    "infinite start": (with_features(start=float("-inf")), "window.start"),
    "end before start": (with_features(end=0.0), "window.end"),
    "a second too few camera states": (with_features(camera_states="o"), "window.camera_states"),
    "unknown camera letter": (with_features(camera_states="x" * 30), "window.camera_states"),
    "a feature too few": (with_features(values=np.zeros((30, N_SECOND - 1), np.float32)), "window.values"),
    "probability 0": (window(inclusion_probability=0.0), "inclusion_probability"),
    "probability above 1": (window(inclusion_probability=1.5), "inclusion_probability"),
    "NaN probability": (window(inclusion_probability=float("nan")), "inclusion_probability"),
    "audit probability above 1": (window(audit_probability=1.5), "audit_probability"),
    "id that is no hex": (window("not-an-id"), "window_id"),
    "predictions that do not sum to 1": (window(predictions=(Prediction("t", (0.9, 0.9), 0, 0),)), "probabilities"),
    "one class": (window(predictions=(Prediction("t", (1.0,), 0, 0),)), "probabilities"),
    "NaN entropy": (window(predictions=(Prediction("t", (0.5, 0.5), float("nan"), 0),)), "entropy"),
    "personal probabilities of other classes": (
        window(predictions=(dataclasses.replace(prediction(), personal=(0.5, 0.5)),)),
        "prediction.personal",
    ),
    "personal probabilities that do not sum to 1": (
        window(predictions=(dataclasses.replace(prediction(), personal=(0.5, 0.5, 0.5)),)),
        "prediction.personal",
    ),
    "control character in a name": (window(participant="P\n01"), "participant"),
    "name without end": (window(participant="P" * 5000), "participant"),
    "alert that ends before it starts": (alert(end=1.0), "alert.end"),
    "NaN alert": (dataclasses.replace(alert(), probability=float("nan")), "alert.probability"),
}


@pytest.mark.parametrize("case", MALFORMED_RECORDS)
def test_a_malformed_record_is_refused_by_the_name_of_its_field(case: str) -> None:
    record, field = MALFORMED_RECORDS[case]
    with pytest.raises(MalformedMessage, match=field):
        codec.decode_record(codec.encode_record(record))


def test_another_layout_is_refused_with_both_ids() -> None:
    message = pb.Record()
    message.ParseFromString(codec.encode_record(window()))
    message.window.layout_id = "0123456789ab"
    with pytest.raises(LayoutMismatch, match=f"0123456789ab.*{LAYOUT_ID}"):
        codec.decode_record(message.SerializeToString())


def test_a_frame_over_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(MalformedMessage, match="frame"):
        codec.decode_agent_frame(b"\0" * (limits.MAX_FRAME_BYTES + 1))


@given(st.binary(max_size=400))
def test_random_bytes_cost_one_peer_fault(data: bytes) -> None:
    for decode in (codec.decode_agent_frame, codec.decode_trainer_frame, codec.decode_record):
        try:
            decode(data)
        except PeerFault:
            continue


VALID = [codec.encode_agent_frame(heartbeat()), codec.encode_record(alert()), codec.encode_record(window(seconds=2))]


@settings(max_examples=300)
@given(st.sampled_from(VALID), st.data())
def test_flipped_bytes_cost_at_most_one_peer_fault(valid: bytes, data: st.DataObject) -> None:
    mutable = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 4))):
        mutable[data.draw(st.integers(0, len(mutable) - 1))] = data.draw(st.integers(0, 255))
    for decode in (codec.decode_agent_frame, codec.decode_record):
        try:
            decode(bytes(mutable))
        except PeerFault:
            continue


def test_a_pulse_of_the_first_release_wishes_for_no_audit() -> None:
    """Nor does what this release says without a wish differ from it, byte for byte."""
    released = (VECTORS / "pulse-0.1.trainer-frame.bin").read_bytes()
    assert codec.decode_trainer_frame(released) == Pulse(12.5, 2, 0.0)
    assert codec.encode_trainer_frame(Pulse(12.5, 2)) == released


def test_a_window_of_the_first_release_has_no_personal_probabilities() -> None:
    """Nor does a window of this release without an offset differ from it, byte for byte."""
    released = (VECTORS / "window-0.1.record.bin").read_bytes()
    found = codec.decode_record(released)
    assert isinstance(found, Window)
    assert found.predictions == (prediction(),)
    assert codec.encode_record(found) == released


@pytest.mark.parametrize("logits", [(0.0,), (0.0, 3.1), (0.0, float("nan")), (0.0,) * 33])
def test_an_impossible_offset_is_refused(logits: tuple[float, ...]) -> None:
    with pytest.raises(MalformedMessage, match=r"offset\.logits"):
        codec.decode_trainer_frame(codec.encode_trainer_frame(Pulse(1.0, 1, 0.0, (Offset("P01", "stress", logits),))))


@pytest.mark.parametrize("wanted", [(Wanted("P01", "s1", 0.5),) * 17, (Wanted("P01", "s1", float("nan")),)])
def test_a_wish_for_too_many_windows_or_for_no_time_is_refused(wanted: tuple[Wanted, ...]) -> None:
    with pytest.raises(MalformedMessage, match="wanted"):
        codec.decode_trainer_frame(codec.encode_trainer_frame(Pulse(12.5, 2, 0.0, (), wanted)))


@pytest.mark.parametrize("wished", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_wish_for_an_impossible_audit_is_refused(wished: float) -> None:
    with pytest.raises(MalformedMessage, match="audit_probability"):
        codec.decode_trainer_frame(codec.encode_trainer_frame(Pulse(12.5, 2, wished)))
