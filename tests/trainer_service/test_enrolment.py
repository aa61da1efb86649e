from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from sentry_proto.keys import AGENT
from trainer_service.enrolment import UNREADABLE_S, Enrolment

ENTRY = {"public": "key-a", "role": AGENT, "enrolled": "2026-01-01", "revoked": None}


@pytest.mark.promise("S2")
def test_a_list_that_stays_unreadable_lets_nobody_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, now = tmp_path / "enrolled.json", [0.0]
    path.write_text(json.dumps({"lab-1": ENTRY}))
    allowed = Enrolment(path, lambda: now[0])
    path.write_text("{damaged")
    for now[0] in (1.0, 1.0 + UNREADABLE_S / 2):
        allowed.refresh()
        assert allowed.name_of("key-a", AGENT) == "lab-1", "a list that is read in the wrong moment cuts nobody"
    now[0] = 1.0 + UNREADABLE_S
    allowed.refresh()
    assert allowed.name_of("key-a", AGENT) is None
    assert allowed.names(AGENT) == ["lab-1"], "its silence is still shown"
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]
    assert "nobody is let in" in caplog.messages[-1]


def test_a_list_that_can_be_read_again_is_in_force_again(tmp_path: Path) -> None:
    path, now = tmp_path / "enrolled.json", [0.0]
    path.write_text(json.dumps({"lab-1": ENTRY}))
    allowed = Enrolment(path, lambda: now[0])
    path.rename(tmp_path / "away")
    path.mkdir()  # unreadable for root, too
    for now[0] in (0.0, UNREADABLE_S):
        allowed.refresh()
    assert allowed.name_of("key-a", AGENT) is None
    path.rmdir()
    (tmp_path / "away").rename(path)
    assert allowed.name_of("key-a", AGENT) == "lab-1"
