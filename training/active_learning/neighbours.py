"""Where else to look once somebody has found the state: shortly before, and shortly after.

A state comes in bouts, so the windows around one in which it was confirmed show it far more often than others do, and
however unlikely the heads think it is: those chosen by likelihood look like what is known already. When a neighbour
shows the state, its own neighbours are asked about in turn, and so a bout is found from any one window of it, until the
state is rare no more. This is adaptive cluster sampling (Thompson 1990, Journal of the American Statistical Association
85(412)). What it adds depends on labels, so it has no known probability and enters no rate; heads learn from it like
from anything else.
"""

from __future__ import annotations

SHARES = (-1.0, -0.5, 0.5, 1.0)
"""How far from the confirmed window its neighbours begin, in lengths of a window: the next ones on both sides, and
those half way. Nearer ones would show nearly the same seconds."""


LATELY = 200
RARE_SHARE, FEW = 0.25, 4
"""An event is rare while fewer than this share of the last `LATELY` labels show it, or fewer than so many do."""


def is_rare(events: int, labels: int) -> bool:
    """Whether an event that so many of the last labels show is worth looking for beside those already found."""
    return events < max(FEW, RARE_SHARE * labels)


def starts_around(start: float, end: float) -> tuple[float, ...]:
    """When the windows begin that are asked about after a confirmed one; all in Unix seconds."""
    return tuple(start + share * (end - start) for share in SHARES)
