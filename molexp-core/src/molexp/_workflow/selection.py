"""A choice among the runs that a script asks for, and the points that take the place of its own."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from molexp._catalog.query.answers import Question, look_up
from molexp._catalog.query.near_misses import NearMiss, near_misses, parts_of
from molexp._catalog.query.questions import checked_limit, parse_run_query
from molexp._profiles.overrides import names_in, override
from molexp._query.evaluation import ABSENT, matches
from molexp._query.expressions import Expression, Field, fields_of
from molexp._values.copies import own_copy
from molexp._values.ids import nearest
from molexp._values.status import RunStatus
from molexp.errors import NotFoundError

if TYPE_CHECKING:
    from molexp._hierarchy.experiment import Experiment
    from molexp._workflow.scripts import Script

_FAILED = {str(one) for one in RunStatus if one.finished and one is not RunStatus.SUCCEEDED}
DELETED, UNREADABLE = "deleted", "unreadable"  # in the place of a status
_DIFFERENT = 1000  # texts and names that are kept for suggestions


class Selection(Struct, frozen=True, kw_only=True):
    """A choice among the runs that a script asks for. A run is chosen if it meets all of what is given.

    Attributes:
        where: a query about the planned runs, as about those of the catalog; one that does not exist yet is ``pending``.
        failed: only runs that have ended, and did not succeed.
        experiments: the ids or paths of the only experiments that count.
        limit: the number of runs to execute at most; those that are skipped or left alone do not count.

    Example:
        >>> from molexp.scripts import Selection
        >>> Selection(where="params.a > 3", limit=10).limit
        10
    """

    where: str | None = None
    failed: bool = False
    experiments: tuple[str, ...] = ()
    limit: int | None = None


class LeftOut(Struct, frozen=True, kw_only=True):
    """The planned runs that a selection has left out, and the reasons.

    Attributes:
        statuses: the number of those runs by status; ``deleted`` and ``unreadable`` are among them.
        near_misses: the conditions of the query, each with the number of planned runs that meet it, taken alone.
        unknown_fields: parameters in the query that no planned run has, each with those that look similar.
        matching: the number of planned runs that meet the query; None if there is none.

    Example:
        >>> from molexp.scripts import LeftOut
        >>> LeftOut(statuses={"succeeded": 2}).statuses
        {'succeeded': 2}
    """

    statuses: Mapping[str, int]
    near_misses: tuple[NearMiss, ...] = ()
    unknown_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    matching: int | None = None


class Chooser:
    """Choose among planned runs, and remember what was left out.

    Args:
        selection: the choice.

    Raises:
        QueryError: its query cannot be understood.
        TypeError, ValueError: its limit is none.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.left_out: Counter[str] = Counter()  # by status
        self.unmet: dict[str, str] = {}  # by experiment: a run that was left out and has not succeeded
        self._where = _Where(selection.where) if selection.where is not None else None
        self._left = checked_limit(selection.limit)

    @property
    def asks_for_provenance(self) -> bool:
        """Tell whether the query is about how runs came to be."""
        return self._where is not None and any(one.parts[0] == "provenance" for one in self._where._values)

    @property
    def chooses(self) -> bool:
        """Tell whether any run may be left out of an experiment."""
        return self._where is not None or self.selection.failed or self._left is not None

    def takes(self, experiment: str, document: Mapping[str, Any], *, executes: bool) -> bool:
        """Tell whether a run is chosen.

        Args:
            experiment: the path of its experiment.
            document: everything on record about it.
            executes: it is to be executed, which counts for the limit.
        """
        status = document["status"]
        chosen = self._where is None or self._where.matches(document)
        chosen = chosen and (status in _FAILED or not self.selection.failed)
        if chosen and executes and self._left is not None:
            chosen = self._left > 0
            self._left -= chosen
        if not chosen:
            self.left_out[status] += 1
            if status not in (RunStatus.SUCCEEDED, DELETED):
                self.unmet.setdefault(experiment, document["path"])
        return chosen

    def explain(self) -> LeftOut:
        """Return what was left out, and why."""
        statuses = dict(self.left_out)
        if self._where is None:
            return LeftOut(statuses=statuses)
        near = tuple(self._where.near_misses())
        where = self._where
        return LeftOut(
            statuses=statuses, near_misses=near, unknown_fields=where.unknown_fields(), matching=where.matching
        )


def chosen_experiments(script: Script, wanted: Sequence[str]) -> list[Experiment]:
    """Return the experiments of a script that are chosen, in its order.

    Raises:
        NotFoundError: it has no such experiment; names the nearest.
    """
    experiments = [experiment for experiment, _ in script.experiments]
    if not wanted:
        return experiments
    found: set[Experiment] = set()
    for name in wanted:
        same = {one for one in experiments if name.lower() in (one.id, one.path)}
        if not same:
            names = [text for one in experiments for text in ((one.path,) if "/" in name else (one.id,))]
            there = ", ".join(one.path for one in experiments[:3])
            more = ", ..." if len(experiments) > 3 else ""
            raise NotFoundError(
                "experiment",
                name,
                where=f"the script {str(script.path)!r}",
                nearest=nearest(name, names),
                hint=f"It has {there}{more}.",
            )
        found |= same
    return [one for one in experiments if one in found]


class Points:
    """The points of experiments, with some parameters set to other values: a sweep on the spot.

    Args:
        settings: the values of each parameter, by name; ``+name`` may be new.
        experiments: those that the parameters may belong to.
        script: the script, for errors.

    Raises:
        NotFoundError: no experiment has a parameter of this name; names the nearest.
        ProfileError: a name leads into what is no mapping.
    """

    def __init__(self, settings: Mapping[str, Sequence[Any]], experiments: Iterable[Experiment], script: str) -> None:
        self._settings = dict(settings)
        self._own: dict[Experiment, list[Any]] = {}
        names, unknown = set[str](), {name for name in settings if not name.startswith("+")}
        for experiment in experiments if unknown else ():
            for point in self.of(experiment, changed=False):
                if isinstance(point, Mapping):
                    known = {*names_in({**experiment.params, **point})}
                    unknown -= known
                    names |= known if len(names) < _DIFFERENT else set()
        for name in sorted(unknown):
            hint = f"To add it, write '+{name}'."
            raise NotFoundError(
                "parameter", name, where=f"the script {script!r}", nearest=nearest(name, names), hint=hint
            )

    def of(self, experiment: Experiment, *, changed: bool = True) -> list[Any]:
        """Return the points of an experiment; an iterator gives its points only once."""
        if experiment not in self._own:
            space = experiment.space
            self._own[experiment] = [{}] if space is None else list(space)
        if not changed or not self._settings:
            return self._own[experiment]
        fixed = dict(experiment.params)
        return [new for point in self._own[experiment] for new in self._changed(fixed, point)]

    def _changed(self, fixed: Mapping[str, Any], point: Any) -> Iterator[Any]:
        if not isinstance(point, Mapping):
            yield point  # whoever plans it says what is wrong
            return
        whole = {**fixed, **point}
        known = {*names_in(whole)}
        mine = {name: values for name, values in self._settings.items() if name.startswith("+") or name in known}
        for values in itertools.product(*mine.values()):
            new = own_copy(whole)
            for name, value in zip(mine, values, strict=True):
                override(new, name, value, file=None)
            yield {key: value for key, value in new.items() if key in point or any(_is_in(name, key) for name in mine)}


def _is_in(name: str, key: str) -> bool:
    """Tell whether a dotted name may mean something in a parameter."""
    name = name.removeprefix("+")
    return name == key or name.startswith(f"{key}.")


def _origin(known: Any) -> Mapping[str, Any]:
    """Return the provenance in the document of a planned run, which holds it."""
    return known if isinstance(known, Mapping) else {}


class _Where:
    """A query about planned runs, which counts how many meet each of its conditions."""

    def __init__(self, text: str) -> None:
        self._whole = parse_run_query(text)
        self._parts = [*parts_of(self._whole)]
        self._counts: Counter[Expression] = Counter()
        self._values: dict[Field, set[str | float]] = {one: set() for one in fields_of(self._whole)}
        self._found: set[Field] = set()
        self._names: set[str] = set()
        self.matching = 0

    def matches(self, document: Mapping[str, Any]) -> bool:
        for one, values in self._values.items():
            value = look_up(document, one, _origin)
            if value is not ABSENT:
                self._found.add(one)
            if isinstance(value, str | int | float) and len(values) < _DIFFERENT:
                values.add(value)
        if len(self._names) < _DIFFERENT:
            self._names.update(names_in(document.get("parameters") or {}))
        # all of them are counted, whether the others hold or not
        met = [one for one in self._parts if matches(one, lambda asked: look_up(document, asked, _origin))]
        self._counts.update(met)
        found = len(met) == len(self._parts)
        self.matching += found
        return found

    def near_misses(self) -> list[NearMiss]:
        question = Question(where=[self._whole])
        return near_misses(question, lambda one: self._counts[one.where[0]], lambda one: self._values[one])

    def unknown_fields(self) -> dict[str, tuple[str, ...]]:
        asked = sorted(
            {one for one in self._values if one.parts[0] == "params"} - self._found, key=lambda one: one.name
        )
        return {
            one.name: tuple(f"params.{name}" for name in nearest(".".join(one.parts[1:]), self._names)) for one in asked
        }
