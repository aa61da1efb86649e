from __future__ import annotations

import socket
from pathlib import Path

import pytest

from demo.study import Study, free_ports, run_module
from sentry_proto.errors import EnvironmentFault


def test_taken_ports_are_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_ports(2, port - 1) > port


def test_no_free_port_is_said() -> None:
    with pytest.raises(EnvironmentFault, match="no 1 free ports from 70 on"):
        free_ports(1, 70, 70)


def test_module_that_fails_is_quoted() -> None:
    with pytest.raises(EnvironmentFault, match="the following arguments are required"):
        run_module("trainer_service.keys_cli")


def test_study_stays_in_its_folder(tmp_path: Path) -> None:
    study = Study(tmp_path, 7810, 8501)
    command = study.agent("puppet", ["--speed", "10"])
    assert command[1:5] == ["-m", "edge_agent.cli", "run", "--source"]
    assert all(str(tmp_path) in command[command.index(flag) + 1] for flag in ("--key", "--data-dir"))
    assert study.url == "http://127.0.0.1:8501"
