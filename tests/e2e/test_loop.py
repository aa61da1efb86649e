"""The whole loop, real processes on real video: windows, labels, gated update, hot swap, and a killed trainer."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.study import Study, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.shared]

PEOPLE = ("P01", "P02", "P03", "P04", "P05")
CALM, TENSE = "pyfeat_single_face.mp4", "intel_head-pose-male.mp4"
"""Two recordings that the heads can tell apart; which feeling they show does not matter to this test."""
ON = {"lab-1": TENSE, "lab-2": CALM}

EVERY_WINDOW = ("--audit", 1, "--speed", "max", "--fps", 2)


def record(study: Study, keys: dict[str, Path], person: str, videos: Path) -> None:
    """Two finished sessions of a person, as two agents side by side see them in looped recordings."""
    agents = {}
    for name, video in ON.items():
        study.consent(name, person)
        what = ("--participant", person, "--loop", "--duration", 100, *EVERY_WINDOW)
        agents[name] = study.start_agent(name, keys[name], videos / video, *what)
    for name, agent in agents.items():
        assert agent.wait(timeout=300) == 0, (study.folder / f"{name}.log").read_text()[-2000:]


def labels_for(windows: list[dict[str, Any]]) -> str:
    """A label file: every window gets the state that its agent's recording stands for."""
    states = {"lab-1": "stressed", "lab-2": "calm"}
    rows = [f"{window['window_id']},stress,{states[window['agent']]},observer-1" for window in windows]
    return "window_id,task,value,rater\n" + "\n".join(rows) + "\n"


def windows_of(study: Study) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = study.control.call("windows", limit=1000)
    return found


def decision_on(study: Study, task: str) -> dict[str, Any] | None:
    """The last thing the learner decided about a task."""
    found: list[dict[str, Any]] = study.control.call("decisions")
    return next((decision for decision in found if decision["task"] == task), None)


def test_the_loop_closes_and_survives_a_killed_trainer(study: Study, shared_dir: Path) -> None:
    videos = shared_dir / "videos"
    trainer = study.start_trainer("--labels-per-run", 1000)
    keys = {name: study.enroll(name) for name in ON}
    for person in PEOPLE:
        record(study, keys, person, videos)
    sent = windows_of(study)
    assert len({window["session"] for window in sent}) == len(ON) * len(PEOPLE)
    assert len(sent) >= 60
    assert all(not window["predictions"] for window in sent), "heads abstain before their gate"

    live = study.start_agent(
        "lab-1", keys["lab-1"], videos / TENSE, "--participant", "P01", "--loop", "--audit", 1, "--speed", 4, "--fps", 4
    )
    eventually(lambda: study.agent("lab-1")["alive"], 60, "the live agent beats")
    text = labels_for(sent)
    accepted = study.control.call("import_labels", text=text)["stored"]
    assert accepted == len(sent)

    trainer.kill()  # SIGKILL, with labels and windows accepted
    trainer.wait()
    before = {window["window_id"] for window in sent}
    study.start_trainer("--labels-per-run", 1000)
    assert before <= {window["window_id"] for window in windows_of(study)}
    assert study.status()["labels"] == accepted
    assert study.control.call("import_labels", text=text)["stored"] == 0, "the same labels again change nothing"

    study.control.call("retrain")
    decision = eventually(lambda: decision_on(study, "stress"), 60, "the learner decides")
    assert decision["verdict"] == "published", decision["reason"]
    eventually(lambda: study.agent("lab-1")["model_version"] == 1, 10, "the heartbeat reports version 1")
    scored = eventually(
        lambda: [w for w in windows_of(study) if w["model_version"] == 1 and w["predictions"]], 60, "scored windows"
    )
    stress = next(p for p in scored[0]["predictions"] if p["task"] == "stress")
    assert stress["probabilities"][2] > 0.5, "the live agent watches the recording that was labelled stressed"

    wrong = scored[0]["window_id"]
    study.control.call(
        "label",
        label_id=uuid.uuid4().hex,
        window_id=wrong,
        task="stress",
        value="false alarm",
        source="observer",
        rater="observer-1",
    )
    study.stop(live)
    agent = study.agent("lab-1")
    assert agent["sent"] == agent["acked"] + agent["spooled"] + agent["dropped"]
    stored = [window["window_id"] for window in windows_of(study)]
    assert len(stored) == len(set(stored))
    assert [d for d in study.control.call("decisions") if d["verdict"] == "published"]
