"""The trainer's folder: its keys, the list of those who may speak with it, and the anchors of trust.

    trainer.key          the trainer's own CURVE key and its endpoints
    enrolled.json        the allow-list (see `sentry_proto.keys.AllowList`)
    control.key          for the dashboard and the commands on this machine
    offline/             root.pem, targets.pem: needed only to change who may sign or what reads a face; keep them on
                         another medium. With several custodians each has a folder: offline/1/, offline/2/, ...
    online/              heads.pem, snapshot.pem, timestamp.pem: sign every published bundle
    repository/          what agents fetch: metadata/ and targets/
    store.sqlite         everything the trainer remembers
    journal.jsonl        what commands have changed here, until the trainer has it in its audit log

All files that hold a secret have mode 0600.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq
from platformdirs import user_data_path
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root

from sentry_proto.durable import give_to_owner, make_folders, write_durable
from sentry_proto.errors import EnvironmentFault, InputError, KeyFileError
from sentry_proto.keys import (
    CONTROL,
    ROLES,
    AllowList,
    Endpoints,
    KeyFile,
    read_private_json,
)
from trainer_service import offline_keys
from trainer_service.offline_keys import ONE_CUSTODIAN, Custody
from trainer_service.repository import OnlineSigners, create_repository, newest_version

FORMAT = 1
DEFAULT_PORT = 7710
ONLINE = ("heads", "snapshot", "timestamp")
SERVING = ".serving.lock"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Home:
    """Where everything of one trainer lies."""

    folder: Path

    @property
    def server_key(self) -> Path:
        """The trainer's own key file."""
        return self.folder / "trainer.key"

    @property
    def enrolled(self) -> Path:
        """The allow-list."""
        return self.folder / "enrolled.json"

    @property
    def control_key(self) -> Path:
        """The key of the dashboard and the commands."""
        return self.folder / "control.key"

    @property
    def offline(self) -> Path:
        """Keys that a running trainer does not need."""
        return self.folder / "offline"

    @property
    def online(self) -> Path:
        """Keys that sign what is published."""
        return self.folder / "online"

    @property
    def repository(self) -> Path:
        """The TUF repository."""
        return self.folder / "repository"

    @property
    def database(self) -> Path:
        """The store."""
        return self.folder / "store.sqlite"

    @property
    def restoring(self) -> Path:
        """There while a backup is being restored into the folder, and after a restore that was interrupted."""
        return self.folder / ".restoring"

    @property
    def journal(self) -> Path:
        """What commands have changed here."""
        return self.folder / "journal.jsonl"

    @property
    def root_metadata(self) -> Path:
        """The trust anchor that every new key file carries; agents follow the chain from any older one."""
        metadata = self.repository / "metadata"
        return metadata / f"{newest_version(metadata, Root.type)}.root.json"

    def stopped(self) -> AbstractContextManager[None]:
        """Keep the trainer from running meanwhile.

        Raises:
            EnvironmentFault: it runs.
        """
        refusal = f"a trainer runs on {self.folder}; stop it first (systemctl stop sentry-trainer), and start it after"
        return hold_lock(self.folder / SERVING, refusal)


@dataclass(frozen=True)
class ServerKey:
    """The trainer's CURVE key pair (Z85) and the endpoints under which others reach it."""

    public: str
    secret: str
    endpoints: Endpoints


def default_home() -> Path:
    """`$SENTRY_DIR`, or the place where this system keeps a user's data."""
    chosen = os.environ.get("SENTRY_DIR")
    return Path(chosen) if chosen else user_data_path("sentry") / "trainer"


def init(folder: Path, host: str, port: int, now: datetime, custody: Custody = ONE_CUSTODIAN) -> Home:
    """Make all keys of a trainer and an empty repository.

    Raises:
        InputError: if the folder holds a trainer already, the port cannot be one, or no such custody is possible.
    """
    home = Home(folder)
    custody.check()
    if not 1 <= port <= 65533:
        raise InputError(f"the port must be between 1 and 65533 (three in a row are used), not {port}")
    if home.server_key.exists() or home.offline.exists():
        raise InputError(f"{folder} already holds a trainer's keys; choose another folder or move them away")
    make_folders(home.folder, 0o700)
    offline = offline_keys.make(home.offline, custody)
    online = OnlineSigners(*(CryptoSigner.generate_ed25519() for _ in ONLINE))
    keep_online(home, online)
    create_repository(home.repository, offline, online, now)
    write_durable(home.enrolled, b"{}")
    _keep_server_key(home, ServerKey(*_new_curve_pair(), Endpoints.of(host, port)))
    enroll(home, CONTROL, home.control_key, CONTROL, now)
    return home


def enroll(home: Home, name: str, out: Path, role: str, now: datetime) -> KeyFile:
    """Write one key file and let its key in; a revoked name may be enrolled again, with a new key.

    Raises:
        InputError: if the name cannot be one or is taken, or the file exists.
        KeyFileError: if the folder holds no trainer.
    """
    server = load_server_key(home)
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot be a name: use up to 64 letters, digits, dots, dashes or underscores")
    if role not in ROLES:
        raise InputError(f"the role must be one of {', '.join(ROLES)}, not {role!r}")
    with _edit(home) as entries:
        if name in entries and entries[name]["revoked"] is None:
            raise InputError(f"{name!r} is already enrolled; give it a new key with: sentry-keys rotate agent {name}")
        key = _new_key(home, server, name, role, out)
        entries[name] = {"public": key.public, "role": role, "enrolled": _stamp(now), "revoked": None}
    return key


def rotate(home: Home, name: str, out: Path, now: datetime) -> KeyFile:
    """Give an enrolled machine a new key; a running trainer lets the old one in no more within seconds.

    Raises:
        InputError: if nobody of that name is enrolled, or the file exists.
    """
    server = load_server_key(home)
    with _edit(home) as entries:
        if name not in entries or entries[name]["revoked"] is not None:
            raise InputError(f"nobody is enrolled under the name {name!r}; see: sentry-keys list")
        key = _new_key(home, server, name, entries[name]["role"], out)
        entries[name] |= {"public": key.public, "enrolled": _stamp(now)}
    return key


def rotate_server(home: Home, folder: Path, now: datetime) -> list[Path]:
    """Give the trainer a new key of its own, and everybody a new key file, as each names the trainer's public key.

    All new files are on the disk before anything changes; the trainer's own key is replaced last.

    Returns:
        The new key files to carry to the machines; that of the commands here is replaced in its place.

    Raises:
        EnvironmentFault: the trainer runs.
        InputError: a file exists.
    """
    old = load_server_key(home)
    server = ServerKey(*_new_curve_pair(), old.endpoints)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with home.stopped(), _edit(home) as entries:
        outs = {name: folder / f"{name}.key" for name, entry in entries.items() if entry["revoked"] is None}
        for name, out in outs.items():
            key = _new_key(home, server, name, entries[name]["role"], out)
            entries[name] |= {"public": key.public, "enrolled": _stamp(now)}
        if CONTROL in outs:
            outs.pop(CONTROL).replace(home.control_key)
        _keep_server_key(home, server)
    return sorted(outs.values())


def revoke(home: Home, name: str, now: datetime) -> None:
    """Let this name's key in no more; a running trainer follows within seconds.

    Raises:
        InputError: if there is no such name or it is revoked already.
    """
    load_server_key(home)
    with _edit(home) as entries:
        if name not in entries:
            raise InputError(f"nobody is enrolled under the name {name!r}")
        if entries[name]["revoked"] is not None:
            raise InputError(f"{name!r} was already revoked on {entries[name]['revoked']}")
        entries[name]["revoked"] = _stamp(now)


def load_server_key(home: Home) -> ServerKey:
    """Read the trainer's own key.

    Raises:
        KeyFileError: if it is missing, readable by others or malformed.
    """
    if not home.server_key.exists():
        raise KeyFileError(
            f"{home.folder} holds no trainer's keys; make them with: sentry-keys init --dir {home.folder}"
        )
    raw = read_private_json(home.server_key)
    try:
        if raw["sentry_trainer"] != FORMAT:
            raise KeyFileError(f"{home.server_key} has a format that this version does not know")
        return ServerKey(str(raw["public"]), str(raw["secret"]), Endpoints(**raw["endpoints"]))
    except (KeyError, TypeError) as error:
        raise KeyFileError(f"{home.server_key} is not a trainer's key file ({error!r})") from error


def load_online_signers(home: Home) -> OnlineSigners:
    """Read the keys that sign published bundles.

    Raises:
        KeyFileError: if one is missing or no private key.
    """
    return OnlineSigners(*(offline_keys.load_signer(home.online / f"{role}.pem") for role in ONLINE))


def keep_online(home: Home, signers: OnlineSigners) -> None:
    """Write the keys that sign what is published."""
    for role in ONLINE:
        write_durable(home.online / f"{role}.pem", getattr(signers, role).private_bytes)


def load_control_key(home: Home) -> KeyFile:
    """Read the key of the commands on this machine."""
    load_server_key(home)
    return KeyFile.load(home.control_key, CONTROL)


@contextmanager
def hold_lock(path: Path, refusal: str, *, wait: bool = False) -> Iterator[None]:
    """Hold an exclusive lock that ends with this process, however it ends.

    Raises:
        EnvironmentFault: with `refusal`, if another process holds it and `wait` is false; or it is another user's.
    """
    try:
        file = path.open("a")
    except OSError as error:
        raise EnvironmentFault(f"cannot use {path}: {error.strerror}; whose is it?") from error
    with file:
        give_to_owner(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            raise EnvironmentFault(refusal) from error
        yield


@contextmanager
def _edit(home: Home) -> Iterator[dict[str, dict[str, Any]]]:
    """The allow-list's entries, written back whole if the block succeeds."""
    with hold_lock(home.folder / ".enrolled.lock", "", wait=True):
        entries = {name: dict(entry) for name, entry in AllowList(home.enrolled).entries.items()}
        yield entries
        write_durable(home.enrolled, json.dumps(entries, indent=1).encode())


def _keep_server_key(home: Home, key: ServerKey) -> None:
    server = {"sentry_trainer": FORMAT, "public": key.public, "secret": key.secret, "endpoints": asdict(key.endpoints)}
    write_durable(home.server_key, json.dumps(server, indent=1).encode())


def _new_key(home: Home, server: ServerKey, name: str, role: str, out: Path) -> KeyFile:
    if out.exists():
        raise InputError(f"{out} already exists; choose another place with --out")
    root: Mapping[str, Any] = json.loads(home.root_metadata.read_text())
    key = KeyFile(name, role, *_new_curve_pair(), server.public, server.endpoints, root)
    key.save(out)
    return key


def _new_curve_pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode("ascii"), secret.decode("ascii")


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="seconds")
