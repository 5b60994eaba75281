"""Tell when the engines of queued runs were last asked; nobody is asked for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from molexp_cli import _words
from molexp_cli._output import say

if TYPE_CHECKING:
    import molexp

QUEUED = "queued"


class QueuedAsOf:
    """Know when the engines of a workspace's queued runs were last asked, or accepted their jobs.

    Args:
        opened: the workspace.
    """

    def __init__(self, opened: molexp.Workspace) -> None:
        self._opened = opened
        self._seen = False

    @cached_property
    def _times(self) -> dict[str, str]:
        from molexp.submissions import submissions

        return {one.id: one.asked_at or one.at for one in submissions(self._opened)}

    @property
    def oldest(self) -> str | None:
        """The time for which all that is said of queued runs holds; None if no submission is open."""
        return min(self._times.values(), default=None)

    def watched(self, pages: Iterable[molexp.Rows[molexp.RunRow]]) -> Iterator[molexp.Rows[molexp.RunRow]]:
        """Yield pages of runs, and notice whether any is queued."""
        for page in pages:
            self._seen = self._seen or any(row.status == QUEUED for row in page)
            yield page

    def described(self, pages: Iterable[molexp.Rows[molexp.RunRow]]) -> Iterator[Sequence[dict[str, Any]]]:
        """Yield pages of runs as dicts; those that are queued have the time as ``queued_as_of``."""
        for page in pages:
            found = page.to_dicts()
            for one in found:
                if one["status"] == QUEUED:
                    one["queued_as_of"] = self._times.get(one["submission"])
            yield found

    def tell(self, *, seen: bool = False) -> None:
        """Say the time, if queued runs were shown."""
        if (seen or self._seen) and self.oldest:
            say(f"queued as of {_words.moment(self.oldest)}; `molexp queue` asks again")
