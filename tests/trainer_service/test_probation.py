from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sentry_proto.tasks import STRESS
from sentry_proto.types import Stratum
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import hex_id, put_windows
from trainer_service.labels import Opinion
from trainer_service.probation import complaint, scored_by
from trainer_service.store import Store

Floats = NDArray[np.float64]


def judged(count: int, people: int = 3) -> list[Opinion]:
    """Labels of windows a minute apart."""
    return [
        Opinion(f"{n}", f"P{n % people}", "s", "train", 60.0 * n, STRESS.classes[n % 3], 1.0, "ann")
        for n in range(count)
    ]


def says(held: list[Opinion], right: float, seed: int = 0) -> Floats:
    """Probabilities that lie near the label so often."""
    generator = np.random.default_rng(seed)
    classes = [STRESS.classes.index(one.value) for one in held]
    told = [c if generator.random() < right else int(generator.integers(3)) for c in classes]
    return 0.1 + 0.7 * np.eye(3)[told]


def test_a_version_that_is_worse_than_its_parent_is_complained_of_with_the_figures() -> None:
    held = judged(60)
    words = complaint(STRESS, held, says(held, 0.2), says(held, 0.9, 1))
    assert words.startswith("on 60 labels of audit windows that it scored, its parent would have been better by 0.")
    assert "(99.8% interval +0." in words


def test_a_version_that_is_better_or_as_bad_as_its_parent_is_left_alone() -> None:
    """As after a change of the world, where both err alike."""
    held = judged(60)
    assert complaint(STRESS, held, says(held, 0.9), says(held, 0.2, 1)) == ""
    assert complaint(STRESS, held, says(held, 0.0), says(held, 0.0)) == ""


def test_nobody_is_complained_of_for_too_little() -> None:
    few, crowded = judged(19), [*judged(4), *judged(4), *judged(4), *judged(4), *judged(4), *judged(4)]
    for held in (few, crowded, []):
        assert complaint(STRESS, held, says(held, 0.0).reshape(-1, 3), says(held, 1.0).reshape(-1, 3)) == ""


def test_asking_with_every_label_seldom_blames_a_version_that_is_no_worse() -> None:
    blamed = 0
    for seed in range(40):
        held = judged(60)
        live, parent = says(held, 0.6, 2 * seed), says(held, 0.6, 2 * seed + 1)
        blamed += any(complaint(STRESS, held[:n], live[:n], parent[:n]) for n in range(20, 61, 4))
    assert blamed <= 1


def test_only_audit_windows_that_this_version_scored_are_asked_about(store: Store) -> None:
    kinds = [(Stratum.AUDIT, 2), (Stratum.UNCERTAIN, 2), (Stratum.AUDIT, 1), *[(Stratum.AUDIT, 2)] * 19]
    put_windows(
        store,
        [
            window(hex_id(n), participant="P1", stratum=stratum, model_version=version)
            for n, (stratum, version) in enumerate(kinds, 1)
        ],
    )
    with store.read() as connection:
        assert scored_by(connection, 2) == {hex_id(1), *(hex_id(n) for n in range(4, 23))}
        assert scored_by(connection, 1) == {hex_id(3)}
