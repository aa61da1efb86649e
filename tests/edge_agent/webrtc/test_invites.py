"""Join links: used once, expired, come back by a secret, and nothing on the disk that opens anything."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edge_agent.webrtc.invites import InviteBook, LinkRefused
from sentry_proto.errors import InputError, StorageError

NOW = 1_750_000_000.0
HOUR = 3600.0


@pytest.fixture
def book(tmp_path: Path) -> InviteBook:
    return InviteBook(tmp_path / "agent" / "invites.json")


def test_a_link_lets_its_participant_in_once(book: InviteBook) -> None:
    token = book.issue("P-01", NOW, HOUR)
    assert book.look(token, NOW).participant == book.look(token, NOW).participant == "P-01"
    invite, _ = book.use(token, NOW + 1)
    assert (invite.participant, invite.used) == ("P-01", NOW + 1)
    with pytest.raises(LinkRefused, match="used"):
        book.look(token, NOW + 2)
    with pytest.raises(LinkRefused, match="used"):
        book.use(token, NOW + 2)


def test_a_link_expires(book: InviteBook) -> None:
    token = book.issue("P-01", NOW, HOUR)
    assert book.look(token, NOW + HOUR - 1)
    with pytest.raises(LinkRefused, match="expired"):
        book.use(token, NOW + HOUR)


@pytest.mark.parametrize("token", ["", "x", "x" * 32, "ä"])
def test_a_guess_opens_nothing(book: InviteBook, token: str) -> None:
    book.issue("P-01", NOW, HOUR)
    with pytest.raises(LinkRefused, match="unknown"):
        book.look(token, NOW)
    with pytest.raises(LinkRefused, match="unknown"):
        book.come_back(token)


def test_the_browser_that_used_a_link_comes_back_until_it_is_over(book: InviteBook) -> None:
    invite, secret = book.use(book.issue("P-01", NOW, HOUR), NOW)
    later = InviteBook(book._path)  # the agent was started anew
    assert later.come_back(secret) == later.come_back(secret) == invite
    later.end(invite.token, NOW + 5)
    with pytest.raises(LinkRefused, match="over"):
        book.come_back(secret)


def test_an_open_link_has_no_secret_that_an_empty_one_would_match(book: InviteBook) -> None:
    book.issue("P-01", NOW, HOUR)
    with pytest.raises(LinkRefused, match="unknown"):
        book.come_back("")


def test_the_file_opens_nothing(book: InviteBook) -> None:
    token = book.issue("P-01", NOW, HOUR)
    _, secret = book.use(token, NOW)
    text = book._path.read_text()
    assert token not in text
    assert secret not in text
    assert book._path.stat().st_mode & 0o077 == 0


def test_of_many_at_once_one_gets_in(book: InviteBook) -> None:
    token = book.issue("P-01", NOW, HOUR)
    got: list[str] = []

    def attempt() -> None:
        try:
            InviteBook(book._path).use(token, NOW)
            got.append("in")
        except LinkRefused as error:
            got.append(error.reason)

    attempts = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in attempts:
        thread.start()
    for thread in attempts:
        thread.join()
    assert sorted(got) == ["in", *["used"] * 7]


def test_a_pseudonym_that_cannot_travel_gets_no_link(book: InviteBook) -> None:
    with pytest.raises(InputError, match="participant"):
        book.issue("P\n1", NOW, HOUR)


def test_a_damaged_file_is_reported_and_lets_nobody_in(book: InviteBook) -> None:
    token = book.issue("P-01", NOW, HOUR)
    book._path.write_text('[{"tok')
    with pytest.raises(StorageError, match=r"invites\.json"):
        book.look(token, NOW)
