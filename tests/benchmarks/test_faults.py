"""The soak of a whole fleet: its plan, its figures, and a minute of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.fault_evidence import Book, Event, Evidence, Happened
from benchmarks.fault_plan import CALM_S, TRAINER, WEIGHTS, machines, plan
from benchmarks.fault_report import books, clocks, losses, partitions
from tests.conftest import REPOSITORY


def test_an_hour_has_every_fault_and_leaves_the_calms_alone() -> None:
    fleet = machines(50, 4)
    assert sorted(name for machine in fleet for name in machine.agents) == [f"lab-{n:02d}" for n in range(50)]
    faults = plan(1, 3600, fleet, ["lab-05", "lab-10"])
    assert faults == plan(1, 3600, fleet, ["lab-05", "lab-10"])
    assert {fault.kind for fault in faults} == set(WEIGHTS)
    for fault in faults:
        if fault.seconds < 600:
            assert fault.at % 600 < 600 - CALM_S
            assert fault.at + fault.seconds <= 3600 - CALM_S
    assert sorted(fault.seconds for fault in faults)[-2:] == [600, 600], "a cut and a half-open link of ten minutes"


def test_nothing_is_hit_twice_at_once() -> None:
    fleet = machines(20, 2)
    holds = {m.name: set(m.agents) for m in fleet} | {a: {a} for m in fleet for a in m.agents} | {TRAINER: {TRAINER}}
    faults = plan(3, 1200, fleet, ["lab-05"])
    for one in faults:
        for two in faults:
            if one is not two and holds[one.target] & holds[two.target]:
                assert one.at + one.seconds < two.at or two.at + two.seconds < one.at


def evidence(events: list[Event], **changes: object) -> Evidence:
    fields: dict[str, object] = {
        "about": {"minutes": 1, "agents": 1}, "scene": [{"t": 0.0, "a": "", "e": "begun"}], "agents": {"a": events},
        "faults": [], "looks": [], "stored": Counter(), "order": {},
        "books": {"a": Book("s", 2, 1, 0, frozenset({"y"}))},
    }  # fmt: skip
    return Evidence(**{**fields, **changes})  # type: ignore[arg-type]


STORY: list[Event] = [
    {"t": 1.0, "a": "a", "e": "make", "ids": ["x"]},
    {"t": 1.0, "a": "a", "e": "put", "ids": ["x"]},
    {"t": 2.0, "a": "a", "e": "ack", "ids": ["x"], "ms": [5.0]},
    {"t": 3.0, "a": "a", "e": "make", "ids": ["y"]},
    {"t": 3.0, "a": "a", "e": "put", "ids": ["y"]},
    {"t": 3.0, "a": "a", "e": "totals", "sent": 2, "acked": 1, "spooled": 1, "dropped": 0},
]


def reached(found: object) -> dict[str, float]:
    return {figure.name: figure.reached for figure in found}  # type: ignore[attr-defined]


def test_what_is_lost_is_found() -> None:
    well = evidence(STORY, stored=Counter("x"))
    assert reached(losses(well))["acknowledged and not stored"] == 0
    assert reached(books(well))["spooled, and neither stored, spooled nor counted as dropped"] == 0
    assert reached(books(well))["books in which sent = acked + spooled + dropped fails"] == 0
    assert reached(losses(evidence(STORY)))["acknowledged and not stored"] == 1
    assert reached(losses(evidence(STORY, stored=Counter("xx"))))["stored more than once"] == 1
    gone = evidence(STORY, stored=Counter("x"), books={"a": Book("s", 2, 1, 0, frozenset())})
    assert reached(books(gone))["spooled, and neither stored, spooled nor counted as dropped"] == 1
    assert reached(books(gone))["books in which sent = acked + spooled + dropped fails"] == 1


def look(asked: float, *dead: str) -> Event:
    return {"t": asked + 0.1, "a": TRAINER, "e": "look", "asked": asked, "dead": list(dead), "off": {}, "load": 1.0}


def test_an_agent_that_is_there_and_called_offline_is_found() -> None:
    there: list[Event] = [{"t": 0.5, "a": "a", "e": "link", "open": True}]
    looks = [look(10.0), look(11.0, "a"), look(12.0, "a"), look(13.0)]
    name = "false 'offline' of any kind: nothing was broken, and nobody was heard"
    assert reached(clocks(evidence(there, looks=looks)))[name] == 1
    cut = [Happened("link cut", "a", 0.0, 6.0, 11.5, 11.5, ("a",))]
    assert reached(clocks(evidence(there, looks=looks, faults=cut)))[name] == 0
    slow = [Happened("link slow", "a", 0.3, 6.0, 11.5, 11.5, ("a",))]
    assert reached(clocks(evidence(there, looks=looks, faults=slow)))[name] == 1, "latency alone is no fault"


def test_a_cut_is_timed_on_both_sides() -> None:
    events: list[Event] = [
        {"t": 0.5, "a": "a", "e": "link", "open": True},
        {"t": 11.0, "a": "a", "e": "link", "open": False},
        {"t": 12.0, "a": "a", "e": "totals", "sent": 1, "acked": 0, "spooled": 1, "dropped": 0},
        {"t": 22.0, "a": "a", "e": "totals", "sent": 1, "acked": 1, "spooled": 0, "dropped": 0},
    ]
    cut = [Happened("link cut", "a", 0.0, 10.0, 20.0, 20.0, ("a",))]
    looks = [look(9.0), look(12.0), look(13.0, "a"), look(21.0)]
    found = reached(partitions(evidence(events, faults=cut, looks=looks)))
    assert found["broken link: until the agent knows, longest of 1"] == pytest.approx(1.0)
    assert found["broken link: until the trainer knows, longest of 1"] == pytest.approx(3.1)
    assert found["link cut: from its end until all is sent, longest of 1"] == pytest.approx(2.0)


@pytest.mark.e2e
@pytest.mark.promise("R1", "R2")
def test_a_minute_of_faults_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """What must hold on a busy machine, too; times are for the hour of `make soak`."""
    command = [sys.executable, "-m", "benchmarks.faults", "--minutes", "1", "--agents", "12", "--json"]
    command += ["--report", str(tmp_path / "report.md")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400, cwd=REPOSITORY)
    report = json.loads(done.stdout)
    assert sum(report["faults"].values()) >= 5, done.stderr
    figures = {figure["name"]: figure for figure in report["figures"]}
    for name in (
        "acknowledged and not stored",
        "stored more than once",
        "spooled, and neither stored, spooled nor counted as dropped",
        "books in which sent = acked + spooled + dropped fails",
        "records stored out of the order in which they were made",
        "records of strangers and revoked keys in the store",
    ):
        assert figures[name]["kept"], figures[name]
    assert figures["records acknowledged"]["reached"] > 30
    assert "| R1 | acknowledged and not stored | 0, kept | 0 |" in (tmp_path / "report.md").read_text()
