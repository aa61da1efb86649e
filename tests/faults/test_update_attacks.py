"""S3: only approved models run. A named table of attacks, over the real update server and its real socket.

Version 2 runs on an agent. Then the attack happens: to the repository, to its keys, or to the wire. The agent says why
it takes nothing, goes on scoring with version 2, and starts with version 2 again.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import zmq
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from edge_agent import doctor
from edge_agent.approved import Approved
from edge_agent.heads import Heads
from edge_agent.slots import Slots
from edge_agent.updater import SocketFetcher, UpdateClient, UpdateService
from perception.bundles import sha256
from perception.emotion import MODEL
from sentry_proto import sentry_pb2 as pb
from sentry_proto.bundle import EXPRESSION_TARGET
from sentry_proto.curve import Gatekeeper
from sentry_proto.errors import EnvironmentFault
from sentry_proto.keys import AGENT, Endpoints, KeyFile
from sentry_proto.tasks import DEFAULT_TASKS, Task
from tests.e2e.study import free_port
from tests.edge_agent.bundles import bundle, other_golden, other_model, tampered
from tests.edge_agent.trainer import eventually
from tests.sentry_proto.records import window
from trainer_service import ceremony, keyring
from trainer_service.ceremony import Offline
from trainer_service.enrolment import Enrolment
from trainer_service.keyring import ONLINE, Home
from trainer_service.offline_keys import Custody, load_signer
from trainer_service.publisher import Publisher
from trainer_service.repository import OFFLINE_LIFE, OfflineSigners, entrust, expiry, newest, sign, target_path
from trainer_service.sockets import RequestThread
from trainer_service.update_server import Updates

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=30)
STRANGER = Task("hunger", "binary", ("no", "yes"))

Answer = Callable[[bytes, str], bytes | None]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trainer with two custodians, an agent, and version 2 published; copied for each test."""
    home = keyring.init(tmp_path_factory.mktemp("lab") / "trainer", "127.0.0.1", 7710, NOW, Custody(2, 2))
    keyring.enroll(home, "lab-1", home.folder / "lab-1.key", AGENT, NOW)
    Publisher(home.repository, keyring.load_online_signers(home)).publish(2, bundle(2), NOW)
    return home.folder


@dataclass
class Scene:
    """A trainer's folder, its update server on a real socket, and an agent that runs version 2."""

    home: Home
    key: KeyFile
    folder: Path
    answer: Answer
    heads: Heads | None = None

    def __post_init__(self) -> None:
        self.repository, self.metadata = self.home.repository, self.home.repository / "metadata"
        self.approved = Approved(self.folder / "models")
        self.approved.start()
        self.fetcher = SocketFetcher(self.key)
        # The root of the key file as enrolled: nobody is enrolled anew in any of these stories.
        root = (self.metadata / "1.root.json").read_bytes()
        self.client = UpdateClient(self.folder / "updates", root, self.fetcher, self.start(), self.approved)

    def start(self) -> Slots:
        """The bundles on the disk, as a start of the agent finds them."""
        return Slots(self.folder / "bundles", partial(Heads, tasks=DEFAULT_TASKS, backbone=sha256(MODEL)))

    def check(self) -> str:
        """One check by a service of its own; what it says."""
        service = UpdateService(self.client, lambda: self.heads, self._swap)
        eventually(lambda: service.state != "not checked yet", "a check is made", within_s=30)
        service.close()
        return service.state

    def _swap(self, heads: Heads) -> None:
        self.heads = heads

    @property
    def version(self) -> int:
        return self.heads.version if self.heads else 0

    def publisher(self, *stolen: str) -> Publisher:
        """Whoever holds these of the trainer's online keys, and own ones in place of the others."""
        real = keyring.load_online_signers(self.home)
        forged = {role: CryptoSigner.generate_ed25519() for role in ONLINE if role not in stolen}
        return Publisher(self.repository, replace(real, **forged))

    def offline(self, *custodians: str) -> Offline:
        return Offline([self.home.offline / name for name in custodians], lambda _: b"")


@pytest.fixture
def scene(template: Path, tmp_path: Path) -> Iterator[Scene]:
    shutil.copytree(template, tmp_path / "trainer")
    home = Home(tmp_path / "trainer")
    key = replace(KeyFile.load(home.folder / "lab-1.key", AGENT), endpoints=Endpoints.of("127.0.0.1", free_port()))
    made = Scene(home, key, tmp_path / "agent", Updates(home.repository).answer)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    allowed, secret = Enrolment(home.enrolled), keyring.load_server_key(home).secret
    gate = Gatekeeper(context, allowed, (AGENT,))
    ends = key.endpoints.updates
    served: Answer = lambda data, name: made.answer(data, name)  # noqa: E731, PLW0108 - an attack may replace it
    server = RequestThread("updates", context, ends, secret, AGENT, allowed, served)
    server.start()
    yield made
    made.fetcher.close()
    server.stop()
    gate.close()
    context.term()


# ---- attacks on the repository


def rollback(scene: Scene) -> None:
    old = scene.repository.with_name("old")
    shutil.copytree(scene.repository, old)
    scene.publisher(*ONLINE).renew(NOW)
    scene.check()
    shutil.copytree(old, scene.repository, dirs_exist_ok=True)


def freeze(scene: Scene) -> None:
    scene.publisher(*ONLINE).publish(3, bundle(3), LONG_AGO)


def mix_and_match(scene: Scene) -> None:
    """An old snapshot under the newest name."""
    old = newest_file(scene.metadata, "snapshot.json").read_bytes()
    scene.publisher(*ONLINE).publish(3, bundle(3), NOW)
    newest_file(scene.metadata, "snapshot.json").write_bytes(old)


def mixed_heads(scene: Scene) -> None:
    """Old heads under the newest name."""
    old = newest_file(scene.metadata, "heads.json").read_bytes()
    scene.publisher(*ONLINE).publish(3, bundle(3), NOW)
    newest_file(scene.metadata, "heads.json").write_bytes(old)


def newest_file(metadata: Path, ending: str) -> Path:
    return max(metadata.glob(f"*.{ending}"), key=lambda path: int(path.name.split(".")[0]))


def damage(file: str, change: Callable[[bytes], bytes]) -> Callable[[Scene], None]:
    """Version 3 is published well, then one file of it is changed."""

    def attack(scene: Scene) -> None:
        scene.publisher(*ONLINE).publish(3, bundle(3), NOW)
        if file == "target":
            path = scene.repository / "targets" / target_path("heads/current.onnx", bundle(3))
        else:
            path = scene.metadata / file if file == "timestamp.json" else newest_file(scene.metadata, file)
        path.write_bytes(change(path.read_bytes()))

    return attack


# ---- attacks on the wire


def on_the_wire(answer: Callable[[pb.FetchRequest], pb.FetchReply | None]) -> Callable[[Scene], None]:
    """A trainer that has something new to offer, and answers like this."""

    def answered(data: bytes, _name: str) -> bytes | None:
        reply = answer(pb.FetchRequest.FromString(data))
        return reply.SerializeToString() if reply else None

    def attack(scene: Scene) -> None:
        scene.answer = answered

    return attack


def endless(request: pb.FetchRequest) -> pb.FetchReply:
    return pb.FetchReply(path=request.path, offset=request.offset, total=request.offset + 9_000, data=bytes(8_000))


def drip(request: pb.FetchRequest) -> pb.FetchReply:
    time.sleep(0.05)
    return pb.FetchReply(path=request.path, offset=request.offset, total=10_000, data=b" ")


# ---- forged roots


def forged_root(*custodians: str) -> Callable[[Scene], None]:
    """A next root that hands everything to a stranger, signed by the stranger and by these custodians."""

    def attack(scene: Scene) -> None:
        root = newest(scene.metadata, Root.type)
        signers = [CryptoSigner.generate_ed25519()]
        entrust(root, OfflineSigners(signers, signers))
        root.version += 1
        root.expires = expiry(NOW, OFFLINE_LIFE)
        for folder in scene.offline(*custodians).folders:
            signers.append(load_signer(folder / "root.pem"))
        (scene.metadata / f"{root.version}.root.json").write_bytes(sign(root, *signers))

    return attack


# ---- stolen keys


def stolen(*roles: str) -> Callable[[Scene], None]:
    """A bundle that would do, signed by whoever holds only these keys."""
    return lambda scene: scene.publisher(*roles).publish(9, bundle(9), NOW)


def signed_but(data: Callable[[], bytes]) -> Callable[[Scene], None]:
    """Whoever holds all online keys can sign this."""
    return lambda scene: scene.publisher(*ONLINE).publish(9, data(), NOW)


def other_targets(scene: Scene) -> None:
    """All online keys together sign targets that approve another expression model."""
    online, targets = keyring.load_online_signers(scene.home), newest(scene.metadata, Targets.type)
    targets.targets[EXPRESSION_TARGET] = TargetFile.from_data(EXPRESSION_TARGET, other_model(), ["sha256"])
    targets.version += 1
    signed = sign(targets, online.heads, online.snapshot, online.timestamp)
    (scene.metadata / f"{targets.version}.targets.json").write_bytes(signed)
    scene.publisher(*ONLINE).renew(NOW)


ATTACKS: dict[str, tuple[Callable[[Scene], None], str]] = {
    "rollback": (rollback, "refused: the update repository is not trustworthy"),
    "freeze": (freeze, "frozen"),
    "mix-and-match-snapshot": (mix_and_match, "refused: the update repository is not trustworthy"),
    "mix-and-match-heads": (mixed_heads, "refused: the update repository is not trustworthy"),
    "endless-data-timestamp": (
        damage("timestamp.json", lambda data: data + bytes(1 << 20)),
        "refused: the trainer sends",
    ),
    "endless-data-target": (damage("target", lambda data: data + bytes(1000)), "refused: the trainer sends"),
    "endless-data-wire": (on_the_wire(endless), "refused: the trainer sends"),
    "tampering-target": (damage("target", lambda data: data[:-1] + b"\0"), "refused: the update repository is not"),
    "tampering-timestamp": (
        damage("timestamp.json", lambda data: data.replace(b'"version":', b'"version":9')),
        "refused: the update repository is not",
    ),
    "tampering-snapshot": (
        damage("snapshot.json", lambda data: data.replace(b"targets.json", b"targetz.json")),
        "refused: the update repository is not",
    ),
    "tampering-heads": (
        damage("heads.json", lambda data: data.replace(b'"custom":', b'"Custom":')),
        "refused: the update repository is not",
    ),
    "tampering-no-json": (damage("timestamp.json", lambda _: b"\xff" * 100), "refused: the update repository is not"),
    "forged-root-by-a-stranger": (forged_root(), "refused: the update repository is not"),
    "forged-root-by-one-custodian": (forged_root("1"), "refused: the update repository is not"),
    "stolen-none": (stolen(), "refused: the update repository is not"),
    "stolen-timestamp": (stolen("timestamp"), "refused: the update repository is not"),
    "stolen-snapshot": (stolen("snapshot"), "refused: the update repository is not"),
    "stolen-heads": (stolen("heads"), "refused: the update repository is not"),
    "stolen-timestamp-and-snapshot": (stolen("timestamp", "snapshot"), "refused: the update repository is not"),
    "stolen-all-sign-other-targets": (other_targets, "refused: the update repository is not"),
    "stolen-all-wrong-layout": (
        signed_but(lambda: tampered(bundle(3), lambda m: dataclasses.replace(m, layout_id="0123456789ab"))),
        "refused: the bundle is for feature layout",
    ),
    "stolen-all-wrong-backbone": (
        signed_but(lambda: tampered(bundle(3), lambda m: dataclasses.replace(m, backbone="ab" * 32))),
        "refused: the bundle is for expression model abababababab",
    ),
    "stolen-all-unknown-task": (signed_but(lambda: bundle(3, STRANGER)), "refused: the bundle estimates"),
    "stolen-all-old-bundle": (signed_but(lambda: bundle(1, bias=3.0)), "refused: version 1 is older"),
    "stolen-all-other-computation": (
        signed_but(lambda: tampered(bundle(3), other_golden)),
        "refused: the bundle fails its golden test",
    ),
    "stolen-all-arbitrary-software": (signed_but(lambda: b"MZ" * 500), "refused: the bundle is no ONNX graph"),
    "stolen-all-expression-model-as-heads": (signed_but(other_model), "refused: the ONNX file is no Sentry bundle"),
    "slow-retrieval-silence": (on_the_wire(lambda _: None), "unreachable: the trainer's update socket does not answer"),
    "slow-retrieval-drip": (on_the_wire(drip), "unreachable: the trainer's update socket does not answer in time"),
}  # fmt: skip


QUICK = ("rollback", "freeze", "stolen-all-wrong-backbone")
"""What the fast tests try; `make test-all` tries all."""


@pytest.mark.promise("S3")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ATTACKS]
)
def test_attack_is_refused_and_the_incumbent_runs(name: str, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.updater.REPLY_S", 1.0)
    monkeypatch.setattr("edge_agent.updater.FILE_S", 1.0)
    attack, words = ATTACKS[name]
    assert (scene.check(), scene.version) == ("current", 2)
    attack(scene)
    assert scene.check().startswith(words)
    assert scene.version == 2
    assert scene.heads is not None
    assert scene.heads.score(window().features), "it goes on scoring"
    again = scene.start().start()
    assert again is not None
    assert again.version == 2
    assert scene.approved.path() is None
    assert scene.approved.words == ""


@pytest.mark.slow
@pytest.mark.promise("S3")
def test_all_online_keys_cannot_offer_an_expression_model(scene: Scene) -> None:
    """The delegation ends at heads/*: what the heads key says of models/* is nobody's word."""
    scene.check()
    online = keyring.load_online_signers(scene.home)
    data = other_model()
    path = scene.repository / "targets" / target_path(EXPRESSION_TARGET, data)
    path.parent.mkdir()
    path.write_bytes(data)
    heads, snapshot = newest(scene.metadata, "heads"), newest(scene.metadata, Snapshot.type)
    timestamp = Timestamp(expires=expiry(NOW, timedelta(days=1)), version=99, snapshot_meta=MetaFile(99))
    heads.targets[EXPRESSION_TARGET] = TargetFile.from_data(EXPRESSION_TARGET, data, ["sha256"])
    heads.version = snapshot.version = 99
    snapshot.meta["heads.json"] = MetaFile(99)
    (scene.metadata / "99.heads.json").write_bytes(sign(heads, online.heads))
    (scene.metadata / "99.snapshot.json").write_bytes(sign(snapshot, online.snapshot))
    (scene.metadata / "timestamp.json").write_bytes(sign(timestamp, online.timestamp))
    assert scene.check() == "current"
    assert scene.approved.path() is None
    assert not (scene.folder / "models").exists()


@pytest.mark.slow
@pytest.mark.promise("S3")
def test_new_keys_pass_and_then_the_stolen_ones_are_worth_nothing(scene: Scene) -> None:
    """A running agent follows new online keys, and a new root, with the key file it was enrolled with."""
    scene.check()
    thief = scene.publisher(*ONLINE)
    ceremony.rotate_online(scene.home, ONLINE, scene.offline("1", "2"), NOW)
    scene.publisher(*ONLINE).publish(3, bundle(3), NOW)
    assert (scene.check(), scene.version) == ("current", 3)
    good = scene.repository.with_name("good")
    shutil.copytree(scene.repository, good)
    thief.publish(4, bundle(4), NOW)
    assert scene.check().startswith("refused: the update repository is not")
    assert scene.version == 3
    shutil.copytree(good, scene.repository, dirs_exist_ok=True)
    ceremony.rotate_offline(scene.home, scene.offline("1", "2"), scene.home.folder / "new", Custody(3, 2), NOW)
    scene.publisher(*ONLINE).publish(5, bundle(5), NOW)
    assert (scene.check(), scene.version) == ("current", 5)


@pytest.mark.slow
@pytest.mark.promise("S3")
def test_an_expression_model_comes_by_ceremony_and_is_looked_at_on_every_load(scene: Scene, tmp_path: Path) -> None:
    scene.check()
    model = tmp_path / "other.onnx"
    model.write_bytes(other_model())
    digest = ceremony.approve(scene.home, model, scene.offline("1", "2"), NOW)
    assert scene.check() == "current; restart for the approved expression model"
    assert scene.version == 2, "heads and baselines of the run go on with the model they began with"
    started = Approved(scene.folder / "models")
    assert started.start().sha256 == digest
    assert started.words == ""
    changed = started.path()
    assert changed is not None
    changed.write_bytes(changed.read_bytes() + b"\0")
    started = Approved(scene.folder / "models")
    assert started.start().sha256 == sha256(MODEL)
    assert started.words
    assert not started.has(digest), "so the next check fetches it anew"
    ceremony.approve(scene.home, None, scene.offline("1", "2"), NOW)
    assert scene.check() == "current"
    assert Approved(scene.folder / "models").start().sha256 == sha256(MODEL)


@pytest.mark.slow
@pytest.mark.promise("S3")
def test_heads_that_were_changed_on_the_disk_do_not_start(scene: Scene) -> None:
    scene.check()
    (path,) = (scene.folder / "bundles").glob("*.onnx")
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    slots = scene.start()
    assert slots.start() is None
    assert "was changed on the disk" in slots.words


@pytest.mark.slow
@pytest.mark.promise("S3")
def test_the_doctor_says_frozen(scene: Scene) -> None:
    assert doctor.updates(scene.key) == "model version 2 is on offer, and signed"
    freeze(scene)
    with pytest.raises(EnvironmentFault, match="frozen: the update repository's signatures have run out"):
        doctor.updates(scene.key)
