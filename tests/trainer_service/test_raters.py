from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from trainer_service.raters import Weighing, weigh

CLASSES = 3


def weighing(said: Mapping[str, Mapping[int, int]], ordinal: bool = True) -> Weighing:
    """Rater -> window -> class."""
    rows = [(str(window), rater, value) for rater, given in said.items() for window, value in given.items()]
    windows, raters, values = zip(*rows, strict=True)
    allowed = np.eye(CLASSES, dtype=bool)[list(values)]
    return weigh(windows, raters, allowed, ordinal, np.ones(len(rows)))


def truth(count: int, seed: int = 0) -> dict[int, int]:
    return dict(enumerate(np.random.default_rng(seed).integers(0, CLASSES, count).tolist()))


def test_who_contradicts_the_others_loses_the_weight() -> None:
    true = truth(60)
    hostile = {window: 2 - value for window, value in true.items()}
    found = weighing({"ann": true, "bob": true, "eve": hostile})
    assert found.trust["ann"] == found.trust["bob"] == 1
    assert found.trust["eve"] == 0
    assert found.shared == {"ann": 120, "bob": 120, "eve": 120}


def test_the_agreement_of_each_pair_is_kept_once() -> None:
    by_hand = {"ann": {1: 0, 2: 0, 3: 2, 4: 2}, "cid": {1: 0, 2: 2, 3: 2, 4: 2}, "dan": {4: 2, 3: 1, 100: 0}}
    kappas = {(pair.first, pair.second, pair.windows): pair.kappa for pair in weighing(by_hand).pairs}
    assert kappas == {("ann", "cid", 4): 0.5, ("ann", "dan", 2): 0.0, ("cid", "dan", 2): 0.0}


def test_agreement_cannot_be_told_where_all_labels_are_alike() -> None:
    (pair,) = weighing({"ann": {1: 0, 2: 0}, "bob": {1: 0, 2: 0}}).pairs
    assert (pair.windows, pair.kappa) == (2, None)


def test_two_who_disagree_are_alike() -> None:
    true = truth(60)
    found = weighing({"ann": true, "eve": {window: 2 - value for window, value in true.items()}})
    assert found.trust == {"ann": 1, "eve": 1}


def test_a_few_shared_windows_say_little() -> None:
    true = truth(60)
    few = {window: 2 - value for window, value in list(true.items())[:2]}
    trust = weighing({"ann": true, "bob": true, "eve": few}).trust["eve"]
    assert 0.6 < trust < 0.95


def test_who_shares_no_window_counts_like_the_rest() -> None:
    true = truth(60)
    assert weighing({"ann": true, "bob": true, "cid": {100: 0, 101: 1}}).trust["cid"] == 1


def test_neighbouring_classes_of_an_ordinal_task_are_near() -> None:
    true = truth(90)
    near = {window: min(value + 1, 2) for window, value in true.items()}
    far = {window: (value + 2) % 3 for window, value in true.items()}
    assert weighing({"ann": true, "bob": true, "cid": near}).trust["cid"] > 0.3
    assert weighing({"ann": true, "bob": true, "cid": far}).trust["cid"] < 0.1


def test_a_verdict_agrees_with_every_class_that_it_allows() -> None:
    allowed = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 1]], dtype=bool)
    found = weigh(["a", "a", "b", "b"], ["ann", "bob", "ann", "bob"], allowed, True, np.ones(4))
    assert found.trust == {"ann": 1, "bob": 1}
    assert found.weights.tolist() == [1, 1, 1, 1]


SHARES: dict[str, tuple[list[int], float, float]] = {
    "one rater": ([50], 1.0, 1.0),
    "two raters are not capped": ([90, 10], 0.9, 1.0),
    "three equal raters keep all": ([20, 20, 20], 1 / 3, 1.0),
    "five raters: twice an equal share": ([120, 20, 20, 20, 20], 0.4, 0.667),
    "ten raters: twice an equal share": ([90] + [10] * 9, 0.2, 0.625),
    "twenty raters and one who did half": ([190] + [10] * 19, 0.1, 0.556),
    "half of all weight stays": ([960] + [2] * 20, 0.92, 0.5),
}


@pytest.mark.promise("S5")
@pytest.mark.parametrize("case", SHARES)
def test_no_rater_decides_alone(case: str) -> None:
    counts, share, left = SHARES[case]
    windows = [str(number) for number in range(sum(counts))]
    raters = [f"r{number}" for number, count in enumerate(counts) for _ in range(count)]
    allowed = np.eye(CLASSES, dtype=bool)[np.arange(len(windows)) % CLASSES]
    found = weigh(windows, raters, allowed, False, np.ones(len(windows)))
    assert found.largest_share == pytest.approx(share, abs=0.01)
    assert found.weights.sum() / len(windows) == pytest.approx(left, abs=0.01)


def test_nothing_to_weigh() -> None:
    found = weigh([], [], np.zeros((0, CLASSES), bool), True, np.zeros(0))
    assert (found.weights.tolist(), found.trust, found.largest_share) == ([], {}, 0.0)
