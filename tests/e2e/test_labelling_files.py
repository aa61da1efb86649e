"""From a trainer's queue into a file, through people's hands, and back into the trainer; with the real commands."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentry_proto.types import Label, Stratum
from tests.e2e.study import Study, run
from tests.e2e.wire_agent import WireAgent
from tests.sentry_proto.records import window
from training.active_learning.file_tray import FileTray

pytestmark = pytest.mark.e2e


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """A trainer with nine windows of three people, a consent each."""
    made = Study(tmp_path)
    made.start_trainer()
    agent = WireAgent(made.enroll("lab-1"))
    windows = [
        window(f"{n:032x}", participant=f"P{n % 3}", seed=n, stratum=Stratum.AUDIT, consent_id=f"c{n % 3}")
        for n in range(1, 10)
    ]
    assert agent.send(list(windows)) == []
    yield made
    agent.close()
    made.close()


def export(study: Study, kind: str, *more: object) -> Path:
    out = study.folder / f"queue.{kind}"
    done = run(
        "sentry-trainer", "queue", "export", "--dir", study.trainer_dir, "--task", "stress", "--format", kind,
        "--out", out, *more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def take_back(study: Study, path: Path) -> dict[str, int]:
    done = run("sentry-trainer", "labels", "import", path, "--dir", study.trainer_dir, "--json")
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def test_every_format_goes_out_and_comes_back(study: Study) -> None:
    sheet = export(study, "csv", "--count", 3)
    rows = list(csv.DictReader(sheet.read_text().splitlines()))
    with sheet.open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows([{**row, "value": "Calm", "rater": "ann"} for row in rows[:2]] + rows[2:])
    assert take_back(study, sheet) == {"stored": 2, "known": 0, "unanswered": 1}

    tray = FileTray(export(study, "jsonl", "--count", 2))
    for n, window_id in enumerate(tray.waiting("stress", "bob").window_ids):
        tray.put(Label(f"{n:032x}", window_id, "stress", "stressed", "observer", "bob", created=7.0))
    assert take_back(study, tray.answers_path) == {"stored": 2, "known": 0, "unanswered": 0}
    assert take_back(study, tray.answers_path) == {"stored": 0, "known": 2, "unanswered": 0}

    tasks = export(study, "labelstudio")
    exported = json.loads(tasks.read_text())
    choice = {"from_name": "label", "to_name": "curves", "type": "choices", "value": {"choices": ["mildly stressed"]}}
    exported[0]["annotations"] = [{"completed_by": 1, "result": [choice]}]
    tasks.write_text(json.dumps(exported))
    assert take_back(study, tasks) == {"stored": 1, "known": 0, "unanswered": 4}, "five were labelled by nobody yet"
    given = [(label["value"], label["rater"]) for w in study.control.call("windows") for label in w["labels"]]
    assert sorted(given) == [
        ("calm", "ann"),
        ("calm", "ann"),
        ("mildly stressed", "label-studio-1"),
        ("stressed", "bob"),
        ("stressed", "bob"),
    ]


def test_nothing_leaves_under_a_consent_that_was_withdrawn(study: Study) -> None:
    book = study.folder / "consent.json"
    records = [
        {"consent_id": "c0", "withdrawn": None, "until": None},
        {"consent_id": "c1", "withdrawn": 5.0, "until": None},
    ]
    book.write_text(json.dumps(records))
    path = export(study, "jsonl", "--consents", book)
    assert {json.loads(line)["participant"] for line in path.read_text().splitlines()} == {"P0"}


def test_wrong_rows_are_named_and_nothing_is_stored(study: Study) -> None:
    path = study.folder / "labels.csv"
    rows = [f"{1:032x},stress,calm,ann", f"{2:032x},stress,bored,ann", f"{99:032x},stress,calm,ann"]
    path.write_text("\n".join(["window_id,task,value,rater", *rows]))
    done = run("sentry-trainer", "labels", "import", path, "--dir", study.trainer_dir)
    assert done.returncode == 2
    assert done.stderr.count("row ") == 2
    assert "row 3: task stress knows no value" in done.stderr
    assert "row 4: there is no window" in done.stderr
    assert study.control.call("status")["labels"] == 0
