"""The conditions of publication, on simulated people with known truth, through the real weights, fit and gate."""

from __future__ import annotations

from functools import partial

import pytest

from benchmarks import poison
from benchmarks.poison import World
from trainer_service import candidate, replay
from trainer_service.candidate import make_candidate, needed, old_people
from trainer_service.labels import Opinion
from trainer_service.partition import HOLDOUT, TRAIN
from training.datasets.simulation import TASK


@pytest.fixture(scope="module")
def world() -> World:
    """Thirty labelled people, of whom every third is held out."""
    return poison.draw(1)


def number(opinion: Opinion) -> int:
    return int(opinion.participant[1:])


def before(world: World, people: int) -> list[Opinion]:
    return [opinion for opinion in world.labels if number(opinion) < people]


def test_the_figures_of_a_decision_name_raters_ledger_and_old_people(world: World) -> None:
    head, first = make_candidate(TASK, before(world, 15), world.fetch, None, {})
    assert first.passed
    assert first.metrics["raters"]["count"] == 5
    assert first.metrics["raters"]["doubted"] == []
    assert first.metrics["raters"]["largest_share"] < 0.4
    assert "ledger" not in first.metrics, "there is nothing yet that could have been lost"
    _, second = make_candidate(TASK, world.labels, world.fetch, head, first.metrics)
    assert second.metrics["ledger"] <= 0
    assert second.metrics["old_people"]["people"] == 10
    assert len(second.metrics["old_people"]["interval"]) == 2


def test_many_small_steps_down_are_refused_like_a_large_one(world: World) -> None:
    held = before(world, 15)
    head, first = make_candidate(TASK, held, world.fetch, None, {})
    _, again = make_candidate(TASK, held, world.fetch, head, first.metrics)
    assert again.passed
    assert again.metrics["ledger"] == pytest.approx(0, abs=1e-3)
    _, late = make_candidate(TASK, held, world.fetch, head, {**first.metrics, "ledger": -0.03})
    assert not late.passed
    assert "since the best have lost 0.030 in Brier score, more than 0.02" in late.reason


def test_what_forgets_the_people_of_before_is_refused(world: World) -> None:
    """The later people show the opposite; all who are held out are among them, so the gate alone would be content."""
    held = [
        poison.flipped(opinion) if number(opinion) >= 9 else opinion
        for opinion in world.labels
        if number(opinion) >= 9 or opinion.partition == TRAIN
    ]
    old_head, _ = make_candidate(TASK, before(world, 9), world.fetch, None, {})
    finding = make_candidate(TASK, held, world.fetch, old_head, {"labels": len([o for o in held if number(o) < 9])})[1]
    assert not finding.passed
    assert "worse on 6 people learned before" in finding.reason
    assert finding.metrics["improvement"] > 0, "people held out, all new, liked it"


def test_people_of_whom_nothing_new_came_are_old(world: World) -> None:
    held = before(world, 9)
    again = next(o for o in held if number(o) == 5)
    assert old_people([*held, again], len(held)) == {"p000", "p002", "p003", "p006", "p008"}
    assert old_people(held, 0) == set()


def test_a_doubted_rater_does_not_judge(world: World) -> None:
    """On shared windows eve contradicts the others, so her labels of held-out people are left out."""
    held = [poison.flipped(o) if o.rater == "eve" else o for o in before(world, 15)]
    finding = make_candidate(TASK, held, world.fetch, None, {})[1]
    assert finding.metrics["raters"]["doubted"] == ["eve"]
    judged = [o for o in held if o.partition == HOLDOUT]
    assert finding.metrics["n"] == len([o for o in judged if o.rater != "eve"]) < len(judged)


def test_a_large_study_is_learned_from_in_part(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate, "reservoir", partial(replay.reservoir, most=100))
    some = needed(world.labels)
    assert {o.partition for o in some} == {TRAIN, HOLDOUT}
    assert 150 <= len(some) <= 200
    assert len({o.participant for o in some}) == 30
    assert make_candidate(TASK, world.labels, world.fetch, None, {})[1].metrics["replayed"] <= 100


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in poison.SCENARIOS if name != "right labels"])
def test_wrong_labels_are_refused_or_cost_at_most_a_point(name: str) -> None:
    """Promise S5 in its short form; `python -m benchmarks.poison` is the long one."""
    result = poison.play(poison.SCENARIOS[name], 1)
    assert result is not None
    assert result.lost <= poison.LIMIT, result.reasons
