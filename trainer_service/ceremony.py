"""What needs the offline keys: who may sign, and what finds and reads a face on the agents.

Each ceremony signs everything in memory and looks whether enough custodians have signed, before it writes a file. Then
targets and root are written, then new online keys, then the current state is signed again. A kill in between leaves
agents with what they run, and with updates that they refuse until the ceremony is repeated. The trainer must not run
meanwhile; agents spool, and hear of the result when it is back, without a new key file: each new root is signed by the
one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Role, Root, Snapshot, TargetFile, Targets, Timestamp

from sentry_proto.bundle import EXPRESSION_TARGET
from sentry_proto.durable import write_durable
from sentry_proto.errors import InputError, KeyFileError
from trainer_service import keyring, offline_keys
from trainer_service.keyring import Home
from trainer_service.offline_keys import Ask, Custody
from trainer_service.publisher import Publisher
from trainer_service.repository import (
    HEADS,
    OFFLINE_LIFE,
    approved_model,
    delegate,
    entrust,
    expiry,
    newest,
    sign,
    target_path,
)


@dataclass(frozen=True)
class Offline:
    """Where the offline keys lie during a ceremony, and who is asked for passphrases."""

    folders: Sequence[Path]
    ask: Ask


def rotate_online(home: Home, roles: Collection[str], offline: Offline, now: datetime) -> None:
    """Replace keys that the trainer holds.

    Args:
        home: the trainer's folder.
        roles: of `keyring.ONLINE`.
        offline: the keys that allow it: targets for heads, root for snapshot and timestamp.
        now: time of the signatures.

    Raises:
        EnvironmentFault: the trainer runs.
        KeyFileError: not enough offline keys are there.
    """
    keyring.load_server_key(home)
    with home.stopped():
        new = {role: CryptoSigner.generate_ed25519() for role in roles}
        online = replace(keyring.load_online_signers(home), **new)
        files = []
        if HEADS in new:
            files.append(_new(home, Targets.type, offline, now, lambda targets: delegate(targets, online.heads)))
        if new.keys() & {Snapshot.type, Timestamp.type}:
            files.append(_new(home, Root.type, offline, now, lambda root: _replace_keys(root, new)))
        _write(files)
        keyring.keep_online(home, online)
        Publisher(home.repository, online).renew(now)


def rotate_offline(home: Home, offline: Offline, out: Path, custody: Custody, now: datetime) -> None:
    """Replace the offline keys by new ones in `out`, with as many custodians and as high a threshold as asked for.

    Raises:
        EnvironmentFault: the trainer runs.
        KeyFileError: not enough old keys are there.
        InputError: `out` exists, or no such custody is possible.
    """
    keyring.load_server_key(home)
    custody.check()
    if out.exists():
        raise InputError(f"{out} already exists; choose another folder with --out")
    with home.stopped():
        old = _enough(home, Root.type, offline)
        new = offline_keys.make(out, custody)
        root = _next(home, Root.type, now)
        entrust(root, new)
        targets = _next(home, Targets.type, now)
        _write(
            [
                (_metadata(home) / f"{targets.version}.targets.json", sign(targets, *new.targets)),
                (_metadata(home) / f"{root.version}.root.json", sign(root, *old, *new.root)),
            ]
        )
        Publisher(home.repository, keyring.load_online_signers(home)).renew(now)


def approve(home: Home, model: Path | None, offline: Offline, now: datetime) -> str:
    """Sign an expression model with the offline keys, so that agents see faces with it from their next start on.

    Args:
        home: the trainer's folder.
        model: an ONNX file as `perception.emotion` wants it; None to go back to the shipped one.
        offline: the targets keys.
        now: time of the signature.

    Returns:
        The model's hex SHA-256.

    Raises:
        EnvironmentFault: the trainer runs.
        KeyFileError: not enough offline keys are there.
        MissingDependency: it is no expression model.
    """
    keyring.load_server_key(home)
    data = b""
    if model is not None:
        from perception.emotion import ExpressionModel  # noqa: PLC0415 - ONNX Runtime, for this command alone

        ExpressionModel(model).check()
        data = model.read_bytes()
    with home.stopped():
        files = [_new(home, Targets.type, offline, now, lambda targets: _offer(targets, data))]
        if data:
            files.insert(0, (home.repository / "targets" / target_path(EXPRESSION_TARGET, data), data))
        _write(files)
        Publisher(home.repository, keyring.load_online_signers(home)).renew(now)
    return approved_model(home.repository)


def _offer(targets: Targets, model: bytes) -> None:
    targets.targets.pop(EXPRESSION_TARGET, None)
    if model:
        targets.targets[EXPRESSION_TARGET] = TargetFile.from_data(EXPRESSION_TARGET, model, ["sha256"])


def _new(home: Home, role: str, offline: Offline, now: datetime, change: Callable[[Any], None]) -> tuple[Path, bytes]:
    """The next version of an offline role's metadata, and where it belongs."""
    signed, signers = _next(home, role, now), _enough(home, role, offline)
    change(signed)
    return _metadata(home) / f"{signed.version}.{role}.json", sign(signed, *signers)


def _next(home: Home, role: str, now: datetime) -> Any:
    signed = newest(_metadata(home), role)
    signed.version += 1
    signed.expires = expiry(now, OFFLINE_LIFE)
    return signed


def _enough(home: Home, role: str, offline: Offline) -> list[CryptoSigner]:
    """The keys that may sign for an offline role.

    Raises:
        KeyFileError: they are not enough.
    """
    asked: Role = newest(_metadata(home), Root.type).roles[role]
    signers = {signer.public_key.keyid: signer for signer in offline_keys.load(offline.folders, role, offline.ask)}
    valid = [signer for keyid, signer in signers.items() if keyid in asked.keyids]
    if len(valid) < asked.threshold:
        raise KeyFileError(
            f"this needs {asked.threshold} of this trainer's {len(asked.keyids)} {role} keys, and {len(valid)} are "
            "here; name each custodian's folder with --offline"
        )
    return valid


def _replace_keys(root: Root, new: dict[str, CryptoSigner]) -> None:
    for role in new.keys() & {Snapshot.type, Timestamp.type}:
        for keyid in list(root.roles[role].keyids):
            root.revoke_key(keyid, role)
        root.add_key(new[role].public_key, role)


def _write(files: Sequence[tuple[Path, bytes]]) -> None:
    for path, data in files:
        write_durable(path, data)


def _metadata(home: Home) -> Path:
    return home.repository / "metadata"
