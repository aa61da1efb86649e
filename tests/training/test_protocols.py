"""Splits: nobody on both sides, whole blocks, and calibration minutes that are never of the tested block."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from tests.training.minute_study import make_minutes
from training.evaluation.protocols import (
    FewShot,
    Fold,
    Holdout,
    Leak,
    LeaveOnePersonOut,
    OtherBlocks,
    PersonKFold,
    SplitProtocol,
    check_fold,
    dependence,
    draw_minutes,
    held_out_people,
    reference_baseline,
)
from training.evaluation.validation import usable_rows
from training.windows import WindowSet

TWO = Task("state", "binary", ("low", "high"))
STUDY = make_minutes(people=9, conditions=("low", "high", "low"), minutes=12)
ROWS = usable_rows(STUDY, TWO)


def classes(windows: WindowSet) -> NDArray[np.int64]:
    found: NDArray[np.int64] = windows.allowed["state"][usable_rows(windows, TWO)].argmax(1)
    return found


def folds(protocol: SplitProtocol, seed: int = 0, windows: WindowSet = STUDY) -> list[Fold]:
    return protocol.folds(windows, usable_rows(windows, TWO), classes(windows), seed)


@pytest.mark.parametrize(
    "protocol", [LeaveOnePersonOut(), PersonKFold(4), PersonKFold(4, 0.25), Holdout(), FewShot(5), OtherBlocks()]
)
def test_nobody_is_on_both_sides(protocol: SplitProtocol) -> None:
    for fold in folds(protocol):
        check_fold(STUDY, fold)
        assert not set(STUDY.people[fold.train]) & set(STUDY.people[fold.test])
        assert len(fold.train)
        assert len(fold.test)


@pytest.mark.parametrize("protocol", [LeaveOnePersonOut(), PersonKFold(4)])
def test_everyone_is_tested_once(protocol: SplitProtocol) -> None:
    tested = np.concatenate([fold.test for fold in folds(protocol)])
    assert sorted(tested.tolist()) == ROWS.tolist()


def test_the_holdout_is_nobodys_to_learn_from_and_always_the_same() -> None:
    share = 0.25
    (holdout,) = folds(Holdout(share))
    away = set(STUDY.people[holdout.test].tolist())
    assert len(away) == 2
    for seed in range(3):
        for fold in folds(PersonKFold(4, share), seed):
            assert not away & set(STUDY.people[np.concatenate([fold.train, fold.test])].tolist())
    assert held_out_people(sorted(set(STUDY.people.tolist()), reverse=True), share) == sorted(away)


def test_seeds_draw_other_groups() -> None:
    groups = [{frozenset(STUDY.people[fold.test].tolist()) for fold in folds(PersonKFold(3), s)} for s in (0, 0, 2)]
    assert groups[0] == groups[1]
    assert groups[0] != groups[2]


def test_a_broken_split_is_refused() -> None:
    fold = folds(LeaveOnePersonOut())[0]
    with pytest.raises(Leak, match="1 people are both learned from and tested: p0"):
        check_fold(STUDY, dataclasses.replace(fold, train=np.append(fold.train, fold.test[0])))
    with pytest.raises(Leak, match="blocks are both learned from and tested"):
        check_fold(STUDY, dataclasses.replace(fold, shots=fold.test[:3]))
    with pytest.raises(Leak, match="people that are not tested: p1"):
        check_fold(STUDY, dataclasses.replace(fold, shots=np.flatnonzero(STUDY.people == "p1")))


def test_calibration_minutes_are_of_one_other_block_and_serve_all_that_is_tested() -> None:
    found = folds(FewShot(5, weight=3))
    for fold in found:
        (block,) = set(STUDY.blocks[fold.shots].tolist())
        assert block not in STUDY.blocks[fold.test]
        assert set(STUDY.people[fold.shots]) == set(STUDY.people[fold.test])
        minutes = STUDY.elapsed[fold.shots] // 60
        assert len(np.unique(minutes)) == 5
        assert len(fold.learned()) == len(fold.train) + 3 * len(fold.shots)
        assert len(np.unique(STUDY.allowed["state"][fold.test].argmax(1))) == 2
    # of low, high, low each of the two lows leaves both classes to test, and high leaves one
    assert len(found) == 2 * 9
    assert {fold.round for fold in found} == {0, 2}


def test_one_block_of_each_class_leaves_nothing_to_test_by() -> None:
    study = make_minutes(people=4, conditions=("low", "high"), minutes=12)
    with pytest.raises(InputError, match="nobody has 5 labelled minutes in one block and two classes in the others"):
        folds(FewShot(5), windows=study)


def test_a_block_shorter_than_the_minutes_gives_none() -> None:
    with pytest.raises(InputError, match="20 labelled minutes"):
        folds(FewShot(20))
    generator = np.random.default_rng(0)
    block = np.flatnonzero(STUDY.blocks == STUDY.blocks[0])
    assert len(draw_minutes(STUDY, block, 12, generator)) == 12
    assert len(draw_minutes(STUDY, block, 13, generator)) == 0


def test_each_block_is_left_out_once_with_the_persons_others_to_learn_from() -> None:
    found = folds(OtherBlocks())
    assert sorted(np.concatenate([fold.test for fold in found]).tolist()) == ROWS.tolist()
    for fold in found:
        (block,) = set(STUDY.blocks[fold.test].tolist())
        (person,) = set(STUDY.people[fold.test].tolist())
        own = ROWS[STUDY.people[ROWS] == person]
        assert fold.shots.tolist() == own[STUDY.blocks[own] != block].tolist()
    assert dependence(STUDY, found) == pytest.approx(dependence(STUDY, folds(LeaveOnePersonOut())))


def test_people_with_one_block_have_no_others() -> None:
    with pytest.raises(InputError, match="nobody has labels in two blocks"):
        folds(OtherBlocks(), windows=dataclasses.replace(STUDY, blocks=STUDY.people))


def test_the_reference_is_the_mean_of_minutes_that_are_not_tested() -> None:
    study = make_minutes(people=3, conditions=("", "low", "high"), minutes=12)
    tested = np.zeros(len(study), np.bool_)
    tested[usable_rows(study, TWO)] = True
    centred, known = reference_baseline(study, tested, 12, seed=0)
    assert known.all()
    for person in np.unique(study.people):
        own = study.people == person
        free = study.ends[own & ~tested] - 1
        np.testing.assert_allclose(centred.baselines[own][0, 0], study.values[free].mean(0), rtol=1e-5)
        assert len(np.unique(centred.baselines[own, 0], axis=0)) == 1
    np.testing.assert_array_equal(centred.baselines[:, 1], study.baselines[:, 1])
    assert not reference_baseline(study, tested, 13, seed=0)[1].any()


def test_the_reference_does_not_look_at_what_is_tested() -> None:
    study = make_minutes(people=3, conditions=("", "low", "high"), minutes=12)
    tested = np.zeros(len(study), np.bool_)
    tested[usable_rows(study, TWO)] = True
    other = dataclasses.replace(study, values=np.where(tested[:, None], 100, study.values).astype(np.float32))
    one, two = (reference_baseline(windows, tested, 5, seed=1)[0].baselines for windows in (study, other))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("protocol", [LeaveOnePersonOut(), PersonKFold(), Holdout(), FewShot(5)])
def test_one_person_is_too_few(protocol: SplitProtocol) -> None:
    with pytest.raises(InputError, match="needs 2 people with usable labels, and there are 1"):
        folds(protocol, windows=make_minutes(people=1, conditions=("low", "high", "low"), minutes=12))
