"""Every parser of outside bytes, as one function of bytes that may only fail in the ways that are promised (S1).

The tests feed them from hypothesis, `tests.fuzz.run_atheris` from a fuzzer that is guided by coverage. By itself this
module prints them all, each after the number of inputs that `make fuzz` gives it.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from edge_agent.heads import Heads
from perception.session_metadata import load_metadata
from perception.session_rows import read_labels, read_questionnaires
from sentry_proto import codec
from sentry_proto import sentry_pb2 as pb
from sentry_proto.bundle import METADATA_KEY, BundleMetadata
from sentry_proto.control import decode_request
from sentry_proto.errors import InputError, KeyFileError, PeerFault, SentryError
from sentry_proto.keys import AGENT, AllowList, KeyFile
from sentry_proto.tasks import DEFAULT_TASKS, load_tasks
from sentry_proto.types import Ack, Hello, Item, Pulse, Refusal, Still, Welcome
from tests.edge_agent.bundles import bundle
from tests.sentry_proto.records import alert, heartbeat, window
from trainer_service.update_server import Updates
from training.active_learning.answer_files import read_answers
from training.datasets import label_import

NOW = 1_750_000_000.0
RUNS, SLOW_RUNS = 1_000_000, 20_000
ALLOWED: dict[str, tuple[type[Exception], ...]] = {
    "peer": (PeerFault,),
    "file": (InputError,),
    "key": (KeyFileError,),
    "nothing": (),
}


@dataclass(frozen=True)
class Target:
    """One parser.

    Attributes:
        parse: takes any bytes.
        allowed: what it may raise.
        seeds: valid inputs, from which others are made by changing bytes.
        slow: whether a call takes milliseconds.
    """

    parse: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]
    slow: bool = False

    def __call__(self, data: bytes) -> None:
        """Parse, and let only what is not allowed escape."""
        with contextlib.suppress(*self.allowed):
            self.parse(data)


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _as_file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A reader of files as a function of bytes."""

    def parse(data: bytes) -> object:
        with tempfile.NamedTemporaryFile() as file:  # mode 0600
            Path(file.name).write_bytes(data)
            return read(Path(file.name))

    return parse


def _session(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "P01" / "s0001" / "session.json"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        return load_metadata(path)


def _metadata_text() -> bytes:
    properties = {entry.key: entry.value for entry in onnx.load_from_string(bundle(1)).metadata_props}
    return str(properties[METADATA_KEY]).encode()


CSV = "window_id,task,value,rater\n" + "0" * 32 + ",stress,calm,ann\n"
LABELS = (
    "start,end,task,value,source,rater,confidence,created\n"
    "1750000000,1750000030,stress,calm,observer,ann,1,1750000031\n"
)
QUESTIONNAIRES = "created,instrument,answers,score,level\n1750000000,gad7,0 1 2 3 0 1 2,9,mild\n"
REPORTS = (
    "created,participant,task,value,rater,source,confidence,instrument,score,answers\n"
    "1750000000,P01,stress,calm,P01,self-report,1,,,\n"
)
TASKS = '[stress]\nkind = "ordinal"\nclasses = ["calm", "stressed"]\n'
SESSION = json.dumps(
    {
        "format": 1, "session_id": "s0001", "participant": "P01", "started": 1750000000.0, "ended": None,
        "purpose": "research", "consent_id": "c", "source": "0", "fps": 30.0, "layout_id": "x", "software": "0.1.0",
        "models": {"face": "0"}, "video": None,
        "tasks": [{"name": "stress", "kind": "binary", "classes": ["no", "yes"], "alert": None}],
    }
).encode()  # fmt: skip
KEY = json.dumps(
    {
        "sentry_key": 1, "name": "lab-1", "role": "agent", "public": "0" * 40, "secret": "0" * 40, "server": "0" * 40,
        "endpoints": {"ingest": "a", "updates": "b", "control": "c"}, "root": {},
    }
).encode()  # fmt: skip
PICTURED = replace(window(seconds=2), stills=(Still(NOW + 1, b"\xff\xd8\xff picture"),))
HELLO = Hello(1, "c" * 32, "b49745dda9dd", "0.1.0")

TARGETS: dict[str, Target] = {
    "agent frame": Target(
        codec.decode_agent_frame,
        ALLOWED["peer"],
        tuple(
            codec.encode_agent_frame(f) for f in (HELLO, heartbeat(), Item("c" * 32, 7, codec.encode_record(alert())))
        ),
    ),
    "trainer frame": Target(
        codec.decode_trainer_frame,
        ALLOWED["peer"],
        tuple(
            codec.encode_trainer_frame(f)
            for f in (Welcome(1, 64, 2), Ack((1, 2)), Refusal(3, "no", "5" * 32), Pulse(1.0, 2, 0.5))
        ),
    ),
    "record": Target(
        codec.decode_record,
        ALLOWED["peer"],
        tuple(codec.encode_record(one) for one in (window(seconds=2), PICTURED, alert())),
    ),
    "control request": Target(
        decode_request,
        ALLOWED["peer"],
        (pb.ControlRequest(request_id="r", method="windows", params='{"limit": 5}').SerializeToString(),),
    ),
    "fetch request": Target(
        Updates(Path(__file__).parent).answer,
        ALLOWED["nothing"],
        (pb.FetchRequest(path="metadata/1.root.json", offset=3).SerializeToString(),),
    ),
    "bundle metadata": Target(lambda data: BundleMetadata.from_json(_text(data)), ALLOWED["peer"], (_metadata_text(),)),
    "bundle": Target(lambda data: Heads(data, DEFAULT_TASKS), ALLOWED["peer"], (bundle(1),), slow=True),
    "answers": Target(lambda data: read_answers(_text(data), NOW).answers, ALLOWED["file"], (CSV.encode(),)),
    "answers in lines": Target(
        lambda data: read_answers("{" + _text(data), NOW).answers,
        ALLOWED["file"],
        (b'"window_id": "w", "task": "stress", "value": "calm", "rater": "ann"}\n',),
    ),
    "answers of label studio": Target(
        lambda data: read_answers("[" + _text(data), NOW).answers,
        ALLOWED["file"],
        (b'{"data": {"window_id": "w", "task": "stress"}, "annotations": [{"completed_by": 1, "result": []}]}]',),
    ),
    "self-reports": Target(lambda data: list(label_import.parse(_text(data))), ALLOWED["file"], (REPORTS.encode(),)),
    "labels of a session": Target(
        lambda data: list(read_labels(data, interrupted=False)), ALLOWED["file"], (LABELS.encode(),)
    ),
    "questionnaires of a session": Target(
        lambda data: list(read_questionnaires(data, interrupted=True)), ALLOWED["file"], (QUESTIONNAIRES.encode(),)
    ),
    "session.json": Target(_session, (SentryError,), (SESSION,)),
    "task file": Target(_as_file(load_tasks), ALLOWED["file"], (TASKS.encode(),)),
    "key file": Target(_as_file(lambda path: KeyFile.load(path, AGENT)), ALLOWED["key"], (KEY,)),
    "list of enrolled keys": Target(
        _as_file(AllowList), ALLOWED["key"], (b'{"lab-1": {"public": "k", "role": "agent", "revoked": null}}',)
    ),
}


def main() -> None:
    """Print all targets."""
    for name, target in TARGETS.items():
        print(SLOW_RUNS if target.slow else RUNS, name)


if __name__ == "__main__":
    main()
