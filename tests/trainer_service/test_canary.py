"""The rules of a trial, by name: what is heard of the agents, and what follows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trainer_service.canary import BACK, MORE, PASS, WAIT, Running, Trial, first_agent

OLD = Running(alive=True, version=4, update_state="current", scored=0)
RUNS = replace(OLD, version=5)
SCORES = replace(RUNS, scored=6)
SILENT = replace(SCORES, alive=False)
REFUSES = replace(OLD, update_state="refused: the golden test fails")
Fleet = dict[str, Running]

STORIES: dict[str, list[tuple[float, Fleet, str, str]]] = {
    "it runs, scores and has done so for long enough": [
        (0.5, {"a": OLD, "b": OLD}, WAIT, ""),
        (1.0, {"a": RUNS, "b": OLD}, WAIT, ""),
        (60.9, {"a": SCORES, "b": OLD}, WAIT, ""),
        (61.0, {"a": SCORES, "b": OLD}, PASS, "a has run it for 60 s and scored 6 windows"),
    ],
    "one canary alone is asked a second time to score": [
        (1.0, {"a": RUNS}, WAIT, ""),
        (61.0, {"a": RUNS}, PASS, "every agent that is alive runs it"),
    ],
    "it never scores, so another is asked, and that decides": [
        (1.0, {"a": RUNS, "b": OLD, "c": OLD}, WAIT, ""),
        (60.0, {"a": RUNS, "b": OLD, "c": OLD}, MORE, "c"),
        (61.0, {"a": RUNS, "b": OLD, "c": SCORES}, WAIT, ""),
        (121.0, {"a": RUNS, "b": OLD, "c": SCORES}, PASS, "c has run it"),
    ],
    "it refuses, but what it says at first may be old": [
        (4.0, {"a": REFUSES, "b": OLD}, WAIT, ""),
        (5.0, {"a": REFUSES, "b": OLD}, BACK, "a does not run it: refused: the golden test fails"),
    ],
    "it falls silent before it runs it": [
        (1.0, {"a": replace(OLD, alive=False), "b": OLD}, MORE, "b"),
        (2.0, {"a": replace(OLD, alive=False), "b": SCORES}, WAIT, ""),
        (62.0, {"a": replace(OLD, alive=False), "b": SCORES}, PASS, "b has run it"),
    ],
    "one after the other falls silent while it runs it": [
        (1.0, {"a": RUNS, "b": OLD, "c": OLD}, WAIT, ""),
        (9.0, {"a": SILENT, "b": OLD, "c": OLD}, MORE, "c"),
        (10.0, {"a": SILENT, "b": OLD, "c": RUNS}, WAIT, ""),
        (19.0, {"a": SILENT, "b": OLD, "c": SILENT}, BACK, "a and c fell silent while they ran it"),
    ],
    "it comes back after a silence": [
        (1.0, {"a": SCORES, "b": OLD, "c": OLD}, WAIT, ""),
        (9.0, {"a": SILENT, "b": OLD, "c": OLD}, MORE, "c"),
        (20.0, {"a": SCORES, "b": OLD, "c": replace(RUNS, alive=False)}, WAIT, ""),
        (61.0, {"a": SCORES, "b": OLD, "c": replace(RUNS, alive=False)}, PASS, "a has run it"),
    ],
    "nobody is there any more": [
        (1.0, {"a": SCORES, "b": OLD}, WAIT, ""),
        (99.0, {"a": SILENT, "b": replace(OLD, alive=False)}, WAIT, "none of them runs it"),
    ],
    "its key is revoked": [(1.0, {"b": OLD}, MORE, "b")],
}


@pytest.mark.parametrize("name", STORIES)
def test_a_trial(name: str) -> None:
    trial = Trial(5, ["a"], 60.0, 0.0)
    for now, fleet, kind, words in STORIES[name]:
        step = trial.look(fleet, {"c": 3, "b": 1}, now)
        assert (step.kind, words in (step.words if kind != MORE else step.agent)) == (kind, True), f"{now}: {step}"
        if step.kind == MORE:
            trial.add(step.agent, now)


@pytest.mark.parametrize(
    ("fleet", "labelled", "first"),
    [
        ({"a": OLD, "b": OLD, "c": OLD}, {"b": 2, "c": 1}, "b"),
        ({"a": OLD, "b": replace(OLD, alive=False), "c": OLD}, {"b": 2, "c": 1}, "c"),
        ({"b": OLD, "a": OLD}, {}, "a"),
        ({"a": OLD, "b": replace(OLD, alive=False)}, {"a": 5}, None),
        ({}, {}, None),
    ],
)
def test_the_first_is_the_one_that_is_labelled_most_and_never_the_only_one(
    fleet: Fleet, labelled: dict[str, int], first: str | None
) -> None:
    assert first_agent(fleet, labelled) == first
