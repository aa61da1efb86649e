"""Signing in, in a real browser before a real trainer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dashboard import cli, who
from tests.dashboard.fake_trainer import FakeTrainer
from tests.dashboard.test_browser import CHROMIUM, browser, page, serving_key, study
from tests.e2e.study import Study

__all__ = ["browser", "page", "study"]

PASSWORD = "a long enough one"


@pytest.fixture
def address(study: Study) -> Iterator[str]:
    """Of a dashboard that asks who you are."""
    key = study.trainer_dir / "control.key"
    with serving_key(key, study.folder / "dashboard.log", sign_in=True) as url:
        yield url


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_without_a_sign_in_it_stays_on_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = FakeTrainer(tmp_path).key_path
    assert cli.main(["--key", str(key), "--no-sign-in", "--address", "0.0.0.0"]) == 2
    assert "--no-sign-in is for this machine only" in capsys.readouterr().err


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium at /usr/bin/chromium")
def test_from_no_account_to_a_rater_who_reloads_and_leaves(page: Page, address: str, study: Study) -> None:
    page.goto(f"{address}/review")
    expect(page.get_by_text("sentry-trainer accounts add NAME --role admin")).to_be_visible()
    expect(page.get_by_role("link", name="Overview")).to_have_count(0)
    study.control.call("add_account", name="ann", role="rater", password=PASSWORD)
    study.control.call("add_account", name="vera", role="viewer", password=PASSWORD)
    sign_in(page, "ann", "not this one")
    expect(page.get_by_text("The name or the password is wrong.")).to_be_visible()
    sign_in(page, "ann")
    expect(page.get_by_role("button", name=re.compile("^Calm"))).to_be_enabled()
    expect(page.get_by_label("Rater")).to_have_value("ann")
    page.wait_for_timeout(600)
    page.get_by_role("button", name=re.compile("^Calm")).click()
    expect(page.get_by_text("Stored: calm, by ann.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name=re.compile("^Calm"))).to_be_enabled()
    (entry,) = study.control.call("audit_log", action="label")
    assert (entry["actor"], entry["role"]) == ("ann", "rater")

    page.get_by_role("link", name="ann").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password", exact=True)).to_be_visible()
    page.reload()
    sign_in(page, "vera")
    expect(page.get_by_text("Signed in as")).to_be_visible()
    expect(page.get_by_role("link", name="Review")).to_have_count(0)
    page.get_by_role("link", name="Alerts").click()
    expect(page.get_by_text("It takes the role rater to judge an alert.")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^True alarm"))).to_be_disabled()

    page.context.clear_cookies()
    page.goto(f"{address}/self-report?participant=P01")
    expect(page.get_by_text("This page needs your own link")).to_be_visible()
    link = study.control.call("make_link", participant="P01")["link"]
    page.goto(f"{address}/self-report?link={link}")
    page.get_by_role("button", name="Mildly stressed").click()
    expect(page.get_by_text("Still open: focus.")).to_be_visible()
    expect(page.get_by_role("link", name="Overview")).to_have_count(0)
    (entry,) = study.control.call("audit_log", action="self_report")
    assert (entry["role"], entry["participant"]) == ("participant", "P01")
    study.control.call("revoke_link", participant="P01")
    page.reload()
    expect(page.get_by_text("This link is not valid any more")).to_be_visible()


class User(dict[str, object]):
    """What a provider says of somebody."""

    is_logged_in = True


@pytest.mark.parametrize(
    ("claim", "known"), [({"email_verified": True}, True), ({"email_verified": False}, False), ({}, False)]
)
def test_an_address_counts_only_if_the_provider_says_that_it_verified_it(
    monkeypatch: pytest.MonkeyPatch, claim: dict[str, object], known: bool
) -> None:
    monkeypatch.setattr("streamlit.user", User(is_logged_in=True, email="ada@lab.example", **claim))
    assert who._vouched() is known
