"""A personal offset between real processes: learned in the trainer, used by the agent that watches the person."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from edge_agent.puppet.script import Playlist
from sentry_proto.types import Prediction, Stratum, Window
from tests.e2e.study import Study, eventually
from tests.e2e.wire_agent import STATES, WireAgent, windows_of_states
from tests.sentry_proto.records import window
from training.active_learning.personal import shift

pytestmark = pytest.mark.e2e

COUNT = 80


def read_wrongly(participant: str) -> list[tuple[Window, str]]:
    """A window a minute of somebody whom the head takes for more stressed than the truth, with the true state."""
    random = np.random.default_rng(0)
    found = []
    for n in range(COUNT):
        state = int(random.integers(3))
        scores = random.normal(0, 0.5, 3) + 1.5 * np.linspace(-1, 1, 3)
        scores[state] += 1.5
        said = tuple(shift(np.full(3, 1 / 3), scores).tolist())
        plain = window(
            uuid.uuid4().hex, participant=participant, start=1_740_000_000.0 + 60 * n, stratum=Stratum.AUDIT,
            model_version=1, predictions=(Prediction("stress", said, 0.5, 0.1),),
        )  # fmt: skip
        found.append((plain, STATES[state]))
    return found


def label_all(study: Study, labelled: list[tuple[Window, str]]) -> list[str]:
    """Label all windows with their states; returns the labels' ids."""
    ids = [uuid.uuid4().hex for _ in labelled]
    rows = [f"{one.window_id},stress,{state},ann,{key}" for key, (one, state) in zip(ids, labelled, strict=True)]
    study.control.call("import_labels", text="\n".join(["window_id,task,value,rater,label_id", *rows]))
    return ids


def scored_by_the_agent(study: Study, participant: str) -> list[dict[str, Any]]:
    """What the newest windows of a participant that the real agent has sent say of stress."""
    sent = study.control.call("windows", participant=participant, agent="lab-1", limit=1000)
    return [p for w in sent for p in w["predictions"] if p["task"] == "stress"]


def test_an_offset_reaches_the_agent_of_that_person_and_ends_with_its_labels(study: Study) -> None:
    study.start_trainer("--labels-per-run", 10_000)
    far = WireAgent(study.enroll("lab-2"))
    stock = list(windows_of_states(6, 30))
    far.send([one for one, _ in stock])
    label_all(study, stock)
    study.control.call("retrain")
    eventually(lambda: study.status()["model_version"] == 1, 120, "version 1 is published")

    names = [person.name for person in Playlist().people]
    wrong = {name: read_wrongly(name) for name in names[::2]}
    far.send([one for some in wrong.values() for one, _ in some])
    ids = label_all(study, [one for some in wrong.values() for one in some])

    def known() -> dict[str, Any]:
        found: dict[str, Any] = study.status()["learner"]["personal"]
        return found

    eventually(lambda: all(name in known() for name in wrong), 30, "the trainer has looked at them")
    found = known()
    assert all(found[name]["stress"]["used"] for name in wrong), found

    key = study.enroll("lab-1")
    agent = study.start_agent("lab-1", key, "puppet", "--speed", 30, "--fps", 2, "--audit", 1)

    def personal() -> dict[str, list[dict[str, Any]]]:
        said = {name: scored_by_the_agent(study, name) for name in names}
        return {name: [one for one in some if one["personal"]] for name, some in said.items() if some}

    eventually(lambda: any(personal().values()), 240, "windows with an offset")
    for name, some in personal().items():
        assert not some or name in wrong
        for said in some:
            logits = np.array(found[name]["stress"]["logits"])
            assert said["personal"] == pytest.approx(shift(np.array(said["probabilities"]), logits), abs=1e-5)
            assert said["personal"][2] < said["probabilities"][2]
    for label_id in ids:
        study.control.call("withdraw", label_id=label_id)
    eventually(lambda: not known().keys() & wrong.keys(), 60, "all of it is forgotten")
    log = study.folder / "lab-1.log"
    assert "personal offsets: stress" in log.read_text()
    eventually(lambda: "personal offsets: none" in log.read_text(), 60, "the agent has forgotten it too")
    study.stop(agent)
    far.close()
