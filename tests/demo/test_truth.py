from __future__ import annotations

import numpy as np

from demo.truth import truth_of
from edge_agent.puppet.script import Playlist, truth, truth_of_window

BEGIN = 150.0 * 11_666_667
PLAYLIST = Playlist()


def test_window_is_traced_back_to_the_moment_that_was_acted() -> None:
    """The source's own mapping, run forwards, is the reference."""
    for t in np.arange(0.0, 3 * len(PLAYLIST.people) * PLAYLIST.session_s - 30, 35.0):
        person, session, own = PLAYLIST.at(float(t))
        if PLAYLIST.at(float(t) + 29.9)[1] != session:
            continue
        window = {"session": f"s{session:04d}", "start": BEGIN + t, "end": BEGIN + t + 30}
        assert truth_of(window) == truth_of_window(person, own, own + 30, 0.9)


def test_window_across_two_states_has_no_truth() -> None:
    person = PLAYLIST.people[0]
    change = next(t for t in np.arange(1.0, 150.0) if truth(person, t).stress != truth(person, t - 1).stress)
    window = {"session": "s0000", "start": BEGIN + change - 15, "end": BEGIN + change + 15}
    assert "stress" not in truth_of(window)
