from __future__ import annotations

import pytest
import zmq

from tests.secret_scan import MARK, found_in

CURVE = zmq.curve_keypair()[1].decode()


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.py", "-----BEGIN " + "PRIVATE KEY-----", "a private key"),
        ("a.json", f'{{"secret": "{CURVE}"}}', "a CURVE secret"),
        ("a.py", "AKIA" + "A" * 16, "a cloud key"),
        ("a.md", "ghp_" + "a" * 36, "a token"),
        ("a.md", "postgresql://me:" + "hunter2@host/name", "a password in an address"),
        ("keys/trainer.key", "", "the name of a key file"),
    ],
    ids=lambda value: value if value.startswith(("a ", "the ")) else "",  # no secret, and the same in every process
)
def test_a_secret_is_found(name: str, text: str, what: str) -> None:
    assert list(found_in(name, text)) == [f"{name}:1: {what}"]


@pytest.mark.parametrize(
    "text", ["postgresql://user:password@host/name", "AKIA" + "A" * 16 + f"  # {MARK}", '"secret": "short"']
)
def test_what_is_none_is_let_pass(text: str) -> None:
    assert list(found_in("a.py", text)) == []
