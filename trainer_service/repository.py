"""The update repository's first metadata, and who signs what (The Update Framework).

    root (offline) -> targets (offline) -> delegates heads/* to -> heads (online)
                   -> snapshot, timestamp (online)

So whoever steals the online keys can sign a bundle, but never change who may sign.
"""

from __future__ import annotations

import hashlib
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

from sentry_proto.durable import write_durable

HEADS = "heads"
PATTERN = "heads/*"

OFFLINE_LIFE = timedelta(days=3650)
"""There is no routine in which a lab would bring out its offline keys, so their metadata must outlive the lab."""

ONLINE_LIFE = timedelta(days=14)
TIMESTAMP_LIFE = timedelta(days=2)
"""How long an agent may be kept from hearing of updates before it notices; signed anew every day."""


@dataclass(frozen=True)
class OfflineSigners:
    """Keys that decide who may sign."""

    root: CryptoSigner
    targets: CryptoSigner


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
    _store(metadata, "1.root.json", _root(offline, online, now), offline.root)
    _store(metadata, "1.targets.json", _targets(online, now), offline.targets)
    _store(metadata, f"1.{HEADS}.json", Targets(expires=expiry(now, ONLINE_LIFE)), online.heads)
    snapshot = Snapshot(
        expires=expiry(now, ONLINE_LIFE), meta={"targets.json": MetaFile(1), f"{HEADS}.json": MetaFile(1)}
    )
    _store(metadata, "1.snapshot.json", snapshot, online.snapshot)
    _store(metadata, "timestamp.json", Timestamp(expires=expiry(now, TIMESTAMP_LIFE)), online.timestamp)


def _root(offline: OfflineSigners, online: OnlineSigners, now: datetime) -> Root:
    root = Root(expires=expiry(now, OFFLINE_LIFE), consistent_snapshot=True)
    root.add_key(offline.root.public_key, Root.type)
    root.add_key(offline.targets.public_key, Targets.type)
    root.add_key(online.snapshot.public_key, Snapshot.type)
    root.add_key(online.timestamp.public_key, Timestamp.type)
    return root


def _targets(online: OnlineSigners, now: datetime) -> Targets:
    key = online.heads.public_key
    role = DelegatedRole(HEADS, [key.keyid], threshold=1, terminating=True, paths=[PATTERN])
    delegations = Delegations({key.keyid: key}, {HEADS: role})
    return Targets(expires=expiry(now, OFFLINE_LIFE), delegations=delegations)


def _store(folder: Path, name: str, signed: Signed, signer: CryptoSigner) -> None:
    write_durable(folder / name, sign(signed, signer))


def sign(signed: Signed, signer: CryptoSigner) -> bytes:
    """The signed metadata as it is published."""
    metadata = Metadata[Any](signed)
    metadata.sign(signer)
    return metadata.to_bytes()


def expiry(now: datetime, life: timedelta) -> datetime:
    """When metadata signed now runs out; TUF counts whole seconds."""
    return (now + life).replace(microsecond=0)


def target_path(target: str, data: bytes) -> str:
    """The file, below `targets/`, that holds this content of a target (consistent snapshots)."""
    folder, _, name = target.rpartition("/")
    return f"{folder}/{hashlib.sha256(data).hexdigest()}.{name}"
