from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sentry_proto.tasks import STRESS
from sentry_proto.types import Float32
from trainer_service.stream_watch import FEATURES, StreamWatch, feature_values
from training.feature_space import SECOND_SPACE

N = SECOND_SPACE.n_pooled
COLUMN = {name: number for number, name in enumerate(SECOND_SPACE.pooled_names)}
CALM, STRESSED = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)


def pooled(generator: np.random.Generator, **changes: float) -> Float32:
    """A window of which everything was seen."""
    values = generator.normal(0, 1, N).astype(np.float32)
    values[SECOND_SPACE.is_coverage] = 1
    for name, value in changes.items():
        values[COLUMN[name.replace("__", ".")]] = value
    return values


def spoke(probabilities: Sequence[float], entropy: float) -> list[dict[str, object]]:
    return [{"task": "stress", "probabilities": probabilities, "entropy": entropy}]


def test_a_darker_room_is_a_drift_of_its_feature_and_of_no_other() -> None:
    generator, watch = np.random.default_rng(0), StreamWatch([STRESS])
    for second in range(400):
        light = generator.normal(0.6 if second < 200 else 0.3, 0.05)
        watch.window(float(second), pooled(generator, brightness_mean__level=light), [])
    (found,) = watch.drifts
    assert found.signal == "feature brightness_mean.level"
    assert 200 <= found.time < 260
    assert found.before > 0.5
    assert found.after < 0.4


def test_a_steady_stream_seldom_drifts() -> None:
    """Six features and one head over 300 windows: at most one of 20 streams cries wolf."""
    cries = 0
    for seed in range(20):
        generator, watch = np.random.default_rng(seed), StreamWatch([STRESS])
        for second in range(300):
            watch.window(float(second), pooled(generator), spoke(CALM, generator.uniform(0.3, 0.9)))
        cries += bool(watch.drifts)
    assert cries <= 1


def test_a_head_that_errs_more_than_before_is_a_drift_and_one_that_errs_less_is_none() -> None:
    for worse in (True, False):
        generator, watch = np.random.default_rng(1), StreamWatch([STRESS])
        for second in range(300):
            right = (second < 150) == worse
            watch.label(float(second), "stress", "P1", "calm" if right else "stressed", pooled(generator), CALM, True)
        assert bool([found for found in watch.drifts if found.signal == "error"]) == worse


def test_labels_of_windows_that_the_heads_chose_show_no_drift() -> None:
    generator, watch = np.random.default_rng(1), StreamWatch([STRESS])
    for second in range(300):
        value = "calm" if second < 150 else "stressed"
        watch.label(float(second), "stress", "P1", value, pooled(generator), CALM, audit=False)
    assert not watch.drifts


def test_growing_doubt_is_a_drift_of_its_task() -> None:
    generator, watch = np.random.default_rng(2), StreamWatch([STRESS])
    for second in range(300):
        entropy = generator.uniform(0.1, 0.3) + (0.6 if second >= 150 else 0.0)
        watch.window(float(second), pooled(generator), spoke(CALM, entropy))
    assert [(found.signal, found.task) for found in watch.drifts] == [("uncertainty", "stress")]


def taught(watch: StreamWatch, count: int, head_right: float) -> None:
    """A state that shows in one feature, and a head that is right so often."""
    generator = np.random.default_rng(3)
    for second in range(count):
        value = ("calm", "stressed")[second % 2]
        x = pooled(generator, head_pitch_mean__mean=-1.5 if value == "calm" else 1.5)
        said = CALM if (value == "calm") == (generator.random() < head_right) else STRESSED
        watch.label(float(second), "stress", f"P{second % 3}", value, x, said, audit=False)


def test_the_challenger_is_asked_before_it_is_told_and_leads_when_it_is_right_more_often() -> None:
    watch = StreamWatch([STRESS])
    taught(watch, 400, head_right=0.5)
    found = watch.describe()["tasks"]["stress"]
    assert (found["labels"], found["compared"]) == (400, 400)
    assert found["challenger"] > 0.7 > found["head"] == pytest.approx(0.5, abs=0.08)
    assert found["challenger_leads"]
    assert {name: entry["compared"] for name, entry in found["people"].items()} == {"P0": 134, "P1": 133, "P2": 133}

    watch = StreamWatch([STRESS])
    taught(watch, 400, head_right=1.0)
    found = watch.describe()["tasks"]["stress"]
    assert found["head"] == 1.0
    assert not found["challenger_leads"]


def test_the_same_stream_gives_the_same_figures() -> None:
    twins = [StreamWatch([STRESS]) for _ in range(2)]
    for watch in twins:
        taught(watch, 100, head_right=0.7)
    assert twins[0].describe() == twins[1].describe()


def test_a_verdict_is_right_with_any_class_that_it_allows() -> None:
    generator, watch = np.random.default_rng(4), StreamWatch([STRESS])
    for second, said in enumerate(((0.1, 0.8, 0.1), CALM, STRESSED)):
        watch.label(float(second), "stress", "P1", "false alarm", pooled(generator), said, audit=True)
    assert watch.describe()["tasks"]["stress"]["people"]["P1"] == {"compared": 3, "head": 0.75}


def test_what_no_head_said_is_learned_from_and_not_compared() -> None:
    generator, watch = np.random.default_rng(5), StreamWatch([STRESS])
    watch.label(0.0, "stress", "P1", "calm", pooled(generator), None, audit=True)
    watch.label(1.0, "stress", "P1", "calm", pooled(generator), (0.5, 0.5), audit=True)
    watch.label(2.0, "an old task", "P1", "calm", pooled(generator), CALM, audit=True)
    found = watch.describe()
    assert found["tasks"]["stress"]["labels"] == 2
    assert found["tasks"]["stress"]["head"] is None
    assert found["drifts"] == []


def test_features_that_were_not_seen_say_nothing() -> None:
    blind = np.zeros(N, np.float32)
    assert feature_values(blind) == {"face.coverage": 0.0}
    seen = feature_values(pooled(np.random.default_rng(6), brightness_mean__level=0.25))
    assert set(seen) == set(FEATURES)
    assert seen["brightness_mean.level"] == 0.25
