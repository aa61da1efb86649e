from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.cli import main
from edge_agent.doctor import check_runtime, clock_words, synchronised
from sentry_proto.errors import EnvironmentFault


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 255, (120, 160, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), noise)
    return folder


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, dict[str, object]]]:
    status = main(["doctor", "--json", *arguments])
    return status, {finding["topic"]: finding for finding in json.loads(capsys.readouterr().out)}


@pytest.mark.slow
def test_a_machine_without_a_camera_and_with_a_bad_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key"
    key.write_text("not a key")
    status, found = findings(capsys, "--source", "97", "--key", str(key))
    assert status == EnvironmentFault.exit_code
    assert {topic for topic, finding in found.items() if not finding["well"]} >= {"camera", "key", "trainer"}
    assert "There is no camera 97" in str(found["camera"]["words"])
    assert found["models"]["well"]
    assert "CPUExecutionProvider" in str(found["provider"]["words"])
    assert found["runtime"]["well"]


@pytest.mark.slow
def test_a_source_is_looked_at_and_speed_is_told(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = findings(capsys, "--source", str(pictures), "--provider", "directml")
    assert "160x120" in str(found["camera"]["words"])
    assert not found["provider"]["well"]
    assert "edge-directml" in str(found["provider"]["words"])
    assert "nothing leaves this machine" in str(found["key"]["words"])
    assert "trainer" not in found


def test_builds_of_onnx_runtime_that_overwrite_each_other_are_a_finding() -> None:
    assert "no other build" in check_runtime(["onnxruntime"])
    with pytest.raises(EnvironmentFault, match="onnxruntime and onnxruntime-gpu overwrite each other"):
        check_runtime(["onnxruntime", "onnxruntime-gpu"])


def test_the_clock() -> None:
    with pytest.raises(EnvironmentFault, match="1970"):
        clock_words(0.0, True)
    assert "2033" in clock_words(2e9, True)
    assert "not set by the network" in clock_words(2e9, False)
    assert synchronised() in (True, False, None)
