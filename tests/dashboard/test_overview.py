from __future__ import annotations

from dashboard.overview import _spool
from tests.dashboard.fake_trainer import agent


def test_where_all_records_are_stands_beside_what_waits() -> None:
    assert "of 120: 118 stored, 0 dropped" in _spool(agent())


def test_a_count_that_does_not_add_up_is_said() -> None:
    shown = _spool(agent(acked=117))
    assert "120 sent, and they do not add up" in shown
    assert "s-bad" in shown
