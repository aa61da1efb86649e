from __future__ import annotations

from dashboard.story import story
from tests.dashboard.fake_trainer import NOW, decision


def test_story_runs_from_abstaining_to_the_latest_version() -> None:
    told = story([decision(2, "published", "better than chance", version=1), decision(1, "refused", "too few")], NOW)
    assert [chapter.headline for chapter in told] == [
        "Version 1 published: stress",
        "Candidate refused: stress",
        "The heads abstain",
    ]


def test_wait_that_lasts_is_told_once() -> None:
    waits = [decision(row, "waiting", f"{row} more") for row in (3, 2, 1)]
    told = story([*waits, decision(0, "refused", "worse")], NOW)
    assert [chapter.headline for chapter in told] == [
        "Waiting: stress",
        "Candidate refused: stress",
        "The heads abstain",
    ]
    assert told[0].detail.startswith("3 more.")


def test_long_story_keeps_its_beginning() -> None:
    told = story([decision(row, "refused", "worse") for row in range(50)], NOW, longest=5)
    assert len(told) == 5
    assert told[-1].headline == "The heads abstain"
