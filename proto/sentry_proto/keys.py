"""Key files and the allow-list: who may speak with whom.

A key file is one JSON file, readable by its owner only, that holds all that one machine needs: its own CURVE key
pair, the trainer's public key, the endpoints and the trust anchor for model updates. The allow-list is the trainer's
list of enrolled public keys; an identity is looked up from the key that CURVE has proven, never read from a message.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import zmq.utils.z85

from sentry_proto.durable import write_durable
from sentry_proto.errors import KeyFileError

FORMAT = 1
AGENT = "agent"
CONTROL = "control"
ROLES = (AGENT, CONTROL)


@dataclass(frozen=True)
class Endpoints:
    """Where the trainer listens, as ZeroMQ addresses."""

    ingest: str
    updates: str
    control: str

    @staticmethod
    def of(host: str, port: int) -> Endpoints:
        """Three consecutive ports from `port` on."""
        return Endpoints(*(f"tcp://{host}:{port + i}" for i in range(3)))


@dataclass(frozen=True)
class KeyFile:
    """One machine's key.

    Attributes:
        name: as enrolled.
        role: `agent` or `control`.
        public, secret: this machine's CURVE keys, Z85.
        server: the trainer's public CURVE key, Z85.
        endpoints: where the trainer listens.
        root: TUF root metadata, the trust anchor for updates.
    """

    name: str
    role: str
    public: str
    secret: str
    server: str
    endpoints: Endpoints
    root: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """Write the file with mode 0600, whole or not at all."""
        write_durable(path, json.dumps({"sentry_key": FORMAT, **asdict(self)}, indent=1).encode())

    @staticmethod
    def load(path: Path, role: str) -> KeyFile:
        """Read a key file that must be for `role`.

        Raises:
            KeyFileError: if it is missing, readable by others, malformed, or for another role.
        """
        raw = read_private_json(path)
        try:
            if raw.pop("sentry_key") != FORMAT:
                raise KeyFileError(f"{path} has a key format that this version does not know")
            key = KeyFile(**{**raw, "endpoints": Endpoints(**raw["endpoints"])})
            for text in (key.public, key.secret, key.server):
                _check_z85(text)
        except (KeyError, TypeError, ValueError) as error:
            raise KeyFileError(f"{path} is not a Sentry key file ({error!r})") from error
        if key.role != role:
            raise KeyFileError(f"{path} is a key for the role {key.role!r}, but this needs one for {role!r}")
        return key


class AllowList:
    """The enrolled keys, reread whenever the file changes.

    The file maps a name to its public key, role, date of enrolment and date of revocation (null while enrolled).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._by_key: dict[str, tuple[str, str]] = {}
        self._entries: dict[str, dict[str, Any]] = {}
        self.refresh()

    def refresh(self) -> bool:
        """Reread the file if it has changed; True if it had. A missing file allows nobody."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp:
                return False
            entries = json.loads(self.path.read_text())
            by_key = {e["public"]: (name, e["role"]) for name, e in entries.items() if e["revoked"] is None}
        except FileNotFoundError:
            stamp, entries, by_key = (0, 0), {}, {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise KeyFileError(f"cannot read the list of enrolled keys {self.path}: {error}") from error
        self._stamp, self._entries, self._by_key = stamp, entries, by_key
        return True

    def close(self) -> None:
        """Let nobody in until the file has been read again."""
        self._stamp, self._by_key = None, {}

    def name_of(self, public: str, role: str) -> str | None:
        """The name enrolled with this key for this role, or None."""
        name, found = self._by_key.get(public, (None, None))
        return name if found == role else None

    @property
    def entries(self) -> Mapping[str, Mapping[str, Any]]:
        """Every name ever enrolled, with `public`, `role`, `enrolled` and `revoked`."""
        return self._entries


def read_private_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file that nobody else may read.

    Raises:
        KeyFileError: if it is missing, readable by others or no JSON object.
    """
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileError(f"{path} can be read by other users; run: chmod 600 {path}")
        raw = json.loads(path.read_text())
    except OSError as error:
        raise KeyFileError(f"cannot read the key file {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise KeyFileError(f"{path} is not a Sentry key file: it is no JSON") from error
    if not isinstance(raw, dict):
        raise KeyFileError(f"{path} is not a Sentry key file: it holds no JSON object")
    return raw


def _check_z85(text: str) -> None:
    if len(zmq.utils.z85.decode(text.encode("ascii"))) != 32:
        raise ValueError("a CURVE key has 40 characters of Z85")
