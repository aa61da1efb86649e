"""Keys on media that are locked away: made once, brought together to change who may sign.

    FOLDER/root.pem, FOLDER/targets.pem               of the only custodian
    FOLDER/1/root.pem, FOLDER/1/targets.pem, 2/...    of several, each to go on a medium of its own

A file may be encrypted with its custodian's passphrase (PKCS #8, RFC 5958). That guards a lost medium for as long as
the passphrase is hard to guess, and no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from sentry_proto.durable import write_durable
from sentry_proto.errors import InputError, KeyFileError
from trainer_service.repository import OfflineSigners

ROLES = ("root", "targets")
SHORTEST_PASSPHRASE = 12
MOST_CUSTODIANS = 9

Ask = Callable[[Path], bytes]
"""Gives the passphrase of the keys in a folder."""


@dataclass(frozen=True)
class Custody:
    """Who keeps the offline keys.

    Attributes:
        keys: how many custodians there are.
        threshold: how many of them must come together.
        ask: gives the passphrase for each custodian's folder; None for keys that are not encrypted.
    """

    keys: int = 1
    threshold: int = 1
    ask: Ask | None = None

    def check(self) -> None:
        """Refuse what would let nobody or anybody sign.

        Raises:
            InputError: if it would.
        """
        if not 1 <= self.threshold <= self.keys <= MOST_CUSTODIANS:
            raise InputError(
                f"--root-keys must be 1 to {MOST_CUSTODIANS} and --threshold 1 to --root-keys, "
                f"not {self.keys} and {self.threshold}"
            )


ONE_CUSTODIAN = Custody()


def make(folder: Path, custody: Custody) -> OfflineSigners:
    """Make new offline keys and write them down, once all passphrases are known.

    Raises:
        InputError: a passphrase is too short.
    """
    places = [folder] if custody.keys == 1 else [folder / str(i) for i in range(1, custody.keys + 1)]
    encryptions = [_encryption(place, custody.ask) for place in places]
    made = [_make_one(place, encryption) for place, encryption in zip(places, encryptions, strict=True)]
    return OfflineSigners([root for root, _ in made], [targets for _, targets in made], custody.threshold)


def _make_one(folder: Path, encryption: KeySerializationEncryption) -> list[CryptoSigner]:
    folder.mkdir(mode=0o700, parents=True)
    signers = []
    for role in ROLES:
        key = Ed25519PrivateKey.generate()
        write_durable(folder / f"{role}.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        signers.append(CryptoSigner(key, SSlibKey.from_crypto(key.public_key())))
    return signers


def _encryption(folder: Path, ask: Ask | None) -> KeySerializationEncryption:
    if ask is None:
        return NoEncryption()
    passphrase = ask(folder)
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise InputError(f"a passphrase needs {SHORTEST_PASSPHRASE} characters; five words taken at random are good")
    return BestAvailableEncryption(passphrase)


def load(folders: Sequence[Path], role: str, ask: Ask) -> list[CryptoSigner]:
    """All keys of a role that lie in these folders or below.

    Raises:
        KeyFileError: a folder has none, or one cannot be read or does not open with its passphrase.
    """
    signers = []
    for folder in folders:
        paths = sorted(folder.rglob(f"{role}.pem"))
        if not paths:
            raise KeyFileError(f"{folder} has no {role}.pem; bring the medium and name it with --offline")
        signers += [load_signer(path, ask) for path in paths]
    return signers


def load_signer(path: Path, ask: Ask | None = None) -> CryptoSigner:
    """Read one private key.

    Raises:
        KeyFileError: it is missing, no private key, or not opened by its passphrase.
    """
    try:
        pem = path.read_bytes()
        encrypted = b"ENCRYPTED" in pem
        return CryptoSigner(load_pem_private_key(pem, ask(path.parent) if encrypted and ask else None))
    except OSError as error:
        raise KeyFileError(f"cannot read the signing key {path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        wrong = "is not opened by this passphrase" if encrypted else "is not a private key"
        raise KeyFileError(f"{path} {wrong}") from error
