"""What the summary of learned fusion says, and does not claim."""

from __future__ import annotations

from typing import Any

import pytest

from training.trainers.classifier_report import comparison


def report(low: float, live: bool) -> dict[str, Any]:
    ways = {"learned": {"both": {"brier": 0.66}}, "statistics": {"both": {"brier": 0.7}}}
    gain = {"improvement": 0.04, "interval": [low, 0.1]}
    return {"tasks": {"stress": {"live": live, "cross_validation": ways, "gain_of_learned_fusion": gain}}}


CASES = {
    "better, and of use": (0.01, True, ["is better than"], ["constant"]),
    "better, but of no use": (0.01, False, ["is better than", "not shown to be better than a constant forecast"], []),
    "not better": (-0.01, True, ["is not shown to be better than statistics pooling"], ["constant"]),
}


@pytest.mark.parametrize("name", CASES)
def test_fusion_is_not_praised_for_what_a_constant_does_too(name: str) -> None:
    low, live, said, unsaid = CASES[name]
    line = comparison(report(low, live))
    assert [words in line for words in said + unsaid] == [True] * len(said) + [False] * len(unsaid)
