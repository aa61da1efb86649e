from __future__ import annotations

from sentry_proto.limits import PEER_DEAD_S
from tests.sentry_proto.records import heartbeat
from trainer_service.fleet import SHOWN, Fleet, Moment

THEN = Moment(1_750_000_000.0, 100.0)


def later(seconds: float, jump: float = 0.0) -> Moment:
    return Moment(THEN.wall + seconds + jump, THEN.monotonic + seconds)


def test_silence_is_loud() -> None:
    fleet = Fleet({})
    fleet.heard("lab-1", heartbeat(), THEN)
    told = {entry["name"]: entry for entry in fleet.describe(["lab-2", "lab-1"], later(PEER_DEAD_S + 1))}
    assert (told["lab-1"]["alive"], told["lab-1"]["silent_s"]) == (False, PEER_DEAD_S + 1)
    assert told["lab-2"] == {**dict.fromkeys(SHOWN), "name": "lab-2", "alive": False, "seen": False} | dict.fromkeys(
        ("last_seen", "silent_s", "clock_off_s")
    )


def test_a_jumping_clock_makes_nobody_silent() -> None:
    fleet = Fleet({})
    fleet.heard("lab-1", heartbeat(), THEN)
    for jump in (-3600.0, 86_400.0):
        (entry,) = fleet.describe(["lab-1"], later(1.0, jump))
        assert (entry["alive"], entry["silent_s"]) == (True, 1.0)


def test_what_was_known_before_a_restart_is_shown_but_not_alive() -> None:
    fleet = Fleet({"lab-1": (vars(heartbeat(fps=12.0)), THEN.wall)})
    (entry,) = fleet.describe(["lab-1"], later(1.0))
    assert (entry["alive"], entry["seen"], entry["fps"], entry["silent_s"]) == (False, True, 12.0, 1.0)


def test_only_the_enrolled_are_listed() -> None:
    fleet = Fleet({})
    fleet.heard("lab-1", heartbeat(), THEN)
    assert fleet.describe([], THEN) == []


def test_unsaved_heartbeats_are_taken_once_and_can_be_put_back() -> None:
    fleet = Fleet({})
    fleet.heard("lab-1", heartbeat(fps=1.0), THEN)
    fleet.heard("lab-2", heartbeat(fps=2.0), THEN)
    taken = fleet.take_unsaved()
    assert fleet.take_unsaved() == []
    fleet.heard("lab-1", heartbeat(fps=3.0), later(1))
    fleet.put_back(taken)
    assert sorted((name, beat.fps) for name, beat, _ in fleet.take_unsaved()) == [("lab-1", 3.0), ("lab-2", 2.0)]


def test_what_could_not_be_saved_waits_behind_the_others() -> None:
    fleet = Fleet({})
    for name in ("lab-1", "lab-2", "lab-3"):
        fleet.heard(name, heartbeat(), THEN)
    fleet.put_back(fleet.take_unsaved(1))
    assert [name for name, *_ in fleet.take_unsaved(2)] == ["lab-2", "lab-3"]


def test_those_that_waited_longest_are_saved_first() -> None:
    fleet = Fleet({})
    for turn in range(2):
        for name in ("lab-1", "lab-2", "lab-3"):
            fleet.heard(name, heartbeat(fps=float(turn)), later(turn))
    assert fleet.unsaved() == 3
    assert [(name, beat.fps) for name, beat, _ in fleet.take_unsaved(2)] == [("lab-1", 1.0), ("lab-2", 1.0)]
    fleet.heard("lab-1", heartbeat(fps=2.0), later(2))
    assert [name for name, *_ in fleet.take_unsaved(2)] == ["lab-3", "lab-1"]
    assert fleet.unsaved() == 0


def test_who_calls_another_process_is_followed_by_its_rows_and_by_no_clock() -> None:
    stored = {name: value for name, value in vars(heartbeat()).items() if name != "counts"}
    fleet = Fleet({"lab-1": (stored, THEN.wall)})

    def alive(now: Moment) -> bool:
        (entry,) = fleet.describe(["lab-1"], now)
        return bool(entry["alive"])

    fleet.follow({"lab-1": (stored, THEN.wall)}, THEN)
    assert not alive(THEN), "a row that was there at the start tells nothing"
    changed = {"lab-1": (stored, THEN.wall - 86_400.0)}
    fleet.follow(changed, later(1.0))
    assert alive(later(1.0)), "it has changed, whatever the other's clock says"
    assert fleet.running(["lab-1"], 1, later(1.0), {"lab-1": 7})["lab-1"].scored == 7, "as the database counts"
    fleet.follow(changed, later(2.0))
    assert not alive(later(1.0 + PEER_DEAD_S)), "and then no more"


def test_a_row_of_ones_own_is_no_news() -> None:
    fleet = Fleet({})
    fleet.heard("lab-1", heartbeat(), THEN)
    fleet.follow({"lab-1": (vars(heartbeat()), THEN.wall)}, later(PEER_DEAD_S))
    (entry,) = fleet.describe(["lab-1"], later(PEER_DEAD_S))
    assert not entry["alive"]
