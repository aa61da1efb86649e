"""Sign-in by an identity provider, as docs/operations.md sets it up, in a real browser."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.test_browser import CHROMIUM, browser, page, serving_key
from tests.e2e.study import Study, free_port, run

__all__ = ["browser", "page"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium at /usr/bin/chromium"),
    pytest.mark.skipif(
        importlib.util.find_spec("oidc_provider_mock") is None, reason="needs the package oidc-provider-mock"
    ),
]
KNOWN, UNKNOWN = "ada@lab.example", "eve@lab.example"
UNVERIFIED = {"sub": "mallory", "email": KNOWN, "email_verified": False}
SECRETS = """
[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "a test's secret, of no use elsewhere"
client_id = "sentry"
client_secret = "as secret"
server_metadata_url = "{provider}/.well-known/openid-configuration"
"""


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[str]:
    """Address of an identity provider that takes everybody's word for who they are."""
    port = free_port(1)
    claims = [*({"sub": who, "email": who, "email_verified": True} for who in (KNOWN, UNKNOWN)), UNVERIFIED]
    users = [argument for one in claims for argument in ("--user-claims", json.dumps(one))]
    with (tmp_path / "provider.log").open("w") as log:
        command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *users]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


@pytest.fixture
def address(tmp_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a dashboard that sends people there, before a trainer with one account."""
    study = Study(tmp_path)
    study.start_trainer()
    made = run("sentry-trainer", "accounts", "add", "ada", "--role", "rater", "--email", KNOWN, "--key",
               study.trainer_dir / "control.key")  # fmt: skip
    assert made.returncode == 0, made.stderr
    port = free_port(1)
    secrets = tmp_path / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir()
    secrets.write_text(SECRETS.format(port=port, provider=provider))
    monkeypatch.chdir(tmp_path)
    with serving_key(study.trainer_dir / "control.key", tmp_path / "dashboard.log", port=port, sign_in=True) as url:
        yield url
    study.close()


def sign_in(page: Page, address: str, whom: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Sign in with your organisation").click()
    page.get_by_role("button", name=whom, exact=True).click()


def test_whom_the_provider_knows_is_the_account_with_that_address(page: Page, address: str) -> None:
    sign_in(page, address, KNOWN)
    expect(page.get_by_role("link", name="ada")).to_be_visible()
    expect(page.get_by_role("link", name="Review")).to_be_visible()
    expect(page.get_by_role("link", name="Data and people")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("link", name="ada")).to_be_visible()
    page.get_by_role("link", name="ada").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="End session").click()  # at the provider
    expect(page.get_by_role("button", name="Sign in with your organisation")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Sign in with your organisation")).to_be_visible()


@pytest.mark.parametrize("whom", [UNKNOWN, UNVERIFIED["sub"]])
def test_whom_no_account_names_or_nobody_verified_is_not_let_in(page: Page, address: str, whom: str) -> None:
    sign_in(page, address, whom)
    expect(page.get_by_role("button", name="Sign in with your organisation")).to_be_visible()
    if whom == UNKNOWN:
        expect(page.get_by_text("You are known, but not let in.")).to_be_visible()
    expect(page.get_by_role("link", name="Review")).to_have_count(0)
