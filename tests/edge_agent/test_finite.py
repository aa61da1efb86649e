"""S6: whatever numbers a window holds, what is raised, spooled and learned from it is finite, or there is none."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.heads import Heads
from edge_agent.observer import Observer
from edge_agent.outbox import Outbox
from sentry_proto.codec import decode_record
from sentry_proto.layout import N_MODALITIES, N_SECOND
from sentry_proto.tasks import DEFAULT_TASKS, STRESS
from sentry_proto.types import Alert, FeatureWindow, Float32, Window
from tests.edge_agent.bundles import bundle
from tests.sentry_proto.records import window
from training.active_learning.selection import Selector
from training.export.state_heads import export_bundle
from training.pooling import pool
from training.trainers.state_heads import fit_head

pytestmark = pytest.mark.promise("S6")

HEADS = Heads(bundle(bias=20.0), DEFAULT_TASKS)
NASTY = (float("nan"), float("inf"), float("-inf"), 3e38, -3e38, 1e30, 1e-45, 0.0)
PLACES = ("values", "coverage", "centre", "scale")
CELLS = st.lists(
    st.tuples(
        st.sampled_from(PLACES), st.integers(0, 29), st.integers(0, N_SECOND - 1),
        st.sampled_from(NASTY),
    ).filter(lambda cell: cell[0] != "scale" or not cell[3] <= 0),
    max_size=12,
)  # fmt: skip
"""Cells of a window and what stands there; a baseline's scale is above 0 by its making."""

WINDOWS = st.lists(CELLS, min_size=1, max_size=8)


def spoiled(cells: list[tuple[str, int, int, float]], number: int) -> FeatureWindow:
    """A window of noise with some numbers replaced."""
    plain = window(seed=number).features
    arrays: dict[str, Float32] = {
        "values": plain.values.copy(), "coverage": plain.coverage.copy(), "centre": plain.baseline.centre.copy(),
        "scale": plain.baseline.scale.copy(),
    }  # fmt: skip
    for name, row, column, value in cells:
        where = {"values": (row, column), "coverage": (row, column % N_MODALITIES)}.get(name, (column,))
        arrays[name][where] = value
    baseline = dataclasses.replace(plain.baseline, centre=arrays["centre"], scale=arrays["scale"])
    times = {"start": 5.0 * number, "end": 5.0 * number + 30}
    return dataclasses.replace(plain, values=arrays["values"], coverage=arrays["coverage"], baseline=baseline, **times)  # type: ignore[arg-type]


def numbers(alert: Alert) -> list[float]:
    return [alert.start, alert.probability, alert.threshold, *([] if alert.end is None else [alert.end])]


@settings(max_examples=30)
@given(WINDOWS)
def test_what_is_raised_and_spooled_is_finite(windows: list[list[tuple[str, int, int, float]]]) -> None:
    """What the trainer would refuse is not even spooled."""
    judge = Observer(Selector(np.random.default_rng(0), 1.0, 0.0))
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder) / "outbox.sqlite")
        put = 0
        for number, cells in enumerate([[], *windows, []]):
            outcome = judge.window(spoiled(cells, number), HEADS, "c")
            outbox.put(outcome.records, outcome.scored)
            put += len(outcome.records)
        spooled = [decode_record(data) for _, data in outbox.pending((), 100)]
        outbox.close()
    assert len(spooled) == put >= 2, "those without a spoiled number are there"
    for record in spooled:
        if isinstance(record, Window):
            said = itertools.chain(*(p.probabilities for p in record.predictions))
            assert np.isfinite([*said, *(p.entropy for p in record.predictions)]).all()
        else:
            assert np.isfinite(numbers(record)).all()


@pytest.mark.slow
def test_what_is_learned_is_finite() -> None:
    """Enrolled agents may send any finite number, and recorded sessions may hold any: here in every pair of places."""
    pairs = [
        [(place, 3, 5, value), (other, 3, 5, value_there)]
        for place, other in itertools.combinations(PLACES, 2)
        for value, value_there in itertools.product(NASTY, NASTY)
    ]
    features = [spoiled(cells, number) for number, cells in enumerate([*pairs[::3], *([[]] * 12)])]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        pooled = pool(
            np.stack([one.values for one in features]),
            np.stack([one.coverage for one in features]),
            np.stack([np.stack([one.baseline.centre, one.baseline.scale]) for one in features]),
        )
        allowed = np.eye(3, dtype=bool)[np.arange(len(features)) % 3]
        people = [f"P{number % 4}" for number in range(len(features))]
        head = fit_head(STRESS, pooled, allowed, np.ones(len(features)), people, members=2)
    for array in (pooled, head.centre, head.scale, head.weights, head.bias, np.array(head.temperature)):
        assert np.isfinite(array).all()
    assert np.isfinite(head.predict(pooled).mean).all()
    shipped = Heads(export_bundle({"stress": head}, 1, 0, 1.0, {}, {}), DEFAULT_TASKS)
    assert all(np.isfinite(mean).all() for mean in shipped.metadata.golden.means.values())
