"""How fast the dashboard's questions are answered, on a seeded study: `python -m benchmarks.dashboard --json`.

Each entry is one method of the control API as a page calls it, answered in this process by the trainer's own code on a
real store: CPU seconds (which other work on the machine does not change much) and the size of the reply.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentry_proto.keys import AllowList
from tests.dashboard import seeded_study
from trainer_service.control_api import ControlApi
from trainer_service.fleet import Fleet
from trainer_service.keyring import load_online_signers
from trainer_service.publisher import Publisher
from trainer_service.rollout import Rollout
from trainer_service.store import Store

REPEATS = 5


class Still:
    """A learner that rests, so that only the questions are measured."""

    def __init__(self, rollout: Rollout) -> None:
        self.rollout = rollout
        self.model_version = rollout.live

    def describe(self) -> dict[str, Any]:
        """Idle."""
        return {"state": "idle", "last_run": None, "last_verdict": None, "waits_for": {}}


def questions(api: ControlApi) -> dict[str, Callable[[], Any]]:
    """What each page asks."""
    newest = api.alerts(limit=1)[0]["alert_id"]
    return {
        "overview: status": api.status,
        "overview: agents": api.agents,
        "overview: alerts": lambda: api.alerts(limit=8),
        "overview: decisions": lambda: api.decisions(limit=50),
        "alerts: people": api.people,
        "alerts: alert_course": api.alert_course,
        "alerts: alerts": lambda: api.alerts(limit=40),
        "alerts: alerts of one person": lambda: api.alerts(participant="P07", limit=40),
        "alerts: alert": lambda: api.alert(newest),
        "review: queue": lambda: api.queue("stress", "R1", 50),
        "rates: by version": lambda: api.rates("stress"),
        "rates: by week": lambda: api.rates("stress", by="week"),
        "models: models": api.models,
    }


def measure(windows: int) -> dict[str, Any]:
    """Build the study and ask each question `REPEATS` times."""
    with tempfile.TemporaryDirectory() as name:
        began = time.process_time()
        study = seeded_study.build(Path(name), 7710, time.time(), windows)
        built = time.process_time() - began
        store = Store(study.home.database)
        fleet = Fleet(store.last_heartbeats())
        learner: Any = Still(Rollout(store, Publisher(study.home.repository, load_online_signers(study.home))))
        allowed = AllowList(study.home.enrolled)
        api = ControlApi(store, fleet, allowed, seeded_study.TASKS, learner, time.time())
        found = {what: _timed(ask) for what, ask in questions(api).items()}
        store.close()
    return {"windows": study.windows, "build_cpu_s": round(built, 2), "questions": found}


def _timed(ask: Callable[[], Any]) -> dict[str, float]:
    spent = []
    for _ in range(REPEATS):
        began = time.process_time()
        answer = ask()
        spent.append(1000 * (time.process_time() - began))
    size = len(json.dumps(answer)) / 1024
    return {"cpu_ms": round(statistics.median(spent), 1), "worst_ms": round(max(spent), 1), "reply_kb": round(size, 1)}


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=100_000, help="about how many are stored (100000)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    chosen = parser.parse_args()
    found = measure(chosen.windows)
    if chosen.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['windows']} windows; CPU time, median of {REPEATS} and worst")
    for what, figures in found["questions"].items():
        print(f"{what:32} {figures['cpu_ms']:8.1f} ms {figures['worst_ms']:8.1f} ms {figures['reply_kb']:8.1f} KB")


if __name__ == "__main__":
    main()
