from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.cli import main
from edge_agent.doctor import KEPT, asked, check_runtime, clock_words, look, reach, synchronised
from perception.pictures import Image
from sentry_proto.errors import CameraError, EnvironmentFault, PeerUnreachable
from tests.edge_agent.test_streams import mjpeg
from tests.edge_agent.trainer import Lab, Trainer


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


@pytest.mark.slow
def test_a_camera_is_looked_at_for_a_while_and_nothing_is_kept() -> None:
    images: list[Image] = []
    with mjpeg(20) as address:
        words = look(address, images)
    assert "gives 256x64, " in words
    assert "no picture is kept" in words
    assert len(images) == KEPT


@pytest.mark.slow
def test_a_camera_that_falls_silent_is_said_to_hang() -> None:
    begin = time.monotonic()
    with mjpeg(30, most=40) as address, pytest.raises(CameraError, match=r"hangs: .* gave no picture in the last"):
        look(address, [])
    assert time.monotonic() - begin < 15


def test_a_folder_that_begins_with_many_bad_pictures_is_an_answer(tmp_path: Path) -> None:
    for number in range(50):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((20, 20) if number == 49 else (1, 1), np.uint8))
    with pytest.raises(CameraError, match="gave no picture"):
        look(str(tmp_path), [])


@pytest.mark.slow
def test_one_picture_of_a_face_does_for_the_speed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = pytest.importorskip("skimage.data", reason="needs scikit-image for its public-domain portrait")
    cv2.imwrite(str(tmp_path / "face.png"), data.astronaut()[:, :, ::-1])
    _, found = findings(capsys, "--source", str(tmp_path))
    assert "with a face" in str(found["speed"]["words"])


def test_a_bug_of_one_check_is_an_answer_and_no_traceback() -> None:
    finding = asked("speed", lambda: str(1 // 0))
    assert not finding.well
    assert "ZeroDivisionError" in finding.words


def test_a_trainer_that_answers_and_how_far_the_clocks_are_apart(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    with closing(Trainer(lab)) as trainer:
        words = reach(lab.key)
        assert words.startswith(f"{lab.key.endpoints.ingest} answers and knows this key; its clock and this one are 0.")
        trainer.ahead_s = 3600.0
        with pytest.raises(EnvironmentFault, match=r"3600.0 s apart, this one behind"):
            reach(lab.key)
        assert trainer.heartbeats == []


def test_a_trainer_that_refuses(tmp_path: Path) -> None:
    lab = Lab(tmp_path, enrolled=False)
    with closing(Trainer(lab)), pytest.raises(PeerUnreachable, match="not enrolled"):
        reach(lab.key)
