"""What was acted in a window: from the window's session and time back to the puppet's script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_agent.puppet.script import Playlist, truth_of_window

SHARE = 0.9
"""Of a window that one state must fill, to leave no doubt."""

PLAYLIST = Playlist()


def truth_of(window: Mapping[str, Any], playlist: Playlist = PLAYLIST) -> Mapping[str, str]:
    """The class of each task that the script is sure about, for a window as `windows` lists it.

    The session's number says who acted and for which time; sessions begin at multiples of their length.
    """
    number = int(window["session"].removeprefix("s"))
    turn, index = divmod(number, len(playlist.people))
    own_start = turn * playlist.session_s + window["start"] % playlist.session_s
    return truth_of_window(playlist.people[index], own_start, own_start + window["end"] - window["start"], SHARE)
