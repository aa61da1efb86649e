from __future__ import annotations

from collections.abc import Sequence

from sentry_proto.errors import PeerUnreachable
from sentry_proto.types import Label
from training.active_learning.review.desk import Click, Desk, Waiting
from training.active_learning.sheets import Sheet


class Ledger:
    """A tray that keeps labels by id; it can be away."""

    def __init__(self) -> None:
        self.stored: dict[str, Label] = {}
        self.passed: dict[str, Click] = {}
        self.away = False

    def tasks(self) -> Sequence[str]:
        return ["stress"]

    def waiting(self, task: str, rater: str, since: float = 0.0) -> Waiting:
        return Waiting(QUEUE, len(QUEUE))

    def sheet(self, task: str, window_id: str) -> Sheet:
        raise NotImplementedError

    def put(self, label: Label) -> bool:
        if self.away:
            raise PeerUnreachable("no answer")
        fresh = label.label_id not in self.stored
        self.stored.setdefault(label.label_id, label)
        return fresh

    def withdraw(self, label_id: str) -> bool:
        if self.away:
            raise PeerUnreachable("no answer")
        return self.stored.pop(label_id, None) is not None

    def pass_over(self, click: Click, pass_id: str) -> None:
        if self.away:
            raise PeerUnreachable("no answer")
        self.passed[pass_id] = click

    def take_up_again(self, pass_id: str) -> bool:
        return self.passed.pop(pass_id, None) is not None


QUEUE = ("a", "b")


def click(window_id: str = "a", value: str = "calm") -> Click:
    return Click(window_id, "stress", value, "R1")


def test_second_half_of_a_double_click_on_the_same_window_stores_nothing() -> None:
    desk, trainer = Desk(), Ledger()
    desk.choose(QUEUE, "stress", 0.0)
    desk.label(trainer, click(), 10.0)
    desk.label(trainer, click(), 10.1)
    assert len(trainer.stored) == len(desk.given) == 1


def test_second_half_of_a_double_click_on_the_next_window_is_ignored() -> None:
    desk, trainer = Desk(), Ledger()
    desk.choose(QUEUE, "stress", 0.0)
    desk.label(trainer, click("a"), 10.0)
    desk.choose(QUEUE[1:], "stress", 10.1)
    desk.label(trainer, click("b"), 10.2)
    assert [label.window_id for label in trainer.stored.values()] == ["a"]
    desk.label(trainer, click("b"), 11.0)
    assert len(trainer.stored) == 2


def test_label_that_was_not_confirmed_is_sent_again_under_its_id() -> None:
    desk, trainer = Desk(), Ledger()
    trainer.away = True
    desk.label(trainer, click(), 10.0)
    assert desk.given == []
    assert desk.outcome
    assert desk.outcome.sentence.startswith("Not stored: no answer.")
    ((_, first),) = desk._sent.values()
    trainer.away = False
    desk.label(trainer, click(), 12.0)
    assert list(trainer.stored) == [first]


def test_after_undo_the_window_is_back_and_takes_a_new_label() -> None:
    desk, trainer = Desk(), Ledger()
    desk.choose(QUEUE, "stress", 0.0)
    desk.label(trainer, click(value="calm"), 10.0)
    desk.choose(QUEUE[1:], "stress", 10.5)
    desk.undo(trainer, desk.last)
    assert trainer.stored == {}
    assert desk.choose(QUEUE[::-1], "stress", 11.0) == "a"
    desk.label(trainer, click(value="stressed"), 12.0)
    assert [label.value for label in trainer.stored.values()] == ["stressed"]


def test_undo_clicked_twice_withdraws_one_label() -> None:
    desk, trainer = Desk(), Ledger()
    for window_id in QUEUE[:2]:
        desk.label(trainer, Click(window_id, "stress", "calm", "R1"), 10.0)
    drawn = desk.last
    desk.undo(trainer, drawn)
    desk.undo(trainer, drawn)
    assert [label.window_id for label in trainer.stored.values()] == ["a"]


def test_window_stays_on_the_desk_while_the_queue_is_reordered() -> None:
    desk = Desk()
    assert desk.choose(QUEUE, "stress", 0.0) == "a"
    assert desk.choose(QUEUE[::-1], "stress", 1.0) == "a"


def test_what_cannot_be_told_is_kept_with_its_reason_and_taken_up_again() -> None:
    desk, trainer = Desk(), Ledger()
    desk.choose(QUEUE, "stress", 0.0)
    trainer.away = True
    desk.pass_over(trainer, click(value="face hidden"), 10.0)
    assert (desk.given, trainer.passed) == ([], {})
    trainer.away = False
    desk.pass_over(trainer, click(value="face hidden"), 11.0)
    assert [one.value for one in trainer.passed.values()] == ["face hidden"]
    assert desk.outcome is not None
    assert desk.outcome.sentence == "Skipped, face hidden: noted by R1, and not asked again."
    desk.undo(trainer, desk.last)
    assert (trainer.passed, desk.given) == ({}, [])
    assert desk.choose(QUEUE, "stress", 12.0) == "a"
