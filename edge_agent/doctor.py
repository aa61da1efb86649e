"""`sentry-agent doctor`: is everything here that the agent needs? Each question gets a plain answer.

It looks through the camera for two seconds without asking for a consent: whoever calls it sits there, nothing that is
seen is stored or sent, and its answer says so. Only sizes and speeds are told of the pictures.
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zmq

from edge_agent.capture import capture
from edge_agent.policy import load_policy
from edge_agent.sources import Source, SourceOptions, open_source
from edge_agent.updater import FAILURES, SocketFetcher, in_words, offered
from perception.bundles import BUNDLES, verify
from perception.chain import Image, Perception
from perception.emotion import ExpressionModel
from perception.providers import clash, installed
from perception.schedule import Schedule
from sentry_proto import limits
from sentry_proto.codec import decode_trainer_frame, encode_agent_frame
from sentry_proto.curve import ConnectionWatch, watched_client_socket
from sentry_proto.errors import CameraError, EnvironmentFault, PeerUnreachable, SentryError
from sentry_proto.keys import AGENT, KeyFile
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.software import SOFTWARE
from sentry_proto.types import Hello, Pulse, Refusal

LOOK_S = 2.0
SILENT_S = 1.0
"""A camera from which nothing has come for so long at the end of the look hangs."""

KEPT = 4
"""Most pictures that are kept in memory for the trial; they stay as large as they come, and so cost what they cost."""

TRIAL_FRAMES = 45
NEEDED_FPS = 15.0
"""The frames a second below which blinks are missed; the schedule gives up no more than this before its last step."""

ANSWER_S = 6.0
MOST_APART_S = 5.0
"""As on the trainer's pages: clocks that are further apart are called wrong."""

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
    yield asked("camera", lambda: look(patient.source, images))
    yield asked("models", check_models)
    yield asked("runtime", lambda: check_runtime(installed()))
    yield asked("provider", lambda: f"expressions run on {ExpressionModel(provider=patient.provider).provider}")
    yield asked("speed", lambda: speed(images, patient.provider))
    yield asked("policy", lambda: load_policy().words)
    yield asked("clock", lambda: clock_words(time.time(), synchronised()))
    if patient.key is None:
        yield Finding("key", True, "no key file was named: the agent can run, and nothing leaves this machine")
        return
    path = patient.key
    yield asked("key", lambda: f"this machine is enrolled as {KeyFile.load(path, AGENT).name}")
    yield asked("trainer", lambda: reach(KeyFile.load(path, AGENT)))
    yield asked("updates", lambda: updates(KeyFile.load(path, AGENT)))


def asked(topic: str, question: Callable[[], str]) -> Finding:
    """The answer to a question, which may be any failure."""
    try:
        return Finding(topic, True, question())
    except SentryError as error:
        return Finding(topic, False, str(error))
    except Exception as error:  # one answer less, and still the others
        return Finding(topic, False, f"this could not be found out ({type(error).__name__}: {error}); please report it")


def look(spec: str, images: list[Image]) -> str:
    """Open the source and take what it gives for a while; a few of the pictures are added to `images`.

    Raises:
        CameraError: it gives no picture, or no more.
        SentryError: it cannot be opened.
    """
    stop, begin = threading.Event(), time.monotonic()
    with closing(open_source(SourceOptions(spec, "doctor", None, stop=stop))) as source:
        opened = time.monotonic()
        count, silent_s = _take(source, stop, images)
        took = time.monotonic() - opened
        stop.set()
    if not images:
        raise CameraError(f"{source.name} was opened, and gave no picture in {LOOK_S:g} s.")
    if source.live and silent_s > SILENT_S:
        raise CameraError(f"{source.name} hangs: of {took:.1f} s it gave no picture in the last {silent_s:.1f}.")
    height, width = images[0].shape[:2]
    rate = f", {count / took:.0f} frames a second" if source.live else ""
    return f"{source.name} gives {width}x{height}{rate}, {opened - begin:.1f} s after it is opened; no picture is kept"


def _take(source: Source, stop: threading.Event, images: list[Image]) -> tuple[int, float]:
    """How many pictures came, and for how many seconds none has come at the end."""
    begin = last = time.monotonic()
    frames = capture(source, stop)
    for frame in frames:
        now = time.monotonic()
        if frame is not None:
            last = now
            images.append(frame.image)
            del images[:-KEPT]
        if now - begin > LOOK_S or (not source.live and frames.read >= TRIAL_FRAMES):
            break
    return frames.read, time.monotonic() - last


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
    shown = [one for image in shown for one in (image, image ^ np.uint8(1))]  # one that stands still is not looked at
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
    """Connect to the trainer, greet it, and compare clocks.

    Raises:
        PeerUnreachable: it is not reached, or refuses.
        EnvironmentFault: one of the two clocks is wrong.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket, watch = watched_client_socket(context, key.endpoints.ingest, key)
    try:
        deadline = time.monotonic() + ANSWER_S
        while not watch.poll() and time.monotonic() < deadline and not watch.words.startswith("refused"):
            time.sleep(0.05)
        ahead_s = _greet(socket, watch, deadline)
    except PeerUnreachable as error:
        raise PeerUnreachable(f"{key.endpoints.ingest}: {error}") from error
    finally:
        watch.close()
        socket.close(0)
        context.term()
    return f"{key.endpoints.ingest} answers and knows this key; {apart_words(ahead_s)}"


def _greet(socket: zmq.Socket[bytes], watch: ConnectionWatch, deadline: float) -> float:
    """Seconds by which this clock is ahead of the trainer's; a greeting alone leaves no trace there."""
    if not watch.connected:
        raise PeerUnreachable(watch.words)
    socket.send(encode_agent_frame(Hello(limits.PROTOCOL, uuid.uuid4().hex, LAYOUT_ID, SOFTWARE)))
    while socket.poll(max(0, round(1000 * (deadline - time.monotonic())))):
        match decode_trainer_frame(socket.recv_multipart()[-1]):
            case Refusal(reason=reason):
                raise PeerUnreachable(f"refused: {reason}")
            case Pulse(time=theirs):
                return time.time() - theirs
    raise PeerUnreachable(f"connected, and it says nothing for {ANSWER_S:g} s")


def apart_words(ahead_s: float) -> str:
    """How far this clock and the trainer's are apart.

    Raises:
        EnvironmentFault: too far.
    """
    words = f"its clock and this one are {abs(ahead_s):.1f} s apart"
    if abs(ahead_s) > MOST_APART_S:
        early = "ahead" if ahead_s > 0 else "behind"
        raise EnvironmentFault(f"{words}, this one {early}: set the wrong one, or windows are filed under wrong times")
    return words


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
