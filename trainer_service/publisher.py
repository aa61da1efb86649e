"""Publishing a bundle: target, heads, snapshot, timestamp, in this order, each on the disk before the next.

The timestamp is what agents read first, and the only file that is ever replaced; all others have new names. So a
trainer that is killed at any step leaves the old state valid, and the next publication starts from there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp

from sentry_proto.bundle import TARGET
from sentry_proto.durable import write_durable
from trainer_service.repository import (
    HEADS,
    ONLINE_LIFE,
    TIMESTAMP_LIFE,
    OnlineSigners,
    expiry,
    sign,
    target_path,
)

KEPT = 20
"""How many old states stay on the disk for agents that are in the middle of fetching one."""


class Publisher:
    """The one writer of the update repository."""

    def __init__(
        self, folder: Path, signers: OnlineSigners, write: Callable[[Path, bytes], None] = write_durable
    ) -> None:
        self._metadata = folder / "metadata"
        self._targets = folder / "targets"
        self._signers = signers
        self._write = write

    def current_version(self) -> int:
        """The version of the bundle that agents are offered now; 0 for none."""
        offered = self._heads(self._snapshot(self._timestamp())).targets.get(TARGET)
        return int(offered.custom["version"]) if offered else 0

    def publish(self, version: int, bundle: bytes, now: datetime) -> None:
        """Offer `bundle` to all agents as this version."""
        target = TargetFile.from_data(TARGET, bundle, ["sha256"])
        target.unrecognized_fields["custom"] = {"version": version}
        self._write(self._targets / target_path(TARGET, bundle), bundle)
        self._sign({TARGET: target}, now)
        self._prune()

    def renew(self, now: datetime) -> None:
        """Sign the current state again, before its signatures run out."""
        self._sign(self._heads(self._snapshot(self._timestamp())).targets, now)
        self._prune()

    def _sign(self, offered: dict[str, TargetFile], now: datetime) -> None:
        timestamp = self._timestamp()
        snapshot = self._snapshot(timestamp)
        heads = self._heads(snapshot)
        heads.targets = offered
        heads.version += 1
        heads.expires = snapshot.expires = expiry(now, ONLINE_LIFE)
        snapshot.meta[f"{HEADS}.json"] = MetaFile(heads.version)
        snapshot.version += 1
        timestamp.snapshot_meta = MetaFile(snapshot.version)
        timestamp.version += 1
        timestamp.expires = expiry(now, TIMESTAMP_LIFE)
        self._write(self._metadata / f"{heads.version}.{HEADS}.json", sign(heads, self._signers.heads))
        self._write(self._metadata / f"{snapshot.version}.snapshot.json", sign(snapshot, self._signers.snapshot))
        self._write(self._metadata / "timestamp.json", sign(timestamp, self._signers.timestamp))

    def _timestamp(self) -> Timestamp:
        return Metadata[Timestamp].from_file(str(self._metadata / "timestamp.json")).signed

    def _snapshot(self, timestamp: Timestamp) -> Snapshot:
        version = timestamp.snapshot_meta.version
        return Metadata[Snapshot].from_file(str(self._metadata / f"{version}.snapshot.json")).signed

    def _heads(self, snapshot: Snapshot) -> Targets:
        version = snapshot.meta[f"{HEADS}.json"].version
        return Metadata[Targets].from_file(str(self._metadata / f"{version}.{HEADS}.json")).signed

    def _prune(self) -> None:
        for folder, pattern in (
            (self._metadata, f"*.{HEADS}.json"),
            (self._metadata, "*.snapshot.json"),
            (self._targets / "heads", "*.onnx"),
        ):
            newest_first = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            for path in newest_first[KEPT:]:
                path.unlink(missing_ok=True)
