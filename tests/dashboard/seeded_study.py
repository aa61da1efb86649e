"""A study with known truth, put into a trainer's folder by the functions that a running trainer uses.

Six agents, twelve people, three tasks and four model versions over two weeks. Every five seconds a person is in one
class of each task; each version sees it through noise, less of it than its parent. What is alerted on, audited and sent
follows the agents' own rules, so that the rates on the pages can be compared with `Truth`.

    lab-1, lab-2  alive             lab-4  alive, no face        lab-6  alive, its clock 2 h ahead
    lab-3         alive             lab-5  silent for 40 min
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zmq
from numpy.typing import NDArray

from edge_agent.alerts import AlertBoard, Sighting
from sentry_proto import codec, limits
from sentry_proto.curve import client_socket
from sentry_proto.keys import AGENT, KeyFile
from sentry_proto.layout import LAYOUT_ID, N_MODALITIES, N_SECOND, SECOND_FEATURES, SECOND_INDEX
from sentry_proto.tasks import FOCUS, STRESS, AlertRule, Task, tasks_to_json
from sentry_proto.types import (
    Alert,
    Baseline,
    FeatureWindow,
    Heartbeat,
    Hello,
    Label,
    Prediction,
    Record,
    ScoredCount,
    Still,
    Stratum,
    Window,
)
from tests.edge_agent.bundles import bundle
from trainer_service import keyring, labels, registry
from trainer_service.publisher import Publisher
from trainer_service.store import Arrival, Store

FATIGUE = Task("fatigue", "binary", ("rested", "tired"), AlertRule(("tired",)))
TASKS = (STRESS, FOCUS, FATIGUE)
AGENTS = tuple(f"lab-{number}" for number in range(1, 7))
SILENT, FAST_CLOCK, FACELESS = "lab-5", "lab-6", "lab-4"
PEOPLE = tuple(f"P{number:02d}" for number in range(1, 13))
PICTURED = "P03"
"""Who agreed to stills."""

RATERS = {"R1": 0.97, "R2": 0.93, "R3": 0.85}
"""How often each says what was there."""

SKILL = {1: 1.0, 2: 1.7, 3: 2.2, 4: 2.9}
"""What the true class adds to its logit, by model version."""

HOP_S, WINDOW_S, SESSION_S, DAYS = 5.0, 30, 2_400.0, 14
AUDIT, UNCERTAIN = 0.05, 0.04
BATCH = 500
MOVES = {
    "stress": ("blendshape_browDown_mean", "blendshape_mouthPress_mean", "head_speed_mean"),
    "focus": ("gaze_x_spread", "head_yaw_spread"),
    "fatigue": ("blendshape_eyeBlink_mean", "slouch_mean"),
}
"""Features that rise with the class."""

Floats = NDArray[np.float64]


@dataclass
class Truth:
    """What really was there, counted over all scored windows: (task, version, event, alerting) -> windows."""

    windows: Counter[tuple[str, int, bool, bool]] = field(default_factory=Counter)
    classes: dict[str, dict[str, str]] = field(default_factory=dict)

    def share(self, task: str, version: int, *, event: bool, alerting: bool) -> float:
        """Of the windows with (or without) the event, how many alert (or do not)."""
        there = [self.windows[task, version, event, on] for on in (alerting, not alerting)]
        return there[0] / max(sum(there), 1)


@dataclass(frozen=True)
class SeededStudy:
    """Where it lies and what is true of it."""

    home: keyring.Home
    keys: dict[str, Path]
    task_file: Path
    truth: Truth
    windows: int
    alerts: int


def build(folder: Path, port: int, now: float, windows: int = 4_000, seed: int = 7) -> SeededStudy:
    """Make the study in an empty folder; `windows` is about how many are stored."""
    when = datetime.fromtimestamp(now, UTC)
    home = keyring.init(folder / "trainer", "127.0.0.1", port, when)
    keys = {name: folder / f"{name}.key" for name in AGENTS}
    for name, path in keys.items():
        keyring.enroll(home, name, path, AGENT, when)
    store = Store(home.database)
    truth = Truth()
    stored, alerts = _fill(store, truth, np.random.default_rng(seed), now, windows)
    _publish(home, store, now)
    store.close()
    return SeededStudy(home, keys, _task_file(folder / "tasks.toml"), truth, stored, alerts)


def _fill(store: Store, truth: Truth, random: np.random.Generator, now: float, wanted: int) -> tuple[int, int]:
    sent = dict.fromkeys(AGENTS, 0)
    counts: Counter[tuple[str, int, str, str, bool]] = Counter()
    totals: Counter[str] = Counter()
    pending: list[Arrival] = []
    said: list[Label] = []
    sessions = max(len(PEOPLE), round(wanted / 170))
    for number in range(sessions):
        person = number % len(PEOPLE)
        start = now - DAYS * 86_400 + (number + 0.5) / sessions * (DAYS * 86_400 - SESSION_S)
        version = 1 + min(3, 4 * number // sessions)
        agent = AGENTS[(person + number // len(PEOPLE)) % len(AGENTS)]
        for record in _session(truth, counts, random, person, number, start, version, agent):
            sent[agent] += 1
            totals[type(record).__name__] += 1
            pending.append(
                Arrival(agent, f"{AGENTS.index(agent):032x}", sent[agent], record, codec.encode_record(record))
            )
            if isinstance(record, Window):
                said += _opinions(truth, random, record)
        if len(pending) >= BATCH or number == sessions - 1:
            store.ingest(pending, now)
            pending = []
    with store.write() as connection:
        for label in said:
            labels.put(connection, label, label.created)
    store.keep_heartbeats(
        (name, heartbeat(name, seen, sent[name], _counted(counts, name)), seen)
        for name in AGENTS
        for seen in [now - (2_400 if name == SILENT else 1)]
    )
    return totals["Window"], totals["Alert"]


def _counted(counts: Counter[tuple[str, int, str, str, bool]], agent: str) -> tuple[ScoredCount, ...]:
    return tuple(ScoredCount(*key[1:], n) for key, n in counts.items() if key[0] == agent)


def heartbeat(name: str, now: float, sent: int = 0, counts: tuple[ScoredCount, ...] = ()) -> Heartbeat:
    """What an agent says of itself now."""
    ahead = 7_200.0 if name == FAST_CLOCK else 0.0
    number = AGENTS.index(name)
    return Heartbeat(
        time=now + ahead,
        stream=f"{number:032x}",
        model_version=3 if name == SILENT else 4,
        update_state="current",
        camera_state="no face" if name == FACELESS else "ok",
        fps=29.9 - 0.4 * number,
        participant=PEOPLE[number],
        session=f"s{number:04d}",
        clock_rate=1.0,
        event_time=now + ahead,
        sent=sent,
        acked=sent,
        spooled=0,
        dropped=0,
        software="0.1.0",
        frames=100_000,
        counts=counts,
    )


def _session(
    truth: Truth,
    counts: Counter[tuple[str, int, str, str, bool]],
    random: np.random.Generator,
    person: int,
    number: int,
    start: float,
    version: int,
    agent: str,
) -> Iterator[Record]:
    """What an agent sends of one session, in its order."""
    participant, steps = PEOPLE[person], int(SESSION_S / HOP_S)
    live = TASKS if version > 2 else TASKS[:2]
    states = {task.name: _states(random, len(task.classes), steps) for task in live}
    seen = {task.name: _seen(random, states[task.name], len(task.classes), SKILL[version]) for task in live}
    draws = random.random((2, steps))
    usual = _usual(person)
    board = AlertBoard()
    board.set_tasks(live, start)
    for step in range(steps):
        begin = start + HOP_S * step
        window_id = f"{number:016x}{step:016x}"
        said = [Prediction(task.name, *_stated(seen[task.name][step])) for task in live]
        changed = board.step(begin + WINDOW_S, said, Sighting(participant, f"s{number:04d}", version, window_id, "c1"))
        said = [dataclasses.replace(one, alerting=board.alerting(one.task)) for one in said]
        classes = {task.name: task.classes[states[task.name][step]] for task in live}
        for task, one in zip(live, said, strict=True):
            counts[agent, version, participant, task.name, one.alerting] += 1
            truth.windows[task.name, version, bool(task.is_event(classes[task.name])), one.alerting] += 1
        stratum, inclusion = _stratum(said, draws[:, step])
        if stratum is not None:
            truth.classes[window_id] = classes
            camera = "o" * 24 + "n" * 6 if random.random() < 0.05 else "o" * WINDOW_S
            levels = {task.name: states[task.name][step] / (len(task.classes) - 1) for task in live}
            features = FeatureWindow(
                participant, f"s{number:04d}", begin, begin + WINDOW_S, _values(random, usual, levels, agent, version),
                _coverage(camera), usual, camera,
            )  # fmt: skip
            shown = _stills(begin) if participant == PICTURED and stratum is Stratum.ALERT else ()
            yield Window(window_id, features, stratum, inclusion, version, tuple(said), "c1", AUDIT, stills=shown)
        yield from (dataclasses.replace(alert, alert_id=_alert_id(alert)) for alert in changed)
    yield from (dataclasses.replace(alert, alert_id=_alert_id(alert)) for alert in board.close(start + SESSION_S))


def _stills(begin: float) -> tuple[Still, ...]:
    """Three pictures of nobody: a grey figure before a wall."""
    picture = np.full((160, 120, 3), 205, np.uint8)
    cv2.ellipse(picture, (60, 165), (48, 70), 0, 0, 360, (120, 110, 100), -1)
    cv2.circle(picture, (60, 62), 26, (150, 160, 175), -1)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    return tuple(Still(begin + t, jpeg) for t in (2.0, 14.0, 27.0))


def _alert_id(alert: Alert) -> str:
    return f"{int(alert.window_id[:16], 16):012x}{int(alert.window_id[16:], 16):012x}{sum(map(ord, alert.task)):08x}"


def _stratum(said: list[Prediction], draws: Floats) -> tuple[Stratum | None, float]:
    if any(one.alerting for one in said):
        return Stratum.ALERT, 1.0
    if draws[0] < AUDIT:
        return Stratum.AUDIT, AUDIT
    if draws[1] < UNCERTAIN and said[0].entropy > 0.5:
        return Stratum.UNCERTAIN, UNCERTAIN
    return None, 0.0


def _states(random: np.random.Generator, classes: int, steps: int) -> NDArray[np.int64]:
    """A class for each step; it lasts about four minutes, and the events' classes are the rarer ones."""
    changes = random.random(steps) < HOP_S / 240
    common = 0.5 ** np.arange(classes) if classes != 5 else np.array([0.06, 0.1, 0.24, 0.35, 0.25])
    drawn = random.choice(classes, steps, p=common / common.sum())
    last = np.maximum.accumulate(np.where(changes, np.arange(steps), 0))
    return np.asarray(drawn[last])


def _seen(random: np.random.Generator, states: NDArray[np.int64], classes: int, skill: float) -> Floats:
    """Class probabilities [steps, classes]: the truth through noise that changes slowly, as overlapping windows do."""
    noise = random.normal(0, 1.0, (len(states), classes))
    for step in range(1, len(states)):
        noise[step] = 0.85 * noise[step - 1] + 0.53 * noise[step]
    logits = noise + 1.1 * skill * np.eye(classes)[states]
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(odds / odds.sum(1, keepdims=True))


def _stated(odds: Floats) -> tuple[tuple[float, ...], float, float]:
    entropy = float(-(odds * np.log(odds)).sum())
    return tuple(np.round(odds / odds.sum(), 6).tolist()), entropy, 0.08 * entropy


_SPAN = np.array([min(f.high - f.low, 40.0 if f.unit.startswith("deg") else 1.0) for f in SECOND_FEATURES], np.float32)
_LOW = np.array([max(f.low, -10.0 if f.unit == "deg" else 0.0) for f in SECOND_FEATURES], np.float32)


def _usual(person: int) -> Baseline:
    random = np.random.default_rng(100 + person)
    centre = _LOW + _SPAN * random.uniform(0.1, 0.4, N_SECOND).astype(np.float32)
    return Baseline(centre.astype(np.float32), (0.05 * _SPAN).astype(np.float32), 600)


def _values(
    random: np.random.Generator, usual: Baseline, levels: dict[str, float], agent: str, version: int
) -> NDArray[np.float32]:
    """Second by second around what is usual for the person, moved by the classes; lab-2 has new lamps in the end."""
    noise = random.standard_normal((WINDOW_S, N_SECOND), np.float32)
    noise[1:] += noise[:-1]
    values = usual.centre + 0.5 * usual.scale * noise
    for task, level in levels.items():
        for feature in MOVES[task]:
            values[:, SECOND_INDEX[feature]] += 4 * level * usual.scale[SECOND_INDEX[feature]]
    if agent == "lab-2" and version == max(SKILL):
        values[:, SECOND_INDEX["brightness_mean"]] += 0.35
    return np.asarray(values, np.float32)


def _coverage(camera: str) -> NDArray[np.float32]:
    coverage = np.ones((WINDOW_S, N_MODALITIES), np.float32)
    coverage[[letter != "o" for letter in camera]] = 0
    return coverage


def _opinions(truth: Truth, random: np.random.Generator, window: Window) -> Iterator[Label]:
    """What the raters said: of most windows that were drawn at random, of a few others, some of them twice."""
    share = {Stratum.AUDIT: 0.6, Stratum.ALERT: 0.12, Stratum.UNCERTAIN: 0.3}[window.stratum]
    for task in (task for task in TASKS if task.name in truth.classes[window.window_id]):
        for rater, right in RATERS.items():
            if random.random() < share / 2:
                true = truth.classes[window.window_id][task.name]
                value = true if random.random() < right else str(random.choice(task.classes))
                number = f"{task.name}-{rater}-{window.window_id}"
                yield Label(
                    number, window.window_id, task.name, value, "observer", rater, created=window.features.end + 3_600
                )


def _publish(home: keyring.Home, store: Store, now: float) -> None:
    """Four versions, each with the decisions that led to it, one refused candidate and one that waits."""
    publisher = Publisher(home.repository, keyring.load_online_signers(home))
    with store.read() as connection:
        newest = {task.name: labels.news(connection, task.name, 0, 0.0).newest for task in TASKS}
    for version, skill in SKILL.items():
        when = now - DAYS * 86_400 * (1 - (version - 1) / 4) - 600
        live = TASKS if version > 2 else TASKS[:2]
        measured = {task.name: _measured(skill - 0.2 * place, version) for place, task in enumerate(live)}
        data = bundle(version)
        model = registry.Model(version, version - 1, when, tuple(task.name for task in live), measured, data)
        with store.write() as connection:
            registry.announce(connection, model)
            registry.record(connection, (_decision(when, task, version, newest, measured[task.name]) for task in live))
        publisher.publish(version, data, datetime.fromtimestamp(now, UTC))
        with store.write() as connection:
            registry.settle(connection, version, when)
    refused = _decision(now - 7_200, STRESS, 5, newest, _measured(2.4, 5))
    words = "stress: worse than version 4 on the holdout by 0.031 in Brier score (95 % interval +0.012 to +0.050)"
    with store.write() as connection:
        registry.record(
            connection,
            [dataclasses.replace(refused, verdict=registry.REFUSED, reason=words, version=None, parent=4)],
        )


def _measured(skill: float, version: int) -> dict[str, Any]:
    accuracy = 0.5 + 0.16 * skill
    return {
        "balanced_accuracy": round(accuracy, 3),
        "brier": round(0.62 - 0.12 * skill, 3),
        "ece": round(0.11 - 0.025 * skill, 3),
        "n": 60 + 90 * version,
        "people": 2 + version // 2,
        "incumbent": {"balanced_accuracy": round(accuracy - 0.06, 3)} if version > 1 else None,
    }


def _decision(
    when: float, task: Task, version: int, newest: dict[str, int], measured: dict[str, Any]
) -> registry.Decision:
    number = [task.name for task in TASKS].index(task.name)
    better = f"{task.name}: better than version {version - 1} on the holdout by 0.04 in Brier score"
    reason = better if version > 1 else f"{task.name}: better than guessing by the frequencies of the classes"
    return registry.Decision(
        when, "labels", task.name, registry.PUBLISHED, reason, version, version - 1, version,
        80 * version + 7 * number, min(12, 4 + 2 * version), measured, newest[task.name],
    )  # fmt: skip


def _task_file(path: Path) -> Path:
    """The tasks as a lab would write them."""
    lines = []
    for entry in tasks_to_json(TASKS):
        name, rule = entry["name"], entry["alert"]
        lines += [f"[{name}]", f'kind = "{entry["kind"]}"', f"classes = {list(entry['classes'])!r}"]
        lines += [f"[{name}.alert]", f"classes = {list(rule.pop('classes'))!r}"]
        lines += [f"{key} = {value!r}" for key, value in rule.items()]
    path.write_text("\n".join(lines))
    return path


def arriving(start: float) -> Iterator[Record]:
    """What the silent agent would send from now on, session after session: windows of version 4, and alerts."""
    random = np.random.default_rng(int(start))
    for number in itertools.count(10_000):
        yield from _session(Truth(), Counter(), random, number % len(PEOPLE), number, start, 4, SILENT)
        start += SESSION_S


class LiveAgents(threading.Thread):
    """Beats for the agents that are alive, on the real wire, until `stop`."""

    def __init__(self, study: SeededStudy) -> None:
        super().__init__(name="live agents", daemon=True)
        self._keys = {name: KeyFile.load(path, AGENT) for name, path in study.keys.items() if name != SILENT}
        self._ended = threading.Event()

    def run(self) -> None:
        """Greet, then beat once a second."""
        with zmq.Context() as context:
            sockets = {name: client_socket(context, key.endpoints.ingest, key) for name, key in self._keys.items()}
            for name, socket in sockets.items():
                socket.poll(20_000, zmq.POLLOUT)  # until it is connected
                hello = Hello(limits.PROTOCOL, f"{AGENTS.index(name):032x}", LAYOUT_ID, "0.1.0")
                socket.send(codec.encode_agent_frame(hello))
            while not self._ended.wait(limits.HEARTBEAT_S):
                for name, socket in sockets.items():
                    socket.send(codec.encode_agent_frame(heartbeat(name, time.time())))
            for socket in sockets.values():
                socket.close(0)

    def stop(self) -> None:
        """Fall silent."""
        self._ended.set()
        self.join()
