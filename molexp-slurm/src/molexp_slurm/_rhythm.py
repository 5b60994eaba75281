"""The times at which somebody who waits looks again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Rhythm:
    """Pauses that grow while nothing happens.

    Example:
        >>> rhythm = Rhythm(30.0, most=180.0)
        >>> rhythm.begin(now=0.0)
        >>> rhythm.looked(now=30.0, changed=False)
        >>> rhythm.due
        75.0
    """

    first: float
    most: float
    growth: float = 1.5
    pause: float = 0.0
    due: float = float("inf")

    def begin(self, now: float) -> None:
        """Plan a look after the first pause, or sooner if that is planned: something happened."""
        self.pause = self.first
        self.due = min(self.due, now + self.first)

    def looked(self, now: float, *, changed: bool) -> None:
        """Plan the next look."""
        self.pause = self.first if changed else min(self.pause * self.growth, self.most)
        self.due = now + self.pause

    def rest(self) -> None:
        """Plan none: there is nothing to wait for."""
        self.due = float("inf")
