from __future__ import annotations

import json
import logging
from urllib.request import urlopen

import pytest

from edge_agent.metrics import AgentCollector
from edge_agent.outbox import Totals
from edge_agent.state import State
from sentry_proto.errors import InputError
from sentry_proto.json_log import JsonFormatter
from sentry_proto.metrics import LOCAL, address, offered
from sentry_proto.types import CameraState

FIGURES = {
    "frames_scored": 90,
    "frames_dropped": 3,
    "load_level": 1,
    "windows": 4,
    "no_data_windows": 1,
    "alerts": 2,
    "stages": {"face": {"median_ms": 8.0, "p95_ms": 10.0}},
}


def test_prometheus_reads_the_figures_and_no_name() -> None:
    state = State(participant="P77", camera=CameraState.FROZEN)
    collector = AgentCollector(lambda: FIGURES, state, lambda: Totals(9, 7, 2, 0), lambda: 29.5)
    with offered(collector, LOCAL, 0) as port:
        text = urlopen(f"http://{LOCAL}:{port}/metrics", timeout=5).read().decode()
    for line in (
        "sentry_agent_frames_total 90.0",
        "sentry_agent_frames_dropped_total 3.0",
        "sentry_agent_records_acked_total 7.0",
        "sentry_agent_records_waiting 2.0",
        "sentry_agent_frame_rate 29.5",
        'sentry_agent_camera{state="frozen"} 1.0',
        'sentry_agent_camera{state="ok"} 0.0',
        'sentry_agent_stage_seconds{quantile="0.95",stage="face"} 0.01',
    ):
        assert line in text.splitlines(), text
    assert "P77" not in text


def test_a_port_that_is_taken_is_an_error_in_words() -> None:
    collector = AgentCollector(lambda: FIGURES, State(), lambda: Totals(0, 0, 0, 0), lambda: 0.0)
    with (
        offered(collector, LOCAL, 0) as port,
        pytest.raises(InputError, match=str(port)),
        offered(collector, LOCAL, port),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "expected"), [("9100", (LOCAL, 9100)), ("0.0.0.0:9100", ("0.0.0.0", 9100)), (":9100", (LOCAL, 9100))]
)
def test_only_this_machine_may_ask_unless_told_otherwise(text: str, expected: tuple[str, int]) -> None:
    assert address(text) == expected


@pytest.mark.parametrize("text", ["", "x", "host:", "1:70000"])
def test_an_address_that_is_none(text: str) -> None:
    with pytest.raises(InputError):
        address(text)


def test_an_event_is_one_line_of_json() -> None:
    record = logging.LogRecord("edge_agent.link", logging.WARNING, "", 0, "lost %d\nlines", (2,), None)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    event = json.loads(line)
    assert (event["level"], event["source"], event["event"]) == ("warning", "edge_agent.link", "lost 2\nlines")
    assert event["time"].endswith("Z")
