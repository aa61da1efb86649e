"""All that speaks with the trainer: outbox, uplink and updater of one agent."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection
from pathlib import Path

from edge_agent.approved import Approved
from edge_agent.heads import Heads
from edge_agent.outbox import Outbox
from edge_agent.shelf import SHELF_FILE, Shelf
from edge_agent.slots import Slots
from edge_agent.state import State, heartbeat
from edge_agent.updater import SocketFetcher, UpdateClient, UpdateService
from edge_agent.uplink import Uplink
from sentry_proto import limits
from sentry_proto.json_log import fields
from sentry_proto.keys import KeyFile
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.software import SOFTWARE
from sentry_proto.types import Heartbeat, Hello, Offset, Wanted

log = logging.getLogger(__name__)


class Link:
    """The agent's end of everything that has two ends.

    Args:
        key: this machine's.
        folder: the data folder.
        quota: most bytes of records in the outbox.
        slots: where accepted bundles go.
        state: the agent's; `heads`, `offsets` and `update_state` are written here.
        on_audit: told the audit probability that the trainer wishes for.
        on_failure: called if the connection dies of a bug.
        approved: where an approved expression model goes.
    """

    def __init__(
        self,
        key: KeyFile,
        folder: Path,
        quota: int,
        slots: Slots,
        state: State,
        on_audit: Callable[[float], None],
        on_failure: Callable[[], None],
        approved: Approved | None = None,
    ) -> None:
        self._state = state
        self.outbox, self.shelf = Outbox(folder / "outbox.sqlite", quota), Shelf(folder / SHELF_FILE)
        self._swapped = threading.Event()
        self._fetcher = SocketFetcher(key)
        root = json.dumps(key.root).encode()
        client = UpdateClient(folder / "updates", root, self._fetcher, slots, approved)
        self._updates = UpdateService(client, lambda: state.heads, self._swap)
        hello = Hello(limits.PROTOCOL, self.outbox.stream, LAYOUT_ID, SOFTWARE)
        self.uplink = Uplink(
            key, self.outbox, hello, self._heartbeat, self._announced, on_audit, self._keep, on_failure, self._swapped,
            self._fetch_from_shelf,
        )  # fmt: skip

    def forget(self, withdrawn: Collection[str]) -> None:
        """Drop what is spooled or kept under withdrawn consents."""
        if withdrawn:
            self.shelf.withdraw(withdrawn)
        if withdrawn and (gone := self.outbox.withdraw(withdrawn)):
            log.warning("%d spooled records were dropped: their consent is withdrawn", gone)

    def _fetch_from_shelf(self, wanted: tuple[Wanted, ...]) -> None:
        if found := self.shelf.take(wanted):
            self.outbox.put(found)

    def _heartbeat(self, trouble: str) -> Heartbeat:
        self._state.update_state, self._state.error = self._updates.state, trouble
        return heartbeat(self._state, self.outbox)

    def _announced(self, version: int) -> None:
        if version != self._state.version:
            self._updates.announced(version)

    def _keep(self, offsets: tuple[Offset, ...]) -> None:
        if offsets != self._state.offsets:
            log.info("personal offsets: %s", ", ".join(offset.task for offset in offsets) or "none")
        self._state.offsets = offsets

    def _swap(self, heads: Heads) -> None:
        self._state.heads = heads
        self._swapped.set()
        log.info("model version %d runs now", heads.version, extra=fields(model_version=heads.version))

    def close(self) -> None:
        """Let the spool drain for a while, then disconnect; the outbox is closed by `outbox.close`."""
        self._fetcher.abort()
        self._updates.close()
        self.uplink.close()
        self._fetcher.close()
        self.shelf.close()
        self._state.update_state = self._updates.state
