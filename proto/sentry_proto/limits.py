"""Bounds on everything that comes from outside; each is checked before memory is spent on it."""

from __future__ import annotations

PROTOCOL = 1
"""Version of the session protocol; both sides must speak the same."""

MAX_FRAME_BYTES = 1 << 20
"""Per ZeroMQ frame. libzmq's MAXMSGSIZE is per frame too, so a receiver also drops messages with a frame too many."""

MAX_TEXT = 200
"""Characters in a name, an identifier or a class."""

MAX_WORDS = 2_000
"""Characters in a sentence such as an error or an update state."""

MAX_SECONDS = 600
"""Seconds in one window."""

MAX_TASKS = 32
MAX_CLASSES = 32
MAX_COUNTS = 4_096

MAX_SCORED = 1 << 40
"""Windows in one count: sums of many stay within 64 bits."""

MAX_GROWTH = 1 << 24
"""By how much a count grows between two heartbeats that are stored; a window every 5 s for two years and a half."""

MAX_STILLS = 3
"""Pictures that one window carries."""

MAX_STILL_BYTES = 10 << 10

MAX_OFFSET = 3.0
"""In logits: the most that a personal offset may add or take."""

MAX_WANTED = 16
"""Windows that one pulse asks for."""

MAX_BUNDLE_BYTES = 64 << 20
"""Size of one model bundle."""

FETCH_CHUNK_BYTES = 256 << 10
"""Bytes in one reply of the update socket."""

MAX_CONTROL_BYTES = 8 << 20
"""Size of one control request or reply, per frame."""

CREDIT = 64
"""Items an agent may have in flight."""

HEARTBEAT_S = 1.0
"""Both sides beat this often."""

PEER_DEAD_S = 3.5
"""Silence after which a peer counts as gone: known within 4 s, with time left to look (promise R6)."""

RESEND_S = 5.0
"""An item without an ack is sent again after this long."""
