from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from edge_agent.metrics import AgentCollector
from edge_agent.outbox import Totals
from edge_agent.state import State
from sentry_proto.errors import InputError
from sentry_proto.json_log import JsonFormatter, fields
from sentry_proto.metrics import LOCAL, address, offered
from sentry_proto.types import CameraState
from tests.edge_agent.test_cli import good_video
from tests.edge_agent.trainer import eventually

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


@pytest.mark.slow
def test_a_run_offers_its_figures_and_logs_fields_beside_each_sentence(tmp_path: Path) -> None:
    """Real processes: `--metrics` and `--log-format json` as the shipped unit has them."""
    command = [sys.executable, "-m", "edge_agent.cli", "--log-format", "json", "run", "--loop", "--metrics", "0"]
    more = ["--source", str(good_video(tmp_path)), "--participant", "P77", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen([*command, *more], stderr=subprocess.PIPE, text=True) as agent:
        assert agent.stderr is not None
        events = [json.loads(agent.stderr.readline()) for _ in range(2)]
        address = re.findall(r"http://\S+", events[0]["event"])[0]
        eventually(lambda: value(address, "sentry_agent_frames_total") > 0, "frames are counted", 20)
        first = value(address, "sentry_agent_frames_total")
        eventually(lambda: value(address, "sentry_agent_frames_total") > first, "and more of them", 20)
        text = scraped(address)
        assert 'sentry_agent_camera{state="no face"} 1.0' in text
        assert "P77" not in text
        agent.terminate()
        events += [json.loads(line) for line in agent.stderr]
    assert agent.returncode == 0
    told = {"participant": "P77", "model_version": 0, "provider": "CPUExecutionProvider", "load_level": 0}
    start = events[1]
    assert start["event"].startswith("RECORDING participant P77")
    assert {name: start[name] for name in told} == told
    with pytest.raises(OSError, match="refused"):
        scraped(address)


def scraped(address: str) -> str:
    with urlopen(address, timeout=5) as answer:
        return str(answer.read().decode())


def value(address: str, name: str) -> float:
    return next(float(line.split()[1]) for line in scraped(address).splitlines() if line.startswith(f"{name} "))


def test_fields_stand_beside_the_sentence_and_hide_nothing_of_it() -> None:
    record = logging.LogRecord("edge_agent.link", logging.INFO, "", 0, "version %d runs", (3,), None)
    vars(record).update(fields(model_version=3, level="a lie"))
    event = json.loads(JsonFormatter().format(record))
    assert (event["model_version"], event["level"], event["event"]) == (3, "info", "version 3 runs")


def test_an_event_is_one_line_of_json() -> None:
    record = logging.LogRecord("edge_agent.link", logging.WARNING, "", 0, "lost %d\nlines", (2,), None)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    event = json.loads(line)
    assert (event["level"], event["source"], event["event"]) == ("warning", "edge_agent.link", "lost 2\nlines")
    assert event["time"].endswith("Z")
