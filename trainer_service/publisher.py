"""Publishing a bundle: target, heads, snapshot, timestamp, in this order, each on the disk before the next.

The timestamp is what agents read first, and the only file that is ever replaced; all others have new names. So a
trainer that is killed at any step leaves the old state valid, and the next publication starts from there.

While a version is tried there are two timestamps: `metadata/` has that of all agents, `canary/` that of the canaries,
with their names. Every signature takes numbers above all that were ever used, and the canaries' are above the others'
for as long as a trial lasts. So each agent only ever sees numbers that rise: when it becomes a canary, when the trial's
timestamp becomes that of all, and when a further version ends the trial. A timestamp in `canary/` that is not above is
over, and counts as absent (docs/adr/0014).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp

from sentry_proto.bundle import TARGET
from sentry_proto.durable import make_folders, write_durable
from trainer_service.repository import (
    HEADS,
    ONLINE_LIFE,
    TIMESTAMP_LIFE,
    OnlineSigners,
    expiry,
    newest_version,
    sign,
    target_path,
)

CANARY, TIMESTAMP = "canary", "timestamp.json"

RENEW_AFTER = timedelta(days=1)
CLOCK_TOLERANCE = timedelta(minutes=5)
"""By which a signature may seem to be of the future."""

FLOOR = "x-sentry-floor"
"""In the metadata of heads; every later signature carries it on."""

KEPT = 20
"""How many old states stay on the disk for agents that are in the middle of fetching one."""


class Publisher:
    """The one writer of the update repository."""

    def __init__(
        self, folder: Path, signers: OnlineSigners, write: Callable[[Path, bytes], None] = write_durable
    ) -> None:
        self._metadata = folder / "metadata"
        self._for_all, self._for_canaries = self._metadata / TIMESTAMP, folder / CANARY / TIMESTAMP
        self._canaries = folder / CANARY / "agents.json"
        make_folders(self._canaries.parent)
        self._targets = folder / "targets"
        self._signers = signers
        self._write = write

    def current_version(self) -> int:
        """The version of the bundle that all agents are offered now; 0 for none."""
        return _version(self._offered(self._timestamp(self._for_all)))

    def tried_version(self) -> int:
        """The version that only canaries are offered now; 0 for none."""
        newest = self._newest()
        return _version(self._offered(newest)) if self._is_trial(newest) else 0

    def publish(self, version: int, bundle: bytes, now: datetime) -> None:
        """Offer `bundle` to all agents as this version; what was tried is over."""
        self._sign(self._for_all, self._put(version, bundle), now)
        self._for_canaries.unlink(missing_ok=True)
        self._prune()

    def try_out(self, version: int, bundle: bytes, now: datetime) -> None:
        """Offer `bundle` to canaries only; `ask` says who they are."""
        self._sign(self._for_canaries, self._put(version, bundle), now)
        self._prune()

    def ask(self, canaries: Mapping[str, float]) -> None:
        """Write down who the canaries are, and when each was asked (Unix seconds); before they are told."""
        self._write(self._canaries, json.dumps(dict(canaries)).encode())

    def canaries(self) -> dict[str, float]:
        """Who was asked last, in that order; nobody while nothing is tried."""
        asked: dict[str, float] = json.loads(self._canaries.read_bytes()) if self.tried_version() else {}
        return asked

    def promote(self) -> None:
        """Offer to all agents what is tried."""
        self._write(self._for_all, self._for_canaries.read_bytes())
        self._for_canaries.unlink()

    def renew(self, now: datetime, step: int = 1, floor: int = 0) -> None:
        """Sign the current state again, before its signatures run out.

        Args:
            now: this moment.
            step: by how much the numbers of the metadata rise.
            floor: versions of bundles up to this one count as given from now on; 0 for no change.
        """
        newest = self._newest()
        if self._is_trial(newest):
            self._sign(self._for_canaries, self._offered(newest), now, step + 1, floor=floor)
        offered = self._offered(self._timestamp(self._for_all))
        self._sign(self._for_all, offered, now, step, above=newest, floor=floor)
        self._prune()

    def fresh(self, now: datetime) -> bool:
        """Whether all was signed within the last day by this clock; not so once a wrong clock was put right."""
        places = [self._for_all, *([self._for_canaries] if self._is_trial(self._newest()) else [])]
        ages = [now - (self._timestamp(place).expires - TIMESTAMP_LIFE) for place in places]
        return all(-CLOCK_TOLERANCE < age < RENEW_AFTER for age in ages)

    def floor(self) -> int:
        """The version up to which all may have been given by a trainer whose disk was lost; 0 for none."""
        return int(self._heads(self._snapshot(self._newest())).unrecognized_fields.get(FLOOR, 0))

    def _put(self, version: int, bundle: bytes) -> dict[str, TargetFile]:
        target = TargetFile.from_data(TARGET, bundle, ["sha256"])
        target.unrecognized_fields["custom"] = {"version": version}
        self._write(self._targets / target_path(TARGET, bundle), bundle)
        return {TARGET: target}

    def _sign(
        self,
        place: Path,
        offered: dict[str, TargetFile],
        now: datetime,
        steps: int = 1,
        above: Timestamp | None = None,
        floor: int = 0,
    ) -> None:
        """Sign a state with numbers so many steps above the newest, and make `place` its timestamp."""
        timestamp = above or self._newest()
        snapshot = self._snapshot(timestamp)
        heads = self._heads(snapshot)
        heads.targets = offered
        if floor:
            heads.unrecognized_fields[FLOOR] = floor
        heads.version += steps
        heads.expires = snapshot.expires = expiry(now, ONLINE_LIFE)
        snapshot.meta[f"{HEADS}.json"] = MetaFile(heads.version)
        snapshot.meta["targets.json"] = MetaFile(newest_version(self._metadata, Targets.type))
        snapshot.version += steps
        timestamp.snapshot_meta = MetaFile(snapshot.version)
        timestamp.version += steps
        timestamp.expires = expiry(now, TIMESTAMP_LIFE)
        self._write(self._metadata / f"{heads.version}.{HEADS}.json", sign(heads, self._signers.heads))
        self._write(self._metadata / f"{snapshot.version}.snapshot.json", sign(snapshot, self._signers.snapshot))
        self._write(place, sign(timestamp, self._signers.timestamp))

    def _newest(self) -> Timestamp:
        """The timestamp of the canaries while something is tried, else that of all."""
        for_all = self._timestamp(self._for_all)
        if not self._for_canaries.exists():
            return for_all
        for_canaries = self._timestamp(self._for_canaries)
        return for_canaries if for_canaries.version > for_all.version else for_all

    def _is_trial(self, newest: Timestamp) -> bool:
        return newest.version > self._timestamp(self._for_all).version

    def _offered(self, timestamp: Timestamp) -> dict[str, TargetFile]:
        return self._heads(self._snapshot(timestamp)).targets

    def _timestamp(self, place: Path) -> Timestamp:
        return Metadata[Timestamp].from_file(str(place)).signed

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


def _version(offered: dict[str, TargetFile]) -> int:
    target = offered.get(TARGET)
    return int(target.custom["version"]) if target else 0
