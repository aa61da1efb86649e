"""The expression model that the offline keys have approved in the place of the shipped one.

    <digest>.onnx      the model, written once
    approved.json      the pointer: its digest

It is used from the next start on, because the baselines of a running agent come from the model it started with. Every
start compares the digest of the very bytes that run; one that was changed on the disk gives way to the shipped model.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from edge_agent.folder import make_folder
from perception.bundles import sha256
from perception.emotion import MODEL, ExpressionModel
from perception.providers import AUTO
from sentry_proto.durable import write_durable
from sentry_proto.errors import MalformedMessage, MissingDependency


class Approved:
    """What one agent sees faces with.

    Args:
        folder: where the approved model lies; made on the first accept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pointer = folder / "approved.json"
        self._wanted = self._read()
        self._running, self._trouble = "", ""

    def start(self, provider: str = AUTO) -> ExpressionModel:
        """The model to start with: the approved one if there is one and it is whole, else the shipped one.

        Raises:
            SentryError: the shipped one cannot be run either.
        """
        model = self._approved(provider) or ExpressionModel(provider=provider)
        self._running = model.sha256
        return model

    def path(self) -> Path | None:
        """Of the approved model, if it is the one that runs; None for the shipped one."""
        return self._file(self._wanted) if self._wanted and self._wanted == self._running else None

    @property
    def words(self) -> str:
        """What a technician should know, empty when nothing."""
        if self._trouble:
            return self._trouble
        return "" if self._running == (self._wanted or sha256(MODEL)) else "restart for the approved expression model"

    def has(self, digest: str) -> bool:
        """Whether this model is kept already, and whole."""
        return digest == self._wanted and not self._trouble

    def accept(self, data: bytes, digest: str) -> None:
        """Keep a model that the offline keys have signed.

        Raises:
            MalformedMessage: it is no expression model that runs here; the one before stays.
            StorageError: it cannot be kept.
        """
        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            file.write(data)
            file.flush()
            try:
                ExpressionModel(Path(file.name)).check()
            except MissingDependency as error:
                raise MalformedMessage(str(error)) from error
        make_folder(self._folder)
        write_durable(self._file(digest), data)
        self._point(digest)

    def withdraw(self) -> None:
        """The shipped model is in force."""
        if self._wanted:
            self._point("")

    def _approved(self, provider: str) -> ExpressionModel | None:
        if not self._wanted:
            return None
        try:
            model = ExpressionModel(self._file(self._wanted), provider)
        except MissingDependency as error:
            self._trouble = str(error)
            return None
        if model.sha256 != self._wanted:
            self._trouble = "the approved expression model was changed on the disk; the shipped one runs"
            return None
        return model

    def _point(self, digest: str) -> None:
        write_durable(self._pointer, json.dumps({"sha256": digest}).encode())
        self._wanted, self._trouble = digest, ""
        for path in self._folder.glob("*.onnx"):
            if path.name not in {f"{digest}.onnx", f"{self._running}.onnx"}:
                path.unlink(missing_ok=True)

    def _file(self, digest: str) -> Path:
        return self._folder / f"{digest}.onnx"

    def _read(self) -> str:
        try:
            return str(json.loads(self._pointer.read_text())["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""  # nothing was approved, or it will be fetched again
