"""`sentry-agent doctor`: is everything here that the agent needs? Each question gets a plain answer."""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zmq

from edge_agent.policy import load_policy
from edge_agent.sources import SourceOptions, is_live, open_source
from edge_agent.updater import FAILURES, SocketFetcher, in_words, offered
from perception.bundles import BUNDLES, verify
from perception.chain import Image, Perception
from perception.emotion import ExpressionModel
from perception.providers import clash, installed
from perception.schedule import Schedule
from sentry_proto.curve import watched_client_socket
from sentry_proto.errors import CameraError, EnvironmentFault, PeerUnreachable, SentryError
from sentry_proto.keys import AGENT, KeyFile

LOOK_S = 2.0
TRIAL_FRAMES = 45
NEEDED_FPS = 15.0
"""The frames a second below which blinks are missed; the schedule gives up no more than this before its last step."""

ANSWER_S = 6.0
OLDEST_NOW = 1_750_000_000.0
"""Unix seconds; this software is younger."""

UNSYNCHRONISED = 5


@dataclass(frozen=True)
class Finding:
    """An answer: what was asked, whether all is well, and a sentence."""

    topic: str
    well: bool
    words: str


@dataclass(frozen=True)
class Patient:
    """What to look at: the source, the provider of the expression model, and the key file, None for no trainer."""

    source: str
    provider: str
    key: Path | None


def examine(patient: Patient) -> Iterator[Finding]:
    """All findings, one after the other as they are made."""
    images: list[Image] = []
    yield _asked("camera", lambda: look(patient.source, images))
    yield _asked("models", check_models)
    yield _asked("runtime", lambda: check_runtime(installed()))
    yield _asked("provider", lambda: f"expressions run on {ExpressionModel(provider=patient.provider).provider}")
    yield _asked("speed", lambda: speed(images, patient.provider))
    yield _asked("policy", lambda: load_policy().words)
    yield _asked("clock", lambda: clock_words(time.time(), synchronised()))
    if patient.key is None:
        yield Finding("key", True, "no key file was named: the agent can run, and nothing leaves this machine")
        return
    path = patient.key
    yield _asked("key", lambda: f"this machine is enrolled as {KeyFile.load(path, AGENT).name}")
    yield _asked("trainer", lambda: reach(KeyFile.load(path, AGENT)))
    yield _asked("updates", lambda: updates(KeyFile.load(path, AGENT)))


def _asked(topic: str, question: Callable[[], str]) -> Finding:
    try:
        return Finding(topic, True, question())
    except SentryError as error:
        return Finding(topic, False, str(error))


def look(spec: str, images: list[Image]) -> str:
    """Open the source and take what it gives for a while; the pictures are added to `images`.

    Raises:
        CameraError: it gives no picture.
        SentryError: it cannot be opened.
    """
    stop, begin = threading.Event(), time.monotonic()
    with closing(open_source(SourceOptions(spec, "doctor", None, stop=stop))) as source:
        opened = time.monotonic()
        for frame in source.frames():
            if frame is not None:
                images.append(frame.image)
            if time.monotonic() - opened > LOOK_S or (not is_live(spec) and len(images) >= TRIAL_FRAMES):
                break
        stop.set()
    if not images:
        raise CameraError(f"{source.name} was opened, and gave no picture in {LOOK_S:g} s.")
    height, width = images[0].shape[:2]
    rate = f", {len(images) / (time.monotonic() - opened):.0f} frames a second" if is_live(spec) else ""
    return f"{source.name} gives {width}x{height}{rate}, {opened - begin:.1f} s after it is opened"


def check_models() -> str:
    """Read all vendored model files whole, and load every model.

    Raises:
        MissingDependency: one is absent, damaged or does not load.
    """
    for name in BUNDLES:
        verify(name)
    Perception().close()
    return "all model files are the released ones, and load"


def check_runtime(builds: list[str]) -> str:
    """Look which builds of ONNX Runtime are installed.

    Raises:
        EnvironmentFault: two that overwrite each other.
    """
    if words := clash(builds):
        raise EnvironmentFault(words)
    return f"{' and '.join(builds) or 'a build of ONNX Runtime of your own'} is installed, and no other build beside it"


def speed(images: list[Image], provider: str) -> str:
    """How fast the live schedule goes through these pictures, or through noise where there are none.

    Raises:
        EnvironmentFault: too slowly to follow a face.
    """
    shown = images or list(np.random.default_rng(0).integers(0, 255, (2, 480, 640, 3), np.uint8))
    with Perception(expression=ExpressionModel(provider=provider), schedule=Schedule()) as chain:
        chain.process(shown[0], 0.0)
        begin = time.perf_counter()
        for i in range(TRIAL_FRAMES):
            face = chain.process(shown[i % len(shown)], (i + 1) / 30).box is not None
        rate = TRIAL_FRAMES / (time.perf_counter() - begin)
    what = "with a face" if face else "without a face, which takes less"
    if rate < NEEDED_FPS:
        raise EnvironmentFault(
            f"this machine works through {rate:.0f} frames a second {what}; blinks need {NEEDED_FPS:g}"
        )
    return f"this machine works through {rate:.0f} frames a second {what}; a camera gives 30"


def synchronised() -> bool | None:
    """Whether the system says that its clock is set by the network; None where it does not say (only Linux does)."""
    if sys.platform != "linux":
        return None
    status = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    return None if status < 0 else bool(status != UNSYNCHRONISED)


def clock_words(now: float, by_network: bool | None) -> str:
    """What there is to say of the clock.

    Raises:
        EnvironmentFault: it is in the past.
    """
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < OLDEST_NOW:
        raise EnvironmentFault(f"the clock says {stamp}, which is past: set it, or windows are filed under wrong times")
    how = {True: "set by the network", False: "not set by the network", None: "nobody says who sets it"}
    return f"it is {stamp}, {how[by_network]}"


def reach(key: KeyFile) -> str:
    """Connect to the trainer and shake hands.

    Raises:
        PeerUnreachable: it is not reached, or refuses.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket, watch = watched_client_socket(context, key.endpoints.ingest, key)
    try:
        deadline = time.monotonic() + ANSWER_S
        while not watch.poll() and time.monotonic() < deadline and not watch.words.startswith("refused"):
            time.sleep(0.05)
        if not watch.connected:
            raise PeerUnreachable(f"{key.endpoints.ingest}: {watch.words}")
        return f"{key.endpoints.ingest} answers and knows this key"
    finally:
        watch.close()
        socket.close(0)
        context.term()


def updates(key: KeyFile) -> str:
    """Whether this machine trusts what the trainer signs, and whether it is fresh; nothing is kept.

    Raises:
        EnvironmentFault: it does not, in the words that a running agent would report.
    """
    fetcher = SocketFetcher(key)
    with tempfile.TemporaryDirectory() as folder:
        try:
            version = offered(Path(folder), json.dumps(key.root).encode(), fetcher)
        except tuple(kind for kind, _ in FAILURES) as error:
            raise EnvironmentFault(in_words(error)) from error
        finally:
            fetcher.close()
    return f"model version {version} is on offer, and signed" if version else "no model is published yet"
