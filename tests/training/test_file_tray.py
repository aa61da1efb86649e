"""Labelling a file: what was said to be stored is stored, whatever happens next."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sentry_proto.errors import InputError, LabelFileError
from sentry_proto.types import Label
from tests.training.label_sheets import sheet
from training.active_learning.answer_files import read_answers
from training.active_learning.file_tray import FileTray
from training.active_learning.labelling_files import to_csv, to_lines
from training.active_learning.review.desk import Click


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "queue.jsonl"
    file.write_text(to_lines([sheet(1), sheet(2), sheet(3), sheet(2, task="focus", classes=("1", "2"))]))
    return file


def label(number: int, value: str = "calm", rater: str = "R1", label_id: str = "", task: str = "stress") -> Label:
    return Label(label_id or f"{number}{rater}", f"{number:032x}", task, value, "observer", rater, created=7.0)


def test_it_asks_in_the_files_order_and_goes_on_where_it_stopped(path: Path) -> None:
    tray = FileTray(path)
    assert tray.tasks() == ["stress", "focus"]
    assert tray.waiting("stress", "R1").window_ids == tuple(f"{n:032x}" for n in (1, 2, 3))
    assert tray.put(label(2))
    resumed = FileTray(path)
    assert resumed.waiting("stress", "R1").window_ids == tuple(f"{n:032x}" for n in (1, 3))
    assert len(resumed.waiting("stress", "R2").window_ids) == 3
    assert len(resumed.waiting("focus", "R1").window_ids) == 1
    assert resumed.sheet("focus", f"{2:032x}").classes == ("1", "2")


def test_an_answer_is_kept_once_corrected_and_taken_back(path: Path) -> None:
    tray = FileTray(path)
    assert [tray.put(label(1)), tray.put(label(1))] == [True, False]
    assert tray.put(label(1, "stressed", label_id="new"))
    assert tray.put(label(1, "calm", rater="R2"))
    assert [(given.value, given.rater) for given in tray.answers()] == [("stressed", "R1"), ("calm", "R2")]
    assert [tray.withdraw("new"), tray.withdraw("new")] == [True, False]
    assert tray.withdraw("1R2")
    assert tray.answers() == []


def test_what_cannot_be_told_does_not_come_again_until_it_is_taken_up(path: Path) -> None:
    tray = FileTray(path)
    for _ in range(2):
        tray.pass_over(Click(f"{1:032x}", "stress", "face hidden", "R1"), "p1")
    resumed = FileTray(path)
    assert [one["why"] for one in resumed.skipped()] == ["face hidden"]
    assert len(resumed.waiting("stress", "R1").window_ids) == 2
    assert len(resumed.waiting("stress", "R2").window_ids) == 3
    assert [resumed.take_up_again("p1"), resumed.take_up_again("p1")] == [True, False]
    assert len(resumed.waiting("stress", "R1").window_ids) == 3


def test_the_answers_file_is_one_that_can_be_imported(path: Path) -> None:
    tray = FileTray(path)
    tray.put(label(1))
    found = read_answers(tray.answers_path.read_text(), 99.0)
    assert [given for _, given in found.answers] == [label(1)]


def test_two_pages_on_one_file_lose_nothing(path: Path) -> None:
    def work(rater: str) -> None:
        tray = FileTray(path)
        for number in (1, 2, 3):
            tray.put(label(number, rater=rater))

    threads = [threading.Thread(target=work, args=(f"R{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(FileTray(path).answers()) == 18


def test_a_damaged_answers_file_is_said_to_be_so_and_left_alone(path: Path) -> None:
    tray = FileTray(path)
    tray.answers_path.write_text('{"window_id": "a", "task"')
    with pytest.raises(LabelFileError, match=r"queue.answers.jsonl: row 1: it is no JSON"):
        tray.put(label(1))
    assert tray.answers_path.read_text() == '{"window_id": "a", "task"'


def test_another_format_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "queue.csv").write_text(to_csv([sheet()]))
    with pytest.raises(InputError, match="no window exported as JSON Lines"):
        FileTray(tmp_path / "queue.csv")
    with pytest.raises(InputError, match="cannot read"):
        FileTray(tmp_path / "none.jsonl")
