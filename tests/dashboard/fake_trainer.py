"""An in-memory trainer that speaks the control API over real CURVE sockets."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from sentry_proto.control import decode_request, encode_error, encode_result
from sentry_proto.curve import Gatekeeper, server_socket
from sentry_proto.errors import NotAllowed, RequestRefused
from sentry_proto.keys import AllowList, Endpoints, KeyFile
from sentry_proto.layout import SECOND_FEATURES
from sentry_proto.tasks import DEFAULT_TASKS, tasks_to_json
from tests.e2e.study import free_port

NOW = 1_750_000_600.0


def agent(name: str = "lab-1", **changes: Any) -> dict[str, Any]:
    """One healthy agent as `agents` lists it."""
    return {
        "name": name, "alive": True, "seen": True, "last_seen": NOW, "silent_s": 0.4, "model_version": 2,
        "update_state": "current", "camera_state": "ok", "fps": 29.7, "participant": "P01", "session": "s0001",
        "clock_rate": 1.0, "event_time": NOW, "sent": 120, "acked": 118, "spooled": 2, "dropped": 0, "frames": 9000,
        "error": "", "software": "0.1.0", "offered_version": 2, "canary": False, **changes,
    }  # fmt: skip


def never_seen(name: str = "lab-9") -> dict[str, Any]:
    """An enrolled agent that never called."""
    blank = dict.fromkeys(agent())
    return {**blank, "name": name, "alive": False, "seen": False, "offered_version": 2, "canary": False}


def window(window_id: str, **changes: Any) -> dict[str, Any]:
    """One window as `windows` lists it."""
    prediction = {
        "task": "stress", "probabilities": [0.15, 0.2, 0.65], "entropy": 0.89, "mutual_information": 0.04,
        "alerting": True,
    }  # fmt: skip
    return {
        "row": 1, "window_id": window_id, "agent": "lab-1", "participant": "P01", "session": "s0001",
        "start": NOW - 60, "end": NOW - 30, "stratum": "alert", "inclusion_probability": 1.0, "model_version": 2,
        "baseline_seconds": 60,
        "camera_states": "o" * 24 + "n" * 6, "predictions": [prediction], "labels": [], **changes,
    }  # fmt: skip


def features() -> dict[str, Any]:
    """Half a minute of every feature, unseen in its last six seconds."""
    names = [feature.name for feature in SECOND_FEATURES]

    def second(t: int) -> list[float | None]:
        if t >= 24:
            return [None] * len(names)
        return [0.3 + 0.2 * math.sin(t / 4 + i) for i in range(len(names))]

    return {"names": names, "seconds": 30, "values": [second(t) for t in range(30)]}


def rate(value: float | None, low: float | None, high: float | None, n: int, words: str = "") -> dict[str, Any]:
    """One estimate as `rates` gives it."""
    return {"value": value, "low": low, "high": high, "n": n, "enough": value is not None, "words": words}


def rates_row(version: int | None, scale: float, *, task: str = "stress") -> dict[str, Any]:
    """All four rates of one version; `scale` moves them together."""
    return {
        "task": task, "model_version": version, "windows": 840, "alerts": 36, "labelled_alerts": 30,
        "labelled_audit": 42,
        "false_positive_rate": rate(0.2 * scale, 0.12 * scale, 0.31 * scale, 42),
        "miss_rate": rate(None, None, None, 4, "not enough labels yet: 6 more"),
        "false_discovery_share": rate(0.4 * scale, 0.25 * scale, 0.57 * scale, 30),
        "false_alarms_per_hour": rate(6.0 * scale, 3.5 * scale, 9.6 * scale, 30),
        "label_free": {
            "false_positive_rate": {**rate(0.19 * scale, 0.15 * scale, 0.24 * scale, 210), "warning": None},
            "miss_rate": {**rate(0.3 * scale, 0.2 * scale, 0.42 * scale, 210), "warning": None},
            "false_discovery_share": {
                **rate(0.12 * scale, 0.06 * scale, 0.2 * scale, 60),
                "warning": "labels put it 28 points higher than the head's own confidences do (95 % interval of the "
                "difference +10 to +45): the head is not calibrated here",
            },
        },
        "calibration": {
            "bins": [
                {"said": 0.1, "was": 0.12, "low": 0.06, "high": 0.22, "n": 42},
                {"said": 0.7, "was": 0.5, "low": 0.33, "high": 0.67, "n": 30},
            ],
            "error": 0.04,
        },
        "beside": None if version is None else {
            head: {
                "windows": 200,
                "false_positive_rate": rate(value, value / 2, 2 * value, 41),
                "miss_rate": rate(None, None, None, 3, "not enough labels yet: 7 more"),
                "false_discovery_share": rate(2 * value, value, 3 * value, 21),
            }
            for head, value in (("personal", 0.11), ("generic", 0.23))
        },
    }  # fmt: skip


def advice() -> dict[str, Any]:
    """A curve of three thresholds, of which the highest is advised."""
    present, _, advised = curve = [
        {
            "threshold": threshold,
            "false_alarms_per_hour": rate(alarms, alarms / 2, 2 * alarms, 30),
            "miss_rate": rate(misses, misses / 2, 2 * misses, 72),
            "false_positive_rate": rate(alarms / 50, alarms / 100, alarms / 25, 72),
            "false_discovery_share": rate(alarms / 10, alarms / 20, alarms / 5, 30)
            if threshold < 0.8
            else rate(None, None, None, 3, "not enough labels yet: 7 more"),
        }
        for threshold, alarms, misses in ((0.6, 3.6, 0.2), (0.7, 2.4, 0.25), (0.81, 1.8, 0.3))
    ]
    words = "for at most 2 false alarms per hour use 0.81; expected ..."
    return {"threshold": 0.81, "words": words, "present": present, "expected": advised, "curve": curve}


def ranking() -> dict[str, Any]:
    """A head that tells most windows apart."""
    curve = [
        {"threshold": t, "detected": found, "false_positive_rate": false, "precision": right}
        for t, found, false, right in (
            (0.0, 1.0, 1.0, 0.1), (0.3, 0.9, 0.3, 0.25), (0.6, 0.7, 0.1, 0.44), (1.0, 0.0, 0.0, None),
        )
    ]  # fmt: skip
    return {"curve": curve, "area": 0.86, "low": 0.78, "high": 0.92, "n": 90, "events": 31, "words": ""}


def decision(row: int, verdict: str, reason: str, **changes: Any) -> dict[str, Any]:
    """One stored decision."""
    return {
        "row": row, "time": NOW - 100 + row, "trigger": "labels", "task": "stress", "verdict": verdict,
        "reason": reason, "candidate": "c" * 8, "parent": None, "version": None, "labels": 40, "people": 4,
        "metrics": {}, **changes,
    }  # fmt: skip


def model(version: int, task: str = "stress", **figures: Any) -> dict[str, Any]:
    """One published version with what the gate found of one task."""
    found = {
        "balanced_accuracy": 0.75, "brier": 0.4, "ece": 0.05, "n": 60, "people": 3,
        "incumbent": {"balanced_accuracy": 0.5}, **figures,
    }  # fmt: skip
    return {
        "version": version, "parent": version - 1, "created": NOW, "status": "current", "tasks": [task],
        "metrics": {task: found}, "live_since": NOW,
    }  # fmt: skip


def participant(name: str, **changes: Any) -> dict[str, Any]:
    """One person as `participants` lists them."""
    return {
        "participant": name, "partition": "train", "withdrawn": None, "linked": None, "windows": 10, "labels": 2,
        "self_reports": 3, "remarks": 1, "alerts": 0, **changes,
    }  # fmt: skip


def entry(row: int, action: str, actor: str, participant: str | None = None) -> dict[str, Any]:
    """One row of the audit log."""
    return {
        "row": row, "time": NOW - 60 + row, "actor": actor, "role": "key", "action": action, "target": f"target {row}",
        "participant": participant, "details": "",
    }  # fmt: skip


@dataclass
class FakeTrainer:
    """What the trainer knows; tests change it in place. `start` serves it, `stop` ends that."""

    folder: Path
    agents: list[dict[str, Any]] = field(default_factory=lambda: [agent()])
    windows: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    rates: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    agreement: dict[str, Any] = field(default_factory=dict)
    waits_for: dict[str, str] = field(default_factory=dict)
    by_time: dict[str, dict[str, Any]] = field(default_factory=dict)
    learner_state: str = "idle"
    rollout: dict[str, Any] | None = None
    system: dict[str, Any] = field(default_factory=dict)
    set_aside: int = 0
    model_version: int = 2
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    refusal: str = ""
    applied: list[tuple[str, float]] = field(default_factory=list)
    stills: list[dict[str, Any]] = field(default_factory=list)
    arrived: bool = True
    silent_on: str = ""
    kept_waiting: threading.Event = field(default_factory=threading.Event)
    ranking: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    study: dict[str, Any] = field(default_factory=lambda: {
        "purpose": "", "retention_days": None, "show_results": False, "forms": {"phq8": 14.0, "gad7": 14.0},
    })  # fmt: skip
    participants: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    recorded: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._server, self._server_secret = (k.decode() for k in zmq.curve_keypair())
        public, secret = (k.decode() for k in zmq.curve_keypair())
        self._endpoints = Endpoints.of("127.0.0.1", free_port())
        self.key_path = self.folder / "control.key"
        KeyFile("control", "control", public, secret, self._server, self._endpoints, {}).save(self.key_path)
        self._allowed = self.folder / "allowed.json"
        entry = {"public": public, "role": "control", "enrolled": 0, "revoked": None}
        self._allowed.write_text(json.dumps({"control": entry}))

    def start(self) -> FakeTrainer:
        """Serve from a thread of its own."""
        self._ending = threading.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        if not ready.wait(5):
            raise RuntimeError("the fake trainer did not start")
        return self

    def stop(self) -> None:
        """End serving; the connection is lost."""
        self._ending.set()
        self._thread.join()

    def _serve(self, ready: threading.Event) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        gatekeeper = Gatekeeper(context, AllowList(self._allowed), ("control",))
        router = server_socket(context, self._endpoints.control, self._server_secret, "control")
        ready.set()
        while not self._ending.is_set():
            if router.poll(20):
                peer, data = router.recv_multipart()
                if decode_request(data)[1] == self.silent_on:
                    self.kept_waiting.set()
                else:
                    router.send_multipart([peer, self._answer(data)])
        router.close()
        gatekeeper.close()
        context.term()

    def _answer(self, data: bytes) -> bytes:
        request_id, method, params = decode_request(data)
        try:
            handler: Callable[..., Any] | None = getattr(self, f"do_{method}", None)
            refusal = RequestRefused(f"no method {method}")
            return encode_result(request_id, handler(**params)) if handler else encode_error(request_id, refusal)
        except Exception as error:
            return encode_error(request_id, error)

    def do_status(self) -> dict[str, Any]:
        learner = {
            "state": self.learner_state, "last_run": NOW - 20, "last_verdict": "published",
            "waits_for": self.waits_for, "by_time": self.by_time, "set_aside": self.set_aside,
        }  # fmt: skip
        return {
            "software": "0.1.0", "started": NOW - 3600, "now": NOW, "tasks": tasks_to_json(DEFAULT_TASKS),
            "model_version": self.model_version, "rollout": self.rollout, "windows": len(self.windows),
            "labels": len(self.labels), "alerts": len(self.alerts), "people": 5, "learner": learner,
            "unjudged": sum(alert["verdict"] is None for alert in self.alerts),
        }  # fmt: skip

    def do_system(self) -> dict[str, Any]:
        return {"free": 8e11, "total": 1e12, "database": 5e9, "expires": {"root": NOW + 9e7}, **self.system}

    def do_agents(self) -> list[dict[str, Any]]:
        return self.agents

    def do_windows(self, limit: int = 100, **_filters: Any) -> list[dict[str, Any]]:
        return [self._with_labels(w) for w in self.windows[:limit]]

    def do_window(self, window_id: str) -> dict[str, Any]:
        found = next((w for w in self.windows if w["window_id"] == window_id), None)
        if found is None:
            raise RequestRefused(f"no window {window_id}")
        return {**self._with_labels(found), "features": features(), "stills": self.stills}

    def do_queue(self, task: str, rater: str, limit: int = 20) -> list[dict[str, Any]]:
        done = {x["window_id"] for x in self.labels.values() if x["task"] == task and x["rater"] == rater}
        return [{**w, "reason": w["stratum"]} for w in self.windows if w["window_id"] not in done][:limit]

    def do_progress(self, task: str, rater: str, since: float) -> dict[str, Any]:
        mine = [x for x in self.labels.values() if (x["task"], x["rater"]) == (task, rater)]
        left = len(self.do_queue(task, rater, 1_000))
        return {"given": sum(x["created"] >= since for x in mine), "left": left}

    def do_alerts(
        self, limit: int = 100, before: int | None = None, unjudged: bool = False, since: float = 0.0, **where: Any
    ) -> list[dict[str, Any]]:
        self.asked.append(where)
        found = [alert for alert in self._with_rows() if all(alert[name] == value for name, value in where.items())]
        found = [alert for alert in found if before is None or alert["row"] < before]
        found = [alert for alert in found if alert["start"] >= since]
        return [alert for alert in found if not unjudged or alert["verdict"] is None][:limit]

    def _with_rows(self) -> list[dict[str, Any]]:
        return [{"row": len(self.alerts) - place, **alert} for place, alert in enumerate(self.alerts)]

    def do_alert_course(self, **_filters: Any) -> dict[str, Any]:
        counted = [{"start": a["start"], "task": a["task"], "verdict": a["verdict"], "alerts": 1} for a in self.alerts]
        return {"width_s": 60, "bins": counted}

    def do_alert(self, alert_id: str) -> dict[str, Any]:
        found = next((alert for alert in self.alerts if alert["alert_id"] == alert_id), None)
        if found is None:
            raise RequestRefused(f"there is no alert {alert_id}")
        around = [{"end": found["start"] + 30.0 * step, "probability": 0.2 + 0.1 * step} for step in range(-2, 6)]
        seen = {"start": found["start"] - 30, "end": found["start"], "features": features(), "stills": self.stills}
        window = {**seen, "camera_states": "o" * 30, "moved": []} if self.arrived else None
        return {**found, "window": window, "around": around, "remarks": []}

    def do_remarks(self, **_filters: Any) -> list[dict[str, Any]]:
        return []

    def do_label(self, label_id: str, **label: Any) -> dict[str, Any]:
        fresh = label_id not in self.labels
        self.labels.setdefault(label_id, {"label_id": label_id, **label})
        return {"stored": True, "fresh": fresh}

    def do_withdraw(self, label_id: str) -> dict[str, Any]:
        return {"withdrawn": self.labels.pop(label_id, None) is not None}

    def do_self_report(
        self, report_id: str, participant: str | None = None, token: str | None = None, **said: Any
    ) -> dict[str, Any]:
        if self.refusal:
            raise RequestRefused(self.refusal)
        whose = self._whose(participant, token)
        fresh = report_id not in {report["report_id"] for report in self.reports}
        if fresh:
            blank = {"task": None, "value": None, "instrument": None, "answers": None, "score": None, "words": ""}
            self.reports.append({"report_id": report_id, "participant": whose, **blank, **said})
        shown = self.study["show_results"] and "instrument" in said
        return {"stored": True, "fresh": fresh, "result": {"score": 21, "level": "severe"} if shown else None}

    def do_answer_sheet(self, participant: str | None = None, token: str | None = None) -> dict[str, Any]:
        whose = self._whose(participant, token)
        last: dict[str, float] = {}
        for report in self.reports:
            if report["participant"] == whose:
                question = "sentence" if report.get("words") else report["instrument"] or report["task"]
                last[question] = max(report["created"], last.get(question, 0.0))
        forms = [
            {"participant": whose, "instrument": name, "every_days": days, "due": self.due.get(name, 0.0),
             "last": last.get(name), "handed_in": 0, "stretches": 1, "kept": 0}
            for name, days in self.study["forms"].items()
        ]  # fmt: skip
        results = {name: {"score": 21, "level": "severe"} for name in last if name in self.study["forms"]}
        return {
            "participant": whose, "tasks": tasks_to_json(DEFAULT_TASKS), "last": last, "forms": forms,
            "results": results if self.study["show_results"] else None,
        }  # fmt: skip

    def _whose(self, participant: str | None, token: str | None) -> str:
        if token is None:
            return str(participant)
        if token not in self.links:
            raise NotAllowed("this link is not valid any more; please ask the people who run the study for a new one")
        return self.links[token]

    def do_self_reports(self, participant: str, limit: int = 100) -> list[dict[str, Any]]:
        self.read.append(participant)
        return [report for report in reversed(self.reports) if report["participant"] == participant][:limit]

    def do_forms(self) -> list[dict[str, Any]]:
        return [
            {"participant": one["participant"], "instrument": name, "every_days": days, "last": None,
             "due": NOW - 3 * 86_400, "handed_in": 2, "stretches": 4, "kept": 2}
            for one in self.participants for name, days in self.study["forms"].items()
        ]  # fmt: skip

    def do_study(self) -> dict[str, Any]:
        return self.study

    def do_make_link(self, participant: str) -> dict[str, Any]:
        self.links[f"link-{participant}"] = participant
        return {"participant": participant, "link": f"link-{participant}"}

    def do_revoke_link(self, participant: str) -> dict[str, Any]:
        return {"participant": participant, "revoked": self.links.pop(f"link-{participant}", None) is not None}

    def do_participants(self) -> list[dict[str, Any]]:
        return self.participants

    def do_person(self, participant: str) -> dict[str, Any]:
        found = next(one for one in self.participants if one["participant"] == participant)
        shown = ("windows", "labels", "self_reports", "remarks", "alerts")
        known = [{"version": 2, "status": "current", "why": "learned from this person: stress"}]
        consents = [{"consent_id": "c" * 32, "windows": 10, "first": NOW - 600, "last": NOW}]
        linked = NOW if f"link-{participant}" in self.links else None
        return {
            "participant": participant, "withdrawn": found["withdrawn"], "linked": linked, "versions": known,
            "consents": consents, "counts": {kind: found[kind] for kind in shown},
            "recorded_by": self.recorded.get(participant, []),
        }  # fmt: skip

    def do_person_rows(self, participant: str, kind: str, after: int = 0) -> dict[str, Any]:
        return {"rows": [{"participant": participant, "kind": kind}], "after": None}

    def do_note_consent(self, participant: str, state: str) -> dict[str, Any]:
        found = next(one for one in self.participants if one["participant"] == participant)
        found["withdrawn"] = NOW if state == "withdrawn" else None
        return {"participant": participant, "state": state}

    def do_erase(self, participant: str, confirm: str) -> dict[str, Any]:
        if self.refusal:
            raise RequestRefused(self.refusal)
        self.participants = [one for one in self.participants if one["participant"] != participant]
        return {"counts": {"windows": 10, "labels": 2}, "versions": [{"version": 2}], "copies": []}

    def do_erasures(self, limit: int = 100) -> list[dict[str, Any]]:
        return []

    def do_expired(self, days: float) -> dict[str, int]:
        return {"windows": 7 if days < 100 else 0, "labels": 0}

    def do_audit_log(self, limit: int = 100, **where: Any) -> list[dict[str, Any]]:
        where.pop("since", None)
        chosen = [one for one in self.log if all(one[name] == value for name, value in where.items())]
        return chosen[:limit]

    def do_accounts(self) -> list[dict[str, Any]]:
        return [{"name": "ann", "role": "admin", "email": None, "created": NOW}]

    def do_card(self, version: int) -> dict[str, Any]:
        return {"version": version, "markdown": f"# Heads, version {version}\n\nIt is no diagnosis."}

    def do_rates(self, task: str | None = None, by: str = "model_version", **_filters: Any) -> list[dict[str, Any]]:
        groups = {None: None, 1: "lab-1", 2: "lab-2"}
        rows = [row for row in self.rates if task in (None, row["task"])]
        return [{**row, by: groups[row["model_version"]]} if by != "model_version" else row for row in rows]

    def do_ranking(self, task: str, **where: Any) -> dict[str, Any]:
        return {"task": task, **where, **(self.ranking or ranking())}

    def do_threshold_advice(self, task: str, **_wish: Any) -> dict[str, Any]:
        return {"task": task, "model_version": self.model_version, **advice()}

    def do_agreement(self, task: str) -> dict[str, Any]:
        nobody = {"raters": 0, "windows": 0, "kappa": None}
        return {"task": task, "own": nobody, "pairs": [], "trust": {}, **self.agreement}

    def do_apply_threshold(self, task: str, threshold: float, model_version: int) -> dict[str, Any]:
        if model_version != self.model_version:
            raise RequestRefused(f"version {self.model_version} is in use by now")
        self.applied.append((task, threshold))
        self.model_version += 1
        return {"version": self.model_version}

    def do_decisions(self, limit: int = 100) -> list[dict[str, Any]]:
        return self.decisions[:limit]

    def do_models(self) -> list[dict[str, Any]]:
        return self.models

    def do_people(self) -> list[dict[str, Any]]:
        return [{"participant": "P01", "partition": "train", "windows": 10, "labels": 2}]

    def _with_labels(self, found: dict[str, Any]) -> dict[str, Any]:
        return {**found, "labels": [x for x in self.labels.values() if x["window_id"] == found["window_id"]]}


def busy(folder: Path) -> FakeTrainer:
    """A study in full swing: two agents, a queue, alerts, two versions and their rates."""
    windows = [
        window(f"{i:032x}", row=i, stratum=stratum, start=NOW - 60 * i, end=NOW - 60 * i + 30)
        for i, stratum in enumerate(("alert", "audit", "uncertain", "alert", "audit"), 1)
    ]
    alerts = [
        {
            "alert_id": f"{i:032x}", "agent": "lab-1", "participant": f"P0{i}", "session": "s0001", "task": "stress",
            "start": NOW - 60 * i, "end": None if i == 1 else NOW - 60 * i + 25, "probability": 0.9 - 0.05 * i,
            "threshold": 0.6, "model_version": 2, "window_id": f"{i:032x}", "verdict": verdict,
        }
        for i, verdict in enumerate((None, None, "true alarm", "false alarm", "true alarm"), 1)
    ]  # fmt: skip
    decisions = [
        decision(4, "published", "not worse than version 1 on 2 held-out people", version=2, parent=1, labels=96),
        decision(3, "refused", "macro F1 0.52 is worse than version 1's 0.60 on the holdout", parent=1, labels=70),
        decision(2, "published", "first version: better than chance on 2 held-out people", version=1, labels=40),
        decision(1, "waiting", "12 more labels from at least 2 people", labels=12, people=1),
    ]
    rates = [rates_row(None, 1.0), rates_row(2, 0.6), rates_row(1, 1.5)]
    agents = [agent(), agent("lab-2", camera_state="dark", participant="P02", alive=True), never_seen()]
    waits = {"stress": "8 more labels", "focus": "20 more labels from at least 4 people"}
    made = FakeTrainer(folder, agents, windows, alerts, decisions, rates, waits_for=waits)
    made.participants = [participant("P01"), participant("P02", withdrawn=NOW - 86_400), participant("P03", windows=0)]
    made.log = [entry(3, "retention", "the trainer"), entry(2, "rollback", "ann"), entry(1, "self_report", "", "P01")]
    return made
