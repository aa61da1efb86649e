"""Which scored windows are sent, each with a probability that is known before the draw.

Rules, in this order, for every scored window:

    1. audit      drawn with a fixed probability that depends on nothing: not on the model, not on the past
    2. alert      a window in which an alert is on is always sent
    3. uncertain  drawn with a probability that grows with the rank of the window's uncertainty among recent ones,
                  scaled so that no hour sees more than `budget_per_hour` of them

Because the rank counts and not the value, a confused model does not flood the trainer and a confident one does not
starve it. When every head abstains there is no uncertainty to rank, and all windows are drawn alike under the same
budget: a new deployment has to get its first labels from somewhere.

The inclusion probability of a window is P(sent at all | its features and the past) =
`audit + (1 - audit) * P(alert or uncertain)`; it is 1 for an alerting window. The stratum says which draw sent it.
An estimate from the audit stratum alone must weight by the audit probability, which is the same for every window, and
not by the inclusion probability, which the model has had its hand in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sentry_proto.types import Stratum

HOUR_S = 3_600.0
RECENT = 720
"""Uncertainties that a new one is ranked among: an hour of windows at a hop of 5 s."""

LONGEST_GAP_S = 60.0
"""A window after a pause stands for no more time than this."""

FLOOR = 0.1
STEEPNESS = 3
"""A window at rank r of 0..1 is drawn `FLOOR + (1 - FLOOR) (STEEPNESS + 1) r**STEEPNESS` times as often as the
average one; the mean of that over all ranks is 1."""

MOST_PRESSURE = 1 / FLOOR
"""Of a full bucket on a draw; about 1 at half full. It lets even windows that all rank last spend the budget."""

BURST_SHARE = 0.25
"""Share of the hourly budget that may be spent at once."""


@dataclass(frozen=True)
class Decision:
    """What becomes of one window.

    Attributes:
        stratum: which draw sent it; None if none did.
        inclusion_probability: of being sent by whichever draw, as known before the draw, in 0..1.
    """

    stratum: Stratum | None
    inclusion_probability: float


class Selector:
    """Decides window by window; one per stream.

    A token bucket holds the budget: it starts half full, gains `budget - capacity` tokens an hour up to its capacity,
    and each uncertain window takes one, so no span of an hour ever sees more than the budget. The fuller the bucket,
    the likelier a draw, which makes up for uneven ranks and for windows that went out as alerts.

    Args:
        generator: source of every draw; two numbers per decision, whatever its outcome.
        audit_probability: in 0..1, fixed for the life of the stream.
        budget_per_hour: most uncertain windows in any hour; 0 switches them off, otherwise 2 or more.
        hop_s: expected seconds between windows, used for the first one.

    Raises:
        ValueError: if a setting is out of its range.
    """

    def __init__(
        self,
        generator: np.random.Generator,
        audit_probability: float = 0.05,
        budget_per_hour: float = 30.0,
        hop_s: float = 5.0,
    ) -> None:
        if not 0 <= audit_probability <= 1:
            raise ValueError(f"the audit probability must lie in 0..1, not be {audit_probability}")
        if budget_per_hour != 0 and not 2 <= budget_per_hour < math.inf:
            raise ValueError(f"the budget must be 0 or at least 2 windows an hour, not {budget_per_hour}")
        self.audit_probability = audit_probability
        self._generator = generator
        self._capacity = max(1.0, budget_per_hour * BURST_SHARE) if budget_per_hour else 0.0
        self._refill_per_s = (budget_per_hour - self._capacity) / HOUR_S
        self._tokens = self._capacity / 2
        self._hop_s = hop_s
        self._last: float | None = None
        self._recent = np.full(RECENT, np.nan)  # a ring
        self._ranked = 0

    def decide(self, now: float, uncertainty: float | None, alerting: bool) -> Decision:
        """Decide about the window that ends now.

        Args:
            now: seconds on any one clock.
            uncertainty: the window's, in any unit that grows with doubt; None (or not a number) when no head speaks.
            alerting: whether any alert is on.
        """
        audit_draw, other_draw = self._generator.random(2)
        seconds = self._elapsed(now)
        other = 1.0 if alerting else self._uncertain_probability(seconds, self._rank(uncertainty))
        inclusion = self.audit_probability + (1 - self.audit_probability) * other
        if audit_draw < self.audit_probability:
            return Decision(Stratum.AUDIT, inclusion)
        if alerting:
            return Decision(Stratum.ALERT, inclusion)
        if other_draw < other:
            self._tokens -= 1
            return Decision(Stratum.UNCERTAIN, inclusion)
        return Decision(None, inclusion)

    def _elapsed(self, now: float) -> float:
        """Fill the bucket up to now; the seconds that this window stands for."""
        passed = self._hop_s if self._last is None else max(now - self._last, 0.0)
        if self._last is not None:
            self._tokens = min(self._capacity, self._tokens + passed * self._refill_per_s)
        self._last = now
        return min(passed, LONGEST_GAP_S)

    def _rank(self, uncertainty: float | None) -> float | None:
        """Share of recent uncertainties below this one, ties counted half; None without an uncertainty."""
        if uncertainty is None or not math.isfinite(uncertainty):
            return None
        below = np.count_nonzero(self._recent < uncertainty)
        ties = np.count_nonzero(self._recent == uncertainty)
        rank = (below + (ties + 1) / 2) / (min(self._ranked, RECENT) + 1)
        self._recent[self._ranked % RECENT] = uncertainty
        self._ranked += 1
        return rank

    def _uncertain_probability(self, seconds: float, rank: float | None) -> float:
        if self._tokens < 1:
            return 0.0
        preference = 1.0 if rank is None else FLOOR + (1 - FLOOR) * (STEEPNESS + 1) * rank**STEEPNESS
        fill = self._tokens / self._capacity
        pressure = fill / (1 + 1 / MOST_PRESSURE - fill)
        return min(1.0, preference * pressure * self._refill_per_s * seconds)
