"""Accounts, roles and the audit log, as a client of the control API meets them."""

from __future__ import annotations

import base64
import dataclasses
import time
from typing import Any

import pytest
from sqlalchemy import select

from sentry_proto.errors import error_of_kind
from sentry_proto.types import Still
from tests.sentry_proto.records import alert, window
from tests.trainer_service.conftest import arrival, hex_id, put_windows
from tests.trainer_service.test_control_api import Desk, desk, refused, submit
from trainer_service import accounts, registry, schema
from trainer_service.registry import Decision
from trainer_service.roles import LEAST, Role

__all__ = ["desk"]

PASSWORD = "a long enough one"


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost nothing."""
    monkeypatch.setattr("trainer_service.passwords.N", 2)
    monkeypatch.setattr("trainer_service.passwords._NOBODYS", "scrypt$2$1$1$AAAA$AAAA")


@pytest.fixture
def staff(desk: Desk, cheap: None) -> dict[str, str]:
    """Token by role."""
    put_windows(desk.store, [window(hex_id(number)) for number in (1, 2)])
    tokens = {}
    for role in ("viewer", "rater", "admin"):
        desk.call("add_account", name=f"a-{role}", role=role, password=PASSWORD)
        tokens[role] = desk.call("sign_in", name=f"a-{role}", password=PASSWORD)["token"]
    link = desk.call("make_link", participant="P07")["link"]
    return {**tokens, "participant": link, "guest": ""}


def test_who_one_is(desk: Desk, staff: dict[str, str]) -> None:
    assert desk.call("whoami", token=staff["rater"]) == {"name": "a-rater", "role": "rater", "accounts": True}
    assert desk.call("whoami", token="") == {"name": "", "role": "guest", "accounts": True}
    assert desk.call("whoami") == {"name": "key control", "role": "key", "accounts": True}


@pytest.mark.parametrize("role", ["guest", "participant", "viewer", "rater", "admin"])
def test_each_role_may_what_the_table_says(desk: Desk, staff: dict[str, str], role: str) -> None:
    for method, least in LEAST.items():
        error, _ = refused(desk, method, token=staff[role], no_such_parameter=1)
        assert (error == "NotAllowed") == (Role[role.upper()] < least), method


def test_a_rater_speaks_and_takes_back_in_the_own_name_only(desk: Desk, staff: dict[str, str]) -> None:
    said = {"window_id": hex_id(1), "task": "stress", "value": "calm", "source": "observer"}
    assert refused(desk, "label", token=staff["rater"], label_id=hex_id(7), rater="R1", **said) == (
        "NotAllowed", "a-rater may give opinions in the own name only, not as 'R1'",
    )  # fmt: skip
    desk.call("label", token=staff["rater"], label_id=hex_id(7), rater="a-rater", **said)
    submit(desk, 8, 2, "calm", rater="R1")
    assert refused(desk, "withdraw", token=staff["rater"], label_id=hex_id(8))[1] == (
        "only 'R1' or an admin may take this back"
    )
    assert desk.call("withdraw", token=staff["rater"], label_id=hex_id(7)) == {"withdrawn": True}
    assert desk.call("withdraw", token=staff["admin"], label_id=hex_id(8)) == {"withdrawn": True}


def test_only_an_admin_learns_how_others_agree(desk: Desk, staff: dict[str, str]) -> None:
    said = {1: ("calm", "calm", "calm"), 2: ("stressed", "stressed", "calm")}
    for window_number, values in said.items():
        for rater, value in zip(("a-rater", "R1", "R2"), values, strict=True):
            submit(desk, 10 * window_number + len(rater) + ord(rater[-1]), window_number, value, rater=rater)
    told = desk.call("agreement", task="stress", token=staff["admin"])
    kappas = {(pair["first"], pair["second"]): pair["kappa"] for pair in told["pairs"]}
    assert kappas == {("a-rater", "R1"): 1.0, ("a-rater", "R2"): 0.0, ("R1", "R2"): 0.0}
    assert set(told["trust"]) == {"a-rater", "R1", "R2"}
    assert told["own"] == {"raters": 0, "windows": 0, "kappa": None}
    assert desk.call("agreement", task="stress", token=staff["rater"]) == {
        "task": "stress", "own": {"raters": 2, "windows": 4, "kappa": 0.5}, "pairs": None, "trust": None,
    }  # fmt: skip
    desk.call("withdraw", label_id=hex_id(10 + 2 + ord("2")))
    assert desk.call("agreement", task="stress", token=staff["rater"])["own"]["windows"] == 3
    assert refused(desk, "agreement", token=staff["viewer"], task="stress")[0] == "NotAllowed"


def test_only_an_admin_learns_who_said_what(desk: Desk, staff: dict[str, str]) -> None:
    submit(desk, 7, 1, "calm", rater="a-rater")
    desk.call("remark", remark_id=hex_id(9), kind="unsure", task="stress", rater="R1", window_id=hex_id(1))
    submit(desk, 8, 1, "stressed", rater="R1")
    raised = alert(hex_id(20))
    desk.store.ingest([arrival(raised, 50)], 0.0)
    raters = {"count": 2, "largest_share": 0.5, "doubted": ["R1", "a-rater"]}
    with desk.store.write() as connection:
        learned, again = (
            Decision(1.0, trigger, "stress", registry.REFUSED, "", 1, 0, None, 2, 1, {"raters": some}, 2)
            for trigger, some in (("labels", raters), ("rollback", {"count": 2, "largest_share": 0.5}))
        )
        registry.record(connection, [learned, again])

    def named(role: str) -> list[set[str | None]]:
        token = staff[role]
        opened = desk.call("alert", token=token, alert_id=hex_id(20))
        _, decided = desk.call("decisions", token=token)
        said = (
            [label for one in desk.call("windows", token=token) for label in one["labels"]],
            desk.call("window", token=token, window_id=hex_id(1))["labels"],
            [label for one in desk.call("queue", token=token, task="focus", rater="R9") for label in one["labels"]],
            opened["window"]["labels"], opened["remarks"], desk.call("remarks", token=token),
        )  # fmt: skip
        return [*({one["rater"] for one in some} for some in said), set(decided["metrics"]["raters"]["doubted"])]

    both, of_another = {"a-rater", "R1"}, {"R1"}
    assert named("admin") == [both, both, both, both, of_another, of_another, both]
    own: set[str | None] = {"a-rater", None}
    assert named("rater") == [own, own, own, own, {None}, {None}, {"a-rater"}]
    assert named("viewer") == [{None}] * 6 + [set()]


def test_stills_are_for_those_who_judge_windows_and_for_the_persons_own_file(desk: Desk, staff: dict[str, str]) -> None:
    still = Still(1_750_000_001.0, b"\xff\xd8\xff picture")
    desk.store.ingest(
        [arrival(dataclasses.replace(window(hex_id(3)), stills=(still,)), 51),
         arrival(dataclasses.replace(alert(hex_id(20)), window_id=hex_id(3)), 52)], 0.0,
    )  # fmt: skip
    given = [{"time": still.time, "jpeg": base64.b64encode(still.jpeg).decode()}]
    for role, expected in (("viewer", []), ("rater", given), ("admin", given)):
        token = staff[role]
        assert desk.call("window", token=token, window_id=hex_id(3))["stills"] == expected
        assert desk.call("alert", token=token, alert_id=hex_id(20))["window"]["stills"] == expected
        assert all("stills" not in listed for listed in desk.call("windows", token=token))
    rows = desk.call("person_rows", token=staff["admin"], participant="P01", kind="windows")["rows"]
    assert [row["stills"] for row in rows] == [[], [], given]


def test_every_change_is_one_row_of_the_log(desk: Desk, staff: dict[str, str]) -> None:
    token, link = staff["rater"], desk.call("make_link", participant="P01")["link"]
    about = {"task": "stress", "rater": "a-rater", "window_id": hex_id(1)}
    for _ in range(2):  # the second time nothing changes
        desk.call("remark", token=token, remark_id=hex_id(9), kind="unsure", **about)
        desk.call("label", token=token, label_id=hex_id(7), value="calm", source="observer", **about)
        desk.call("withdraw", token=token, label_id=hex_id(7))
        desk.call("withdraw_remark", token=token, remark_id=hex_id(9))
        desk.call("self_report", token=link, report_id=hex_id(3), task="focus", value="3")
    found = [(e["actor"], e["action"], e["participant"]) for e in desk.call("audit_log") if "sign" not in e["action"]]
    assert found[::-1] == [
        *(("key control", "add_account", None) for _ in range(3)),
        *(("key control", "make_link", name) for name in ("P07", "P01")),
        ("a-rater", "remark", "P01"), ("a-rater", "label", "P01"), ("a-rater", "withdraw", "P01"),
        ("a-rater", "withdraw_remark", "P01"), ("", "self_report", "P01"),
    ]  # fmt: skip
    (last,) = desk.call("audit_log", action="label")
    assert (last["target"], last["details"], last["role"]) == (hex_id(7), "stress: calm, by a-rater", "rater")
    assert desk.call("audit_log", actor="nobody") == desk.call("audit_log", since=time.time() + 60) == []


def test_what_is_published_by_hand_takes_its_row_along(desk: Desk, staff: dict[str, str]) -> None:
    desk.call("rollback", token=staff["admin"], version=2)
    desk.call("apply_threshold", token=staff["admin"], task="stress", threshold=0.7)
    by_hand = [(entry.actor.name, entry.action, entry.target) for entry in desk.learner.entries]
    assert by_hand == [("a-admin", "rollback", "version 2"), ("a-admin", "apply_threshold", "stress")]


def test_a_wrong_password_is_refused_logged_and_slowed_down(desk: Desk, staff: dict[str, str]) -> None:
    for name in ("a-rater", "nobody"):
        assert refused(desk, "sign_in", name=name, password="wrong") == (
            "RequestRefused", "the name or the password is wrong",
        )  # fmt: skip
    for _ in range(4):
        refused(desk, "sign_in", name="a-rater", password="wrong")
    assert "too many failed sign-ins" in refused(desk, "sign_in", name="a-rater", password=PASSWORD)[1]
    failed = [entry["target"] for entry in desk.call("audit_log", action="sign_in") if entry["details"] == "failed"]
    assert failed == ["a-rater"] * 4 + ["", "a-rater"]


def test_signing_out_another_password_and_removal_end_a_token(desk: Desk, staff: dict[str, str]) -> None:
    desk.call("sign_out", token=staff["viewer"])
    desk.call("set_password", name="a-rater", password="another long one")
    desk.call("add_account", name="boss", role="admin", email="Boss@lab.example")
    desk.call("remove_account", name="a-admin")
    for role in ("viewer", "rater", "admin"):
        assert refused(desk, "status", token=staff[role])[0] == "NotSignedIn"
    assert refused(desk, "remove_account", name="boss")[1] == "boss is the only admin; add another one first"
    begun = desk.call("vouched_sign_in", email="boss@LAB.example")
    assert (begun["name"], begun["role"]) == ("boss", "admin")
    assert refused(desk, "vouched_sign_in", email="x@y.z")[1] == "there is no account for 'x@y.z'; an admin adds it"


def test_a_token_runs_out_and_is_not_stored(desk: Desk, staff: dict[str, str]) -> None:
    with desk.store.read() as connection:
        digests = list(connection.scalars(select(schema.sign_ins.c.digest)))
        with pytest.raises(Exception, match="not signed in any more"):
            accounts.who(connection, staff["rater"], time.time() + accounts.LASTS_S)
    assert len(digests) == 3
    assert staff["rater"] not in digests


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "a b"}, "an account is named by 1 to 64 letters"),
        ({"role": "king"}, "role must be one of viewer, rater, admin, not 'king'"),
        ({"password": "short"}, "a password has 10 to 200 characters"),
        ({"password": None}, "an account needs a password or an e-mail address"),
        ({"email": "nobody"}, "is no e-mail address"),
        ({"name": "a-rater"}, "there is an account a-rater already"),
    ],
)
def test_an_account_that_cannot_be_is_refused(
    desk: Desk, staff: dict[str, str], changes: dict[str, Any], words: str
) -> None:
    asked = {"name": "new", "role": "viewer", "password": PASSWORD, **changes}
    found = refused(desk, "add_account", **{name: value for name, value in asked.items() if value is not None})
    assert words in found[1]


def test_the_errors_cross_the_socket_as_they_are() -> None:
    assert type(error_of_kind("NotSignedIn", "x")).__name__ == "NotSignedIn"
