"""Every parser of outside bytes, as one function of bytes that may only fail in the ways that are promised (S1).

The tests feed them from hypothesis, `tests.fuzz.run_atheris` from a fuzzer that is guided by coverage. By itself this
module prints them all, each after the number of inputs that `make fuzz` gives it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import pyarrow as pa
import pyarrow.parquet as pq

from edge_agent.consent import ConsentBook, describe
from edge_agent.heads import Heads
from edge_agent.updater import read_reply
from edge_agent.webrtc import messages
from perception.extract import to_table
from perception.session_features import PARQUET, STREAM, read_seconds
from perception.session_metadata import load_metadata
from perception.session_rows import read_labels, read_questionnaires
from sentry_proto import codec
from sentry_proto import sentry_pb2 as pb
from sentry_proto.bundle import METADATA_KEY, BundleMetadata
from sentry_proto.control import decode_reply, decode_request, encode_error, encode_result, result_of
from sentry_proto.errors import InputError, KeyFileError, PeerFault, SentryError, StorageError
from sentry_proto.keys import AGENT, AllowList, KeyFile
from sentry_proto.tasks import DEFAULT_TASKS, load_tasks
from sentry_proto.types import Ack, Hello, Item, Pulse, Refusal, Still, Welcome
from tests.edge_agent.bundles import bundle
from tests.perception.seconds import second
from tests.sentry_proto.records import alert, heartbeat, window
from trainer_service import backup
from trainer_service.update_server import Updates
from training.active_learning.answer_files import read_answers
from training.datasets import label_import

NOW = 1_750_000_000.0
RUNS, SLOW_RUNS = 1_000_000, 20_000
ALLOWED: dict[str, tuple[type[Exception], ...]] = {
    "peer": (PeerFault,),
    "file": (InputError,),
    "key": (KeyFileError,),
    "disk": (StorageError,),
    "answer": (SentryError,),
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


def _seconds(name: str) -> Callable[[bytes], object]:
    """A reader of a session's features."""

    def parse(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            return read_seconds(path)

    return parse


def _consents(path: Path) -> object:
    """All that is done with consent records but to change them."""
    book = ConsentBook(path)
    return [describe(record, NOW) for record in book.records], book.live("P01", NOW), book.withdrawn_ids()


def _backup(path: Path) -> object:
    with tempfile.TemporaryDirectory() as folder:
        return backup._unpack(path, Path(folder))


def _archive() -> bytes:
    """A whole backup with one file."""
    store = b"a store"
    manifest: dict[str, object] = {"sentry_backup": backup.FORMAT, "taken": "2026-06-01", "database": "sqlite"}
    manifest["files"] = {backup.DATABASE: hashlib.sha256(store).hexdigest()}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in ((backup.MANIFEST, json.dumps(manifest).encode()), (backup.DATABASE, store)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


TABLE = to_table([second(1_750_000_000), second(1_750_000_001, coverage=0.0)])


def _parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(TABLE, out)
    return out.getvalue()


def _stream() -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return out.getvalue()


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
CONSENTS = json.dumps(
    [
        {
            "consent_id": "e" * 32, "participant": "P01", "granted": NOW, "until": None, "withdrawn": None,
            "text_version": "2026-11", "video": False, "stills": True,
        }
    ]
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
    "fetch reply": Target(
        read_reply,
        ALLOWED["peer"],
        (pb.FetchReply(path="metadata/1.root.json", offset=3, total=9, data=b"signed").SerializeToString(),),
    ),
    "control reply": Target(
        lambda data: result_of(decode_reply(data)),
        ALLOWED["answer"],
        (encode_result("r", {"windows": [1, 2.5, None]}), encode_result("r", [])),
    ),
    "refusal of a control request": Target(
        lambda data: result_of(decode_reply(encode_error("r", InputError("no")) + data)), ALLOWED["answer"], ()
    ),
    "message of a participant's page": Target(
        lambda data: messages.read(_text(data)),
        ALLOWED["peer"],
        (b'{"type": "hello", "token": "t"}', b'{"type": "offer", "sdp": "m=video 9"}', b'{"type": "pause"}'),
    ),
    "consent records": Target(_as_file(_consents), ALLOWED["disk"], (CONSENTS,)),
    "backup": Target(_as_file(_backup), ALLOWED["file"], (_archive(),), slow=True),
    "features of a session": Target(_seconds(PARQUET), ALLOWED["file"], (_parquet(),), slow=True),
    "features of an interrupted session": Target(_seconds(STREAM), ALLOWED["file"], (_stream(),), slow=True),
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
