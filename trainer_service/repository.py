"""The update repository's first metadata, and who signs what (The Update Framework).

    root (offline) -> targets (offline) -> signs models/*, delegates heads/* to -> heads (online)
                   -> snapshot, timestamp (online)

So whoever steals the online keys can sign a bundle, but never change who may sign, nor what finds and reads a face.
Both offline roles may ask for the signatures of several people (`OfflineSigners.threshold`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    Targets,
    Timestamp,
)

from sentry_proto.bundle import EXPRESSION_TARGET, TIMESTAMP_LIFE_S
from sentry_proto.durable import write_durable

HEADS = "heads"
PATTERN = "heads/*"

OFFLINE_LIFE = timedelta(days=3650)
"""There is no routine in which a lab would bring out its offline keys, so their metadata must outlive the lab."""

ONLINE_LIFE = timedelta(days=14)
TIMESTAMP_LIFE = timedelta(seconds=TIMESTAMP_LIFE_S)
"""How long an agent may be kept from hearing of updates before it notices; signed anew every day."""


@dataclass(frozen=True)
class OfflineSigners:
    """Keys that decide who may sign: one of each role per custodian, of whom `threshold` must agree."""

    root: Sequence[CryptoSigner]
    targets: Sequence[CryptoSigner]
    threshold: int = 1


@dataclass(frozen=True)
class OnlineSigners:
    """Keys that a running trainer holds."""

    heads: CryptoSigner
    snapshot: CryptoSigner
    timestamp: CryptoSigner


def create_repository(folder: Path, offline: OfflineSigners, online: OnlineSigners, now: datetime) -> None:
    """Write version 1 of all metadata: a repository that offers nothing yet."""
    metadata = folder / "metadata"
    (folder / "targets").mkdir(parents=True)
    metadata.mkdir()
    root = Root(expires=expiry(now, OFFLINE_LIFE), consistent_snapshot=True)
    entrust(root, offline)
    root.add_key(online.snapshot.public_key, Snapshot.type)
    root.add_key(online.timestamp.public_key, Timestamp.type)
    targets = Targets(expires=expiry(now, OFFLINE_LIFE))
    delegate(targets, online.heads)
    snapshot = Snapshot(
        expires=expiry(now, ONLINE_LIFE), meta={"targets.json": MetaFile(1), f"{HEADS}.json": MetaFile(1)}
    )
    heads = Targets(expires=expiry(now, ONLINE_LIFE))
    timestamp = Timestamp(expires=expiry(now, TIMESTAMP_LIFE))
    for name, content in {
        "1.root.json": sign(root, *offline.root),
        "1.targets.json": sign(targets, *offline.targets),
        f"1.{HEADS}.json": sign(heads, online.heads),
        "1.snapshot.json": sign(snapshot, online.snapshot),
        "timestamp.json": sign(timestamp, online.timestamp),
    }.items():
        write_durable(metadata / name, content)


def entrust(root: Root, offline: OfflineSigners) -> None:
    """Let these keys, and no others, decide who may sign."""
    for role, signers in ((Root.type, offline.root), (Targets.type, offline.targets)):
        for keyid in list(root.roles[role].keyids):
            root.revoke_key(keyid, role)
        for signer in signers:
            root.add_key(signer.public_key, role)
        root.roles[role].threshold = offline.threshold


def delegate(targets: Targets, heads: CryptoSigner) -> None:
    """Let this key, and no other, sign heads, and nothing but heads."""
    key = heads.public_key
    role = DelegatedRole(HEADS, [key.keyid], threshold=1, terminating=True, paths=[PATTERN])
    targets.delegations = Delegations({key.keyid: key}, {HEADS: role})


def newest_version(metadata: Path, role: str) -> int:
    """The highest version of a role's metadata in this folder."""
    return max(int(path.name.partition(".")[0]) for path in metadata.glob(f"*.{role}.json"))


def newest(metadata: Path, role: str) -> Any:
    """The newest metadata of a role in this folder, unverified: the folder is our own."""
    return Metadata[Any].from_file(str(metadata / f"{newest_version(metadata, role)}.{role}.json")).signed


def approved_model(repository: Path) -> str:
    """Hex SHA-256 of the expression model that the offline keys have approved; empty for the shipped one."""
    target = newest(repository / "metadata", Targets.type).targets.get(EXPRESSION_TARGET)
    return str(target.hashes["sha256"]) if target else ""


def sign(signed: Signed, *signers: CryptoSigner) -> bytes:
    """The signed metadata as it is published."""
    metadata = Metadata[Any](signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()


def expiry(now: datetime, life: timedelta) -> datetime:
    """When metadata signed now runs out; TUF counts whole seconds."""
    return (now + life).replace(microsecond=0)


def target_path(target: str, data: bytes) -> str:
    """The file, below `targets/`, that holds this content of a target (consistent snapshots)."""
    folder, _, name = target.rpartition("/")
    return f"{folder}/{hashlib.sha256(data).hexdigest()}.{name}"
