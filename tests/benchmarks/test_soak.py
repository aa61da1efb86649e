from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import children, cpu_s, resident_mib
from benchmarks.soak import film_puppet, growth, soak
from perception.video import VideoFile


def test_growth_is_told_apart_from_what_is_allocated_once() -> None:
    once = [(float(i), 100.0 + min(i, 10) * 20) for i in range(100)]
    assert growth(once) == pytest.approx(0, abs=1e-6)
    leaking = [(float(i), 300.0 + i / 60) for i in range(100)]  # 1 MiB a minute
    assert growth(leaking) == pytest.approx(60, rel=1e-3)


def test_memory_that_is_taken_shows() -> None:
    before = resident_mib(os.getpid())
    taken = bytearray(64 << 20)
    assert resident_mib(os.getpid()) - before == pytest.approx(64, abs=8)
    assert taken


def test_a_process_that_was_started_is_a_child_and_its_work_counts() -> None:
    before = children()
    code = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert children() - before == {process.pid}
        assert cpu_s(process.pid) == pytest.approx(0.2, abs=0.1)
        process.kill()


@pytest.mark.soak
@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_the_puppet_soaks_through_everything(tmp_path: Path) -> None:
    video = film_puppet(tmp_path / "puppet.mp4", 3)
    with VideoFile(video) as film:
        assert (film.fps, film.frames) == (30.0, 90)
    figures = soak(video, 40, tmp_path)
    assert figures["frames_scored"] > 40
    assert figures["windows"] >= 1
    assert figures["stored_windows"] == figures["windows"], "the trainer has them all"
    assert figures["sent"] == figures["acked"] >= figures["windows"]
    assert figures["spooled"] == 0
    assert 0 < figures["capture_first_mib"] < figures["agent_first_mib"]
    assert figures["agent_growth_mib"] < 50
    assert figures["capture_growth_mib"] < 5
    assert figures["agent_growth_mib_per_hour"] is None, "so few frames tell nothing of an hour"
