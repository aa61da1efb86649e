"""The accepted model bundles on the disk: the one that runs and the one before it.

    <version>-<digest>.onnx    a bundle, written once
    slots.json                 the pointer: which bundle is current, which is previous, in how many runs the current
                               one was tried without proving itself, and what was given up

Only the pointer is ever replaced, atomically and durably, after the bundle that it names is on the disk; so a kill at
any moment leaves the old state or the new one. Nothing on the disk is trusted: every load compares the digest and
repeats the golden test, and a current bundle that fails, or that was tried `MOST_TRIALS` times and never confirmed,
gives way to the previous. It is tried when a window is laid before it: a run that ends without one, for want of a
camera or of a face, says nothing about a bundle.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from edge_agent.folder import make_folder
from edge_agent.heads import Heads
from sentry_proto.durable import write_durable
from sentry_proto.errors import LayoutMismatch, MalformedMessage, PeerFault, StorageError

MOST_TRIALS = 2

Load = Callable[[bytes], Heads]


@dataclass(frozen=True)
class Slot:
    """One bundle on the disk."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Table:
    """What the pointer file says; pure."""

    current: Slot | None = None
    previous: Slot | None = None
    trials: int = 0
    given_up: tuple[str, ...] = ()

    def accepted(self, slot: Slot) -> Table:
        """A new bundle becomes current; the one it replaces is kept."""
        if self.current is not None and slot.sha256 == self.current.sha256:
            return self
        return replace(self, current=slot, previous=self.current, trials=0)

    def tried(self) -> Table:
        """The current bundle is about to score."""
        return replace(self, trials=self.trials + 1)

    def confirmed(self) -> Table:
        """The current bundle has run well."""
        return replace(self, trials=0)

    def gave_up(self) -> Table:
        """The current bundle failed: back to the previous one."""
        failed = (self.current.sha256,) if self.current else ()
        return Table(self.previous, None, 0, (*self.given_up, *failed)[-16:])

    def passed_over(self) -> Table:
        """The current bundle is for another version of Sentry: back to the previous, with nothing held against it."""
        return Table(self.previous, None, 0, self.given_up)


class Slots:
    """The bundles of one agent.

    Args:
        folder: where they lie; made on the first accept.
        load: makes heads of bytes or raises; repeats every check.
        read_only: look, and leave no trace: for a run beside the agent that owns the folder.
    """

    def __init__(self, folder: Path, load: Load, read_only: bool = False) -> None:
        self._folder = folder
        self._read_only = read_only
        self._pointer = folder / "slots.json"
        self._load = load
        self._lock = threading.Lock()  # the updater accepts while the loop confirms
        self._table = self._read()
        self._version = self._tried = 0
        self.words = ""

    def start(self) -> Heads | None:
        """The heads to start with: the newest that still pass every test; None if there are none.

        `words` says afterwards what was wrong with the ones that were passed over.
        """
        while (slot := self._table.current) is not None:
            try:
                if self._table.trials >= MOST_TRIALS:
                    raise MalformedMessage(f"failed to run {MOST_TRIALS} times")
                heads = self._load_slot(slot)
            except LayoutMismatch as error:
                self.words = f"passed over {slot.file}: {error}"
                self._note(self._table.passed_over())
            except (PeerFault, StorageError) as error:
                self.words = f"gave up {slot.file}: {error}"
                self._note(self._table.gave_up())
            else:
                self._version = heads.version
                return heads
        return None

    def accept(self, bundle: bytes) -> Heads:
        """Check a bundle, keep it on the disk and make it current.

        Raises:
            PeerFault: it fails a check, or was given up before; the current one stays.
            StorageError: it cannot be written.
        """
        digest = hashlib.sha256(bundle).hexdigest()
        self.check_not_given_up(digest)
        heads = self._load(bundle)
        if heads.version < self._version:
            raise MalformedMessage(f"version {heads.version} is older than version {self._version}, which runs")
        slot = Slot(f"{heads.version}-{digest[:16]}.onnx", digest)
        make_folder(self._folder)
        write_durable(self._folder / slot.file, bundle)
        with self._lock:
            self._set(self._table.accepted(slot))
            self._version = heads.version
        self._prune()
        return heads

    def check_not_given_up(self, sha256: str) -> None:
        """Refuse a bundle that failed here.

        Raises:
            MalformedMessage: if it did.
        """
        if sha256 in self._table.given_up:
            raise MalformedMessage("the offered bundle has failed on this machine before")

    def trying(self, version: int) -> None:
        """This version is about to score: if it is current and was not tried in this run, that counts until it has."""
        if version == self._tried:
            return
        with self._lock:
            if version == self._version:
                self._tried = version
                self._note(self._table.tried())

    def confirm(self, version: int) -> None:
        """This version has scored, or ended cleanly: if it is current, its trials no longer count against it."""
        with self._lock:
            if self._table.trials and version == self._version:
                self._note(self._table.confirmed())

    def has(self, sha256: str) -> bool:
        """Whether this is the current bundle."""
        return self._table.current is not None and self._table.current.sha256 == sha256

    def _load_slot(self, slot: Slot) -> Heads:
        try:
            bundle = (self._folder / slot.file).read_bytes()
        except OSError as error:
            raise StorageError(f"cannot be read: {error.strerror}") from error
        if hashlib.sha256(bundle).hexdigest() != slot.sha256:
            raise MalformedMessage("was changed on the disk")
        return self._load(bundle)

    def _read(self) -> Table:
        try:
            raw = json.loads(self._pointer.read_text())
            slots = {name: Slot(**raw[name]) if raw[name] else None for name in ("current", "previous")}
            return Table(**slots, trials=int(raw["trials"]), given_up=tuple(raw["given_up"]))
        except FileNotFoundError:
            return Table()
        except (OSError, ValueError, KeyError, TypeError):
            return Table()  # the bundle can be fetched again; a damaged pointer must not stop the agent

    def _set(self, table: Table) -> None:
        if not self._read_only:
            write_durable(self._pointer, json.dumps(asdict(table), indent=1).encode())
        self._table = table

    def _note(self, table: Table) -> None:
        """Remember a change that is not worth stopping for on a full disk."""
        try:
            self._set(table)
        except StorageError as error:
            self._table, self.words = table, str(error)

    def _prune(self) -> None:
        named = {slot.file for slot in (self._table.current, self._table.previous) if slot}
        for path in self._folder.glob("*.onnx"):
            if path.name not in named:
                path.unlink(missing_ok=True)
