from __future__ import annotations

import numpy as np

from demo.truth import truth_of
from edge_agent.puppet.script import Playlist, truth

PLAYLIST = Playlist()
BEGIN = 11_666_667 * PLAYLIST.session_s


def test_window_is_traced_back_to_what_was_acted() -> None:
    person, _, own = PLAYLIST.at(BEGIN)
    for offset in np.arange(0.0, PLAYLIST.session_s - 29, 5.0):
        window = {"start": BEGIN + offset, "end": BEGIN + offset + 30}
        acted = {truth(person, own + offset + second).stress for second in np.arange(0.25, 30, 0.5)}
        if len(acted) == 1:
            assert truth_of(window)["stress"] in acted


def test_window_across_two_states_has_no_truth() -> None:
    person, _, own = PLAYLIST.at(BEGIN)
    moments = np.arange(own + 1.0, own + PLAYLIST.session_s)
    change = next(t for t in moments if truth(person, t).stress != truth(person, t - 1).stress) - own
    window = {"start": BEGIN + change - 15, "end": BEGIN + change + 15}
    assert "stress" not in truth_of(window)
