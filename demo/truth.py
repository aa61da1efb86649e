"""What was acted in a window: from its times back to the puppet's script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_agent.puppet.script import Playlist, truth_of_window

SHARE = 0.85
"""Of a window that one state must fill, to leave no doubt."""

PLAYLIST = Playlist()


def truth_of(window: Mapping[str, Any], playlist: Playlist = PLAYLIST) -> Mapping[str, str]:
    """The class of each task that the script is sure about, for a window as `windows` lists it.

    The script's time is the puppet's clock, so a window's own times say who acted and what.
    """
    person, _, own_start = playlist.at(window["start"])
    return truth_of_window(person, own_start, own_start + window["end"] - window["start"], SHARE)
