"""The gate: better passes, worse and noise do not, and it says why."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from sentry_proto.tasks import FALSE_ALARM, STRESS, TRUE_ALARM, Task
from training.evaluation.gate import (
    LEAST_WINDOWS,
    Verdict,
    brier_losses,
    class_balance,
    cluster_ids,
    figures,
    improvement,
    judge,
    student_quantile,
)

BINARY = Task("presence", "binary", ("no", "yes"))
PRIOR = np.array([0.6, 0.3, 0.1])

Floats = NDArray[np.float64]


class Holdout:
    """Exact labels of several people, and heads of any skill for them."""

    def __init__(self, people: int = 8, windows: int = 20, seed: int = 0) -> None:
        self.generator = np.random.default_rng(seed)
        self.states = self.generator.choice(3, people * windows, p=PRIOR)
        self.allowed = np.eye(3, dtype=bool)[self.states]
        self.groups = [f"p{person}" for person in range(people) for _ in range(windows)]
        self.person = np.repeat(np.arange(people), windows)

    def head(self, skill: float, noise: float = 0.5) -> Floats:
        """Probabilities; skill 0 knows nothing, below 0 is misled. Noise is half the person's, half the window's."""
        personal = self.generator.normal(0, noise, (self.person.max() + 1, 3))[self.person]
        logits = skill * self.allowed + personal + self.generator.normal(0, noise, self.allowed.shape)
        exponentials = np.exp(logits)
        return np.asarray(exponentials / exponentials.sum(1, keepdims=True))

    def judge(self, candidate: Floats, incumbent: Floats | None = None, seed: int = 0) -> Verdict:
        return judge(STRESS, self.allowed, candidate, incumbent, PRIOR, self.groups, seed)


def test_a_first_head_that_knows_something_passes() -> None:
    holdout = Holdout()
    verdict = holdout.judge(holdout.head(2.0))
    assert verdict.passed
    assert "better than a constant forecast" in verdict.reason
    assert "160 windows of 8 people" in verdict.reason
    assert verdict.metrics["interval"][0] > 0
    assert verdict.metrics["incumbent"] is None


def test_a_first_head_of_noise_is_refused() -> None:
    passed = 0
    for seed in range(60):
        holdout = Holdout(people=6, windows=10, seed=seed)
        passed += holdout.judge(holdout.head(0.0, noise=0.3)).passed
    assert passed == 0


def test_saying_nothing_does_not_beat_a_skewed_prior() -> None:
    holdout = Holdout()
    verdict = holdout.judge(np.full(holdout.allowed.shape, 1 / 3))
    assert not verdict.passed


def test_identical_heads_pass() -> None:
    holdout = Holdout()
    head = holdout.head(1.0)
    verdict = holdout.judge(head, head)
    assert verdict.passed
    assert verdict.metrics["improvement"] == 0
    assert verdict.metrics["interval"] == [0, 0]
    assert "not worse than the incumbent" in verdict.reason


def test_a_truly_better_head_passes_and_a_truly_worse_one_is_refused() -> None:
    better, worse = [], []
    for seed in range(30):
        holdout = Holdout(seed=seed)
        old, new = holdout.head(1.0), holdout.head(2.0)
        better.append(holdout.judge(new, old).passed)
        worse.append(holdout.judge(old, new).passed)
    assert sum(better) >= 28
    assert sum(worse) == 0


def test_a_slightly_worse_head_is_refused_when_the_holdout_is_large() -> None:
    holdout = Holdout(people=40, windows=50)
    incumbent = holdout.head(2.0, noise=0.2)
    uniform = np.full_like(incumbent, 1 / 3)
    verdict = holdout.judge(0.9 * incumbent + 0.1 * uniform, incumbent)
    assert not verdict.passed
    assert "not shown to be as good" in verdict.reason
    assert verdict.metrics["brier"] > verdict.metrics["incumbent"]["brier"]


def test_inverted_classes_are_refused() -> None:
    holdout = Holdout()
    head = holdout.head(2.0)
    assert not holdout.judge(head[:, ::-1], head).passed


@pytest.mark.parametrize("clusters", [5, 8, 30])
def test_luck_passes_about_as_seldom_as_promised(clusters: int) -> None:
    """Heads whose gain is 0 on average, but differs from person to person and is the same in all their windows."""
    generator = np.random.default_rng(clusters)
    allowed = np.tile(np.eye(2, dtype=bool), (clusters * 3, 1))
    groups = [f"p{cluster}" for cluster in range(clusters) for _ in range(6)]
    passed, studies = 0, 250
    for seed in range(studies):
        gain = np.clip(generator.normal(0, 0.15, clusters), -0.4, 0.4).repeat(6)
        right = 1 - np.sqrt((0.5 - gain) / 2)  # the Brier loss is 2 (1 - right)**2, a coin's is 0.5
        candidate = np.where(allowed, right[:, None], 1 - right[:, None])
        passed += judge(BINARY, allowed, candidate, None, np.array([0.5, 0.5]), groups, seed).passed
    assert passed / studies <= 0.05


def test_tiny_holdouts_are_refused_with_what_is_missing() -> None:
    holdout = Holdout(people=6, windows=2)
    verdict = holdout.judge(holdout.head(3.0))
    assert not verdict.passed
    assert f"8 more windows are needed (12 of {LEAST_WINDOWS})" in verdict.reason
    assert verdict.metrics["n"] == 12


def test_a_single_class_is_refused() -> None:
    holdout = Holdout()
    holdout.allowed = np.tile([True, False, False], (160, 1))
    assert "second class" in holdout.judge(holdout.head(3.0)).reason


def test_few_clusters_are_refused() -> None:
    holdout = Holdout(people=3)
    assert "2 more people or minutes are needed (3 of 5)" in holdout.judge(holdout.head(3.0)).reason


def test_labels_that_say_nothing_do_not_count() -> None:
    holdout = Holdout()
    holdout.allowed[19:] = True
    assert "1 more windows are needed" in holdout.judge(holdout.head(3.0)).reason


def test_probabilities_that_are_not_finite_are_refused() -> None:
    holdout = Holdout()
    head = holdout.head(2.0)
    head[3] = np.nan
    verdict = holdout.judge(head)
    assert not verdict.passed
    assert "not finite" in verdict.reason


def test_verdicts_alone_can_pass_a_head() -> None:
    holdout = Holdout(people=10, windows=40)
    head = holdout.head(3.0)
    names = [STRESS.allowed(TRUE_ALARM if state == 2 else FALSE_ALARM) for state in holdout.states]
    holdout.allowed = np.array([[name in allowed for name in STRESS.classes] for allowed in names])
    assert holdout.judge(head).passed
    assert not holdout.judge(head[::-1]).passed


def test_metrics_are_plain_json() -> None:
    holdout = Holdout()
    metrics = holdout.judge(holdout.head(2.0), holdout.head(1.0)).metrics
    assert json.loads(json.dumps(metrics)) == metrics
    assert {"n", "people", "balanced_accuracy", "brier", "ece", "interval", "incumbent"} <= set(metrics)


def test_the_same_seed_gives_the_same_interval() -> None:
    holdout = Holdout()
    head = holdout.head(1.0)
    assert holdout.judge(head, seed=1) == holdout.judge(head, seed=1)
    assert holdout.judge(head, seed=1) != holdout.judge(head, seed=2)


def test_windows_of_one_person_do_not_count_as_independent() -> None:
    holdout = Holdout(people=6, windows=30)
    candidate, opponent = holdout.head(1.0, noise=1.0), np.full((180, 3), 1 / 3)

    def width(clusters: list[str]) -> float:
        _, low, high = improvement(holdout.allowed, candidate, opponent, clusters, 0, 0.95)
        return high - low

    assert width(holdout.groups) > 1.3 * width([str(i) for i in range(180)])


def test_clusters_are_people_or_minutes_of_sessions() -> None:
    starts = [0.0, 59.0, 60.0, 0.0]
    assert len(set(cluster_ids(["a", "a", "a", "b"], ["s", "s", "s", "t"], starts))) == 3
    assert len(set(cluster_ids(["a"] * 4, ["s", "s", "t", "t"], starts))) == 3, "sessions replayed at the same time"
    assert cluster_ids(list("abcde"), ["s"] * 5, [0.0] * 5) == list("abcde")


def test_minutes_still_count_people() -> None:
    holdout = Holdout(people=2, windows=60)
    groups = cluster_ids(holdout.groups, holdout.groups, [5.0 * i for i in range(120)])
    verdict = judge(STRESS, holdout.allowed, holdout.head(3.0), None, PRIOR, groups)
    assert (verdict.metrics["people"], verdict.metrics["clusters"]) == (2, 10)


def test_brier_losses_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1]] * 3)
    allowed = np.array([[True, False, False], [True, True, False], [True, True, True]])
    np.testing.assert_allclose(brier_losses(allowed, probabilities), [0.09 + 0.04 + 0.01, 2 * 0.01, 0.0], atol=1e-12)


def test_class_balance_by_hand() -> None:
    allowed = np.eye(3, dtype=bool)[[0, 0, 0, 1]]
    np.testing.assert_allclose(class_balance(allowed, np.ones(4)), [2 / 3, 2 / 3, 2 / 3, 2])
    assert class_balance(allowed, np.full(4, 0.5)).sum() == pytest.approx(2)
    many = np.eye(2, dtype=bool)[[0] * 99 + [1]]
    assert class_balance(many, np.ones(100), limit=10)[-1] < class_balance(many, np.ones(100))[-1] / 2


def test_balanced_accuracy_is_the_mean_recall() -> None:
    allowed = np.eye(3, dtype=bool)[[0, 0, 0, 1]]
    probabilities = np.array([[0.8, 0.1, 0.1]] * 4)
    assert figures(allowed, probabilities)["balanced_accuracy"] == pytest.approx(0.5)


def test_student_quantiles() -> None:
    known = {4: 2.776, 5: 2.571, 10: 2.228, 30: 2.042, 1_000: 1.962}
    assert all(student_quantile(degrees, 0.975) == pytest.approx(value, abs=0.01) for degrees, value in known.items())
    assert all(student_quantile(a, 0.975) > student_quantile(b, 0.975) for a, b in pairwise(sorted(known)))


def test_shapes_that_do_not_fit_are_our_own_fault() -> None:
    holdout = Holdout()
    with pytest.raises(ValueError, match="does not fit"):
        judge(STRESS, holdout.allowed, holdout.head(1.0)[:-1], None, PRIOR, holdout.groups)
