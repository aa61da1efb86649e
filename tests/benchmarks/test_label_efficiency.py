"""The label-efficiency benchmark in a short form: its ways of choosing, its counting, and what it says of a miss."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import label_efficiency, label_streams
from benchmarks.label_efficiency import STRATEGIES, Curve, judge, kept, labels_needed, play, render, run
from benchmarks.label_streams import BODY_SPACE, RARE, halves, in_bouts, makers, rare_state
from sentry_proto.layout import EMOTIONS
from training.datasets.simulation import SimulatedStudy
from training.datasets.swellkw import load_swell


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    study = SimulatedStudy(people=8, blocks=4, windows=12, effect=2.0, affected=12, space=BODY_SPACE)
    monkeypatch.setattr(label_streams, "STUDY", study)
    monkeypatch.setattr(label_streams, "LEARNED", 5)
    monkeypatch.setattr(label_efficiency, "ROUNDS", 4)


def faces(seed: int) -> tuple[Any, Any]:
    """Embeddings float32 [n, 64] in which the classes lie apart, and classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(EMOTIONS), 700)
    middles = generator.normal(0, 2, (len(EMOTIONS), 64))
    return (middles[labels] + generator.normal(size=(700, 64))).astype(np.float32), labels


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_way_of_choosing_learns_from_what_was_offered(strategy: str) -> None:
    stream = label_streams.people(0)
    curve = play(stream, strategy, 0)
    assert len(curve.labels) == len(curve.scores) == 4
    assert 0 < curve.labels[-1] <= round(0.2 * len(stream))
    assert curve.scores[-1] > 0.75


def test_the_rare_state_is_rare_and_held_out_faces_are_not_in_the_stream() -> None:
    embeddings, labels = faces(0)
    stream = rare_state(embeddings, labels, 1)
    assert 0.03 < stream.labels.mean() < 0.06
    assert len(set(stream.groups)) == len(stream)
    first, second = halves(labels, np.random.default_rng(1))
    assert not set(first) & set(second)
    assert set(stream.groups) <= {str(row) for row in first}
    changes = np.count_nonzero(np.diff(labels[in_bouts(first, labels, np.random.default_rng(2))]))
    assert changes < len(first) / 6


def test_labels_are_counted_to_where_the_curve_crosses_or_all_if_it_never_does() -> None:
    curve = Curve(np.array([2, 4, 8, 10]), np.array([0.5, 0.6, 0.8, 0.7]))
    for target, labels, reached in ((0.7, 6.0, True), (0.4, 2.0, True), (0.75, 10.0, False)):
        found = labels_needed(curve, target, 10)
        assert found[0] == pytest.approx(labels)
        assert found[1] is reached


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_what_is_absent_is_said_and_keeps_no_promise() -> None:
    found, absent = makers(None, None)
    streams = {name: run(make, 1) for name, make in found.items()}
    verdict = judge(streams)
    text = render(streams, absent, verdict)
    assert set(absent) == {RARE, "seven classes", "SWELL-KW"}
    assert not kept(verdict)
    assert "left out: rare state: no FER2013" in text
    assert "nothing is shown" in text


def rows(ours: float, random: float, spread: float) -> dict[str, Any]:
    labels = {"ours": ours, "random": random}
    return {"strategies": {n: {"labels": x, "spread": spread, "reached": 2, "seeds": 2} for n, x in labels.items()}}


@pytest.mark.parametrize(
    ("ours", "elsewhere", "holds"), [(50.0, 110.0, True), (51.0, 110.0, False), (50.0, 111.0, False)]
)
def test_both_promises_are_held_to_the_letter(ours: float, elsewhere: float, holds: bool) -> None:
    streams = {RARE: rows(ours, 100.0, 5.0), "people": rows(elsewhere, 100.0, 10.0)}
    assert kept(judge(streams)) is holds


@pytest.mark.shared
def test_people_of_swell_are_on_one_side(shared_dir: Path) -> None:
    windows, _ = load_swell(shared_dir / "data" / "swell_kw_per_minute.csv")
    stream = partial(label_streams.time_pressure, windows)(0)
    labelled = windows.take(windows.labelled("stress"))
    own = np.isin(labelled.people, stream.people)
    assert len(stream) == own.sum()
    assert len(stream.test) == (~own).sum() > 0
