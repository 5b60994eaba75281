"""Runs that were deleted and freed on one side: they do not come back by a sync, and are hidden on the other side."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import partial

from msgspec import Struct, field

from molexp._record.deletions import Deletion, Deletions, delete_edit_of, remember_returned, tokens_of
from molexp._record.reading import edit_keys
from molexp._storage import key_patterns, layout
from molexp._sync.arrivals import is_arriving, left_over
from molexp._sync.copying import Copier, guard
from molexp._sync.edits import place_edit
from molexp._sync.sides import Side
from molexp._values.documents import encode_pretty
from molexp.errors import NotFoundError

_EDIT = re.compile(key_patterns.EDIT)


class _Known(Struct):
    """The deletions of the runs of one experiment that each side remembers.

    Attributes:
        ours: by the source.
        theirs: by the destination, of itself, before it is told what the source remembers.
    """

    ours: Deletions = field(default_factory=Deletions)
    theirs: Deletions = field(default_factory=Deletions)
    told: set[str] = field(default_factory=set)  # keys of edits that the destination has from the source, or will have

    @property
    def both(self) -> Deletions:
        """By both of them."""
        return Deletions(self.ours, self.theirs)

    def newest(self, path: str) -> list[Deletion | None]:
        """Return how the last run of an id was deleted, at the source and at the destination, as each remembers it."""
        return [one.newest(path.rpartition("/")[2]) for one in (self.ours, self.theirs)]


class DeletedRuns:
    """The consequences for a sync of what both sides remember of runs that are gone.

    What is there on a side that remembers its deletion, and is not deleted there, was brought back by hand: it counts.

    Args:
        copier: copies files.
        restore: paths of runs that are to be brought although the destination remembers their deletion.
    """

    def __init__(self, copier: Copier, restore: Iterable[str]) -> None:
        self._copier = copier
        self._ours, self._theirs = copier.source.store, copier.destination.store
        self._known: defaultdict[str, _Known] = defaultdict(_Known)
        self._returned: defaultdict[str, dict[str, frozenset[str]]] = defaultdict(dict)
        ours, theirs = _edits(copier.source), _edits(copier.destination)
        for experiment in ours.keys() | theirs.keys():
            known = self._known[experiment]
            known.ours.read(self._ours, ours[experiment])
            known.theirs.read(self._theirs, theirs[experiment])
            known.told = set(ours[experiment]) - set(theirs[experiment])
        self._restored = frozenset(path.lower() for path in restore)  # ids of runs may have capitals, paths have none
        for path in self._restored:
            if not tokens_of(self._ours, path):
                raise NotFoundError("run", path, where=self._ours.url)

    # -------------------------------------------------------------------------------------------- what the source deleted

    def spread(self) -> None:
        """Hide at the destination what was freed at the source.

        That is done before the destination is told what the source remembers, and once more afterwards: who brings such a
        run from a third place looks for that when he has brought it, so one of the two sees the other.
        """
        for path in self.to_spread():
            guard(self._copier, layout.folder(path), partial(self._spread, path))

    def to_spread(self) -> list[str]:
        """Return the paths of the runs of whose deletion only the source knows."""
        return [
            f"{experiment}/{run}"
            for experiment, known in self._known.items()
            for run in known.ours
            if known.ours.tokens(run) - known.theirs.tokens(run)
        ]

    def finish(self) -> None:
        """Hide at the destination what syncs that died had brought after it was freed."""
        if self._copier.dry_run:
            return
        for key, paths in left_over(self._copier.destination):
            for path in paths:
                known, run = self._of(path)
                deletion = known.theirs.of(run, tokens_of(self._theirs, path))
                if deletion is not None and delete_edit_of(self._theirs, path) is None:
                    self._delete(path, deletion)
            self._theirs.delete(key)

    def _spread(self, path: str) -> None:
        known, run, tokens = *self._of(path), tokens_of(self._theirs, path)
        deletion = known.both.of(run, tokens)
        if deletion is None or known.theirs.of(run, tokens) is not None:
            return
        if self._is_back(self._copier.source, path, deletion.tokens):
            return
        if delete_edit_of(self._theirs, path) is None:
            self._note("deleted", path, f"{deletion} at the source; it is hidden at the destination, too")
            self._delete(path, deletion)

    def _delete(self, path: str, deletion: Deletion) -> None:
        """Delete a run at the destination by the edit that deleted it at first."""
        place_edit(self._copier, layout.edit_key(path, deletion.edit["id"]), encode_pretty(deletion.edit))

    # --------------------------------------------------------------------------------------- what the destination deleted

    def look(self, paths: Iterable[str]) -> set[str]:
        """See what was deleted and freed since; returns those of some runs of which the destination remembers more."""
        experiments: defaultdict[str, list[str]] = defaultdict(list)
        for path in paths:
            experiments[path.rpartition("/")[0]].append(path)
        news = set()
        for experiment, runs in experiments.items():
            known = self._known[experiment]
            before = {path: known.newest(path) for path in runs}
            known.ours.read(self._ours, edit_keys(self._ours, experiment))
            known.theirs.read(self._theirs, set(edit_keys(self._theirs, experiment)) - known.told)
            for path, deletions in before.items():
                now = known.newest(path)
                if now != deletions:
                    self._copier.ledger.retract(layout.folder(path))  # as it was read, it is no longer
                if now[1] != deletions[1]:
                    news.add(path)
        return news

    def is_wanted(self, path: str) -> bool:
        """Tell whether a run of the source's is to be brought; what is not is told."""
        known, run = self._of(path)
        if run not in known.ours and run not in known.theirs:  # as nearly all; to join them takes a while
            return True
        both, found = known.both, list[bool]()
        guard(self._copier, layout.folder(path), lambda: found.append(self._is_wanted(path, both)))
        return found == [True]

    def _is_wanted(self, path: str, both: Deletions) -> bool:
        known, run, tokens = *self._of(path), tokens_of(self._ours, path)
        deletion = both.of(run, tokens)
        live = self._is_live(self._copier.source, path, tokens)
        if deletion is None:
            return not (live and self._is_in_the_way(path))
        by_destination = known.theirs.of(run, tokens) is not None
        if by_destination and self._is_back(self._copier.destination, path, tokens):
            return self._return(path, tokens, f"{deletion}, and there again at the destination")
        if not live:  # it is about to be freed; the destination has to know where it has the run
            return not by_destination and bool(tokens_of(self._theirs, path) & tokens)
        by_source = known.ours.of(run, tokens) is not None
        if path in self._restored or (by_source and self._is_back(self._copier.source, path, tokens)):
            again = "restored" if path in self._restored else "there again at the source"
            return not self._is_in_the_way(path) and self._return(path, tokens, f"{deletion}, and {again}")
        where = "destination" if by_destination else "source"
        self._note("deleted", path, f"{deletion} at the {where}; `molexp sync --restore {path}` brings it all the same")
        return False

    def _is_in_the_way(self, path: str) -> bool:
        """Tell whether the destination has a run of this id that is deleted and not freed."""
        if delete_edit_of(self._theirs, path) is None:
            return False
        what = "a run of this id was deleted at the destination, and is in the way until `molexp gc --yes` has freed it there"
        self._note("unfinished", path, what)
        return True

    def _return(self, path: str, tokens: frozenset[str], what: str) -> bool:
        experiment, _, run = path.rpartition("/")
        self._note("returned", path, what)
        self._returned[experiment][run] = tokens
        return True

    def settle(self, paths: Collection[str]) -> None:
        """Remember the runs that returned, and hide those again that were freed meanwhile, after runs were brought.

        Whoever frees a run says so first. So either it is seen here, or what was brought is there when he looks.
        """
        for path in self.look(paths):
            deletion = self._known[path.rpartition("/")[0]].newest(path)[1]
            tokens = tokens_of(self._theirs, path)
            if deletion is not None and (tokens & deletion.tokens or not tokens):
                self._delete(path, deletion)
        returned, self._returned = self._returned, defaultdict(dict)
        for experiment, runs in returned.items():
            if not self._copier.dry_run:
                remember_returned(self._copier.destination.home, experiment, runs)

    # ------------------------------------------------------------------------------------------------------------ pieces

    def _of(self, path: str) -> tuple[_Known, str]:
        """Return what is known of an experiment's runs, and the id of one."""
        experiment, _, run = path.rpartition("/")
        return self._known[experiment], run

    def _is_back(self, side: Side, path: str, tokens: frozenset[str]) -> bool:
        """Tell whether somebody brought one of these runs back to a side, which remembers that they were deleted."""
        return not is_arriving(side, path) and self._is_live(side, path, tokens)

    @staticmethod
    def _is_live(side: Side, path: str, tokens: frozenset[str]) -> bool:
        """Tell whether a side has one of these runs, and has not deleted it."""
        return bool(tokens_of(side.store, path) & tokens) and delete_edit_of(side.store, path) is None

    def _note(self, sort: str, path: str, what: str) -> None:
        self._copier.ledger.note(sort, layout.folder(path), what)


def _edits(side: Side) -> defaultdict[str, list[str]]:
    """Return the keys of the edits of experiments, as they were listed."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for key in filter(layout.is_edit, side.entries):  # few are, and to place a key takes longer
        path, rest = layout.place(key)
        if layout.is_experiment(path) and _EDIT.fullmatch(rest):
            found[path].append(key)
    return found
