"""The fleet simulator: a short form with real processes, and what it says of plans that cannot be."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sentry_proto.errors import InputError
from tests.e2e.study import run
from trainer_service.fleet_sim import Figure, Plan, to_json, to_text


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan(agents=0), "--agents must be between 1 and 10000, not 0"),
        (Plan(seconds=float("nan")), "--seconds must be between 10 and 86400, not nan"),
        (Plan(agents=3, stopped=3), "--stopped must leave an agent running, not 3 of 3"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan: Plan, words: str) -> None:
    with pytest.raises(InputError) as raised:
        plan.check()
    assert str(raised.value) == words


def test_a_figure_stands_beside_its_limit() -> None:
    figures = [Figure("R7", "ack p99", 251.0, 250.0, "ms"), Figure("R7", "ack p50", 9.0, None, "ms")]
    report = to_json(Plan(), figures)
    assert not report["kept"]
    assert [figure["kept"] for figure in report["figures"]] == [False, True]
    assert "R7  ack p99                                 251.0 ms           limit 250  MISSED" in to_text(
        Plan(), figures
    )


@pytest.mark.e2e
@pytest.mark.promise("R1", "R7")
def test_a_small_fleet_loses_and_doubles_nothing() -> None:
    """Fewer agents than promised, the same count; latency is for a machine of its own (`make soak`)."""
    done = run("sentry-trainer", "fleet-sim", "--agents", 40, "--seconds", 12, "--stopped", 5, "--json", timeout_s=180)
    assert done.stdout, done.stderr
    figures = {figure["name"]: figure for figure in json.loads(done.stdout)["figures"]}
    assert figures["records sent"]["reached"] >= 2 * 40
    for name in ("lost: acked and not stored", "doubled", "refused", "still spooled at the end", "storm"):
        assert figures[name]["kept"], figures[name]
    assert figures["trainer memory, peak"]["kept"], figures["trainer memory, peak"]


@pytest.mark.slow
def test_the_process_that_serves_agents_loads_no_library_for_learning() -> None:
    """River alone would take 140 of the promised 300 MB; it belongs to the learner's process."""
    heavy = "torch river pandas scipy sklearn pyarrow onnxruntime"
    code = f"import sys, trainer_service.app; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
