from __future__ import annotations

import pytest

from sentry_proto.errors import InputError
from trainer_service import passwords


def test_only_the_password_matches_and_no_two_hashes_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = passwords.hashed("correct horse battery")
    assert kept.startswith("scrypt$32768$8$3$")
    monkeypatch.setattr(passwords, "N", 2)  # what was kept under other costs is still understood
    monkeypatch.setattr(passwords, "_NOBODYS", "scrypt$2$8$3$AAAA$AAAA")
    assert passwords.hashed("correct horse battery") != passwords.hashed("correct horse battery")
    assert passwords.matches("correct horse battery", kept)
    assert not passwords.matches("correct horse batterz", passwords.hashed("correct horse battery"))
    assert not passwords.matches("", None)


@pytest.mark.parametrize("password", ["short", "x" * 201])
def test_a_password_that_is_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(InputError, match="a password has 10 to 200 characters"):
        passwords.check(password)
