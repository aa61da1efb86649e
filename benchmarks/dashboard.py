"""How fast the dashboard's questions are answered, on a seeded study: `python -m benchmarks.dashboard --json`.

Each entry is one request to the control API as a page makes it, from bytes to bytes, answered in this process by the
trainer's own code on a real store: CPU seconds (which other work on the machine does not change much) and the size of
the reply.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sentry_proto.control import decode_reply, encode_request, result_of
from sentry_proto.keys import AllowList
from tests.dashboard import seeded_study
from trainer_service.control_api import ControlApi
from trainer_service.fleet import Fleet
from trainer_service.keyring import Home, load_online_signers
from trainer_service.publisher import Publisher
from trainer_service.rollout import Rollout
from trainer_service.store import Store

Json = dict[str, Any]

REPEATS = 5


class Still:
    """A learner that rests, so that only the questions are measured."""

    def __init__(self, rollout: Rollout) -> None:
        self.rollout = rollout
        self.model_version = rollout.live

    def describe(self) -> dict[str, Any]:
        """Idle."""
        return {"state": "idle", "last_run": None, "last_verdict": None, "waits_for": {}}


def questions(ask: Callable[..., Any]) -> dict[str, tuple[str, Json]]:
    """What each page asks: the method, and its parameters."""
    newest = ask("alerts", limit=1)[0]["alert_id"]
    waits = ask("queue", task="stress", rater="R1", limit=1)[0]["window_id"]
    return {
        "overview: status": ("status", {}),
        "overview: agents": ("agents", {}),
        "overview: alerts": ("alerts", {"limit": 8}),
        "overview: decisions": ("decisions", {"limit": 50}),
        "alerts: people": ("people", {}),
        "alerts: timeline": ("alert_course", {}),
        "alerts: list": ("alerts", {"limit": 40}),
        "alerts: without a verdict": ("alerts", {"unjudged": True, "limit": 40}),
        "alerts: of one person": ("alerts", {"participant": "P07", "limit": 40}),
        "alerts: one alert": ("alert", {"alert_id": newest}),
        "review: queue": ("queue", {"task": "stress", "rater": "R1", "limit": 50}),
        "review: window": ("window", {"window_id": waits}),
        "review: progress": ("progress", {"task": "stress", "rater": "R1", "since": 0.0}),
        "rates: by version": ("rates", {"task": "stress"}),
        "rates: by week": ("rates", {"task": "stress", "by": "week"}),
        "rates: ranking": ("ranking", {"task": "stress"}),
        "rates: advice on a threshold": ("threshold_advice", {"task": "stress", "most_false_alarms_per_hour": 2.0}),
        "rates: agreement": ("agreement", {"task": "stress"}),
        "models: versions": ("models", {}),
        "models: card": ("card", {"version": 4}),
        "people: participants": ("participants", {}),
        "people: one person": ("person", {"participant": "P07"}),
        "audit log": ("audit_log", {"limit": 200}),
        "system: disk and signatures": ("system", {}),
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

    def ask(method: str, **params: Any) -> Any:
        return result_of(decode_reply(_answer(api, method, params)))

    found = {what: _timed(partial(_answer, api, *question)) for what, question in questions(ask).items()}
    stored = ask("status")["windows"]
    store.close()
    return {"windows": stored, "build_cpu_s": round(built, 2), "ahead_cpu_s": round(ahead, 2), "questions": found}


def _answer(api: ControlApi, method: str, params: Json) -> bytes:
    reply = api.answer(encode_request("1", method, params))
    assert reply is not None
    return reply


def _timed(ask: Callable[[], bytes]) -> dict[str, float]:
    spent = []
    for _ in range(REPEATS):
        began = time.process_time()
        answer = ask()
        spent.append(1000 * (time.process_time() - began))
    result_of(decode_reply(answer))  # which raises what went wrong
    size = len(answer) / 1024
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
