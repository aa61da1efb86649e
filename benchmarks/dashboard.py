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
from trainer_service.keyring import Home, load_online_signers
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
        "alerts: alerts without a verdict": lambda: api.alerts(unjudged=True, limit=40),
        "alerts: alerts of one person": lambda: api.alerts(participant="P07", limit=40),
        "alerts: alert": lambda: api.alert(newest),
        "review: queue": lambda: api.queue("stress", "R1", 50),
        "review: progress": lambda: api.progress("stress", "R1", 0.0),
        "rates: by version": lambda: api.rates("stress"),
        "rates: by week": lambda: api.rates("stress", by="week"),
        "rates: ranking": lambda: api.ranking("stress"),
        "rates: advice": lambda: api.threshold_advice("stress", most_false_alarms_per_hour=2.0),
        "rates: agreement": lambda: api.agreement("stress"),
        "models: models": api.models,
    }


def measure(folder: Path, windows: int) -> dict[str, Any]:
    """Build the study if it is not there and ask each question `REPEATS` times; the first asking stands apart."""
    began = time.process_time()
    if not (folder / "tasks.toml").exists():
        seeded_study.build(folder, 7710, time.time(), windows)
    built = time.process_time() - began
    home = Home(folder / "trainer")
    store = Store(home.database)
    fleet = Fleet(store.last_heartbeats())
    learner: Any = Still(Rollout(store, Publisher(home.repository, load_online_signers(home))))
    api = ControlApi(store, fleet, AllowList(home.enrolled), seeded_study.TASKS, learner, time.time())
    began = time.process_time()
    api.read_ahead()
    ahead = time.process_time() - began
    found = {what: _timed(ask) for what, ask in questions(api).items()}
    stored = api.status()["windows"]
    store.close()
    return {"windows": stored, "build_cpu_s": round(built, 2), "ahead_cpu_s": round(ahead, 2), "questions": found}


def _timed(ask: Callable[[], Any]) -> dict[str, float]:
    spent = []
    for _ in range(REPEATS):
        began = time.process_time()
        answer = ask()
        spent.append(1000 * (time.process_time() - began))
    size = len(json.dumps(answer)) / 1024
    return {
        "cpu_ms": round(statistics.median(spent), 1),
        "worst_ms": round(max(spent[1:]), 1),
        "first_ms": round(spent[0], 1),
        "reply_kb": round(size, 1),
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=100_000, help="about how many are stored (100000)")
    parser.add_argument("--study", type=Path, help="a folder that keeps the study")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(chosen.study or Path(name), chosen.windows)
    if chosen.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['windows']} windows; reading ahead at the start takes {found['ahead_cpu_s']} s")
    print(f"CPU time: median of {REPEATS}, worst but the first, first, size of the reply")
    for what, figures in found["questions"].items():
        times = "".join(f"{figures[name]:8.1f} ms" for name in ("cpu_ms", "worst_ms", "first_ms"))
        print(f"{what:32}{times}{figures['reply_kb']:8.1f} KB")


if __name__ == "__main__":
    main()
