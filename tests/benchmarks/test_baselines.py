"""The comparison with other learners in a short form: all of them learn, and none sees what is held out."""

from __future__ import annotations

import pytest

from benchmarks import baselines, label_streams
from benchmarks.baselines import NAMES, play, render, run
from benchmarks.label_streams import BODY_SPACE
from training.datasets.simulation import SimulatedStudy

SLOW_LEARNERS = ("river Hoeffding tree", "river adaptive random forest")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    study = SimulatedStudy(people=8, blocks=4, windows=12, effect=2.0, affected=12, space=BODY_SPACE)
    monkeypatch.setattr(label_streams, "STUDY", study)
    monkeypatch.setattr(label_streams, "LEARNED", 5)
    monkeypatch.setattr(baselines, "ROUNDS", 4)
    monkeypatch.setattr(baselines, "SHOWN", (2, 4))
    monkeypatch.setattr(baselines, "JUDGED", 60)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SLOW_LEARNERS])
def test_every_learner_gets_better_than_chance(name: str) -> None:
    counts, scores, seconds = play(name, label_streams.people(0), 0)
    assert 0 < counts[0] < counts[1]
    assert scores[-1] > 0.7
    assert seconds > 0


def test_the_table_has_all_learners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "NAMES", NAMES[:1])
    text = render({"people": run(label_streams.people, 2)}, {"rare state": "no FER2013"})
    assert NAMES[0] in text
    assert "left out: rare state: no FER2013" in text
