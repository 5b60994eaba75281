"""Repeating a run: another run with the same definition."""

from __future__ import annotations

from molexp._hierarchy.run import Run
from molexp._hierarchy.run_creation import get_or_create
from molexp._values.canonical import canonical_equal
from molexp._values.copies import own_copy


def repeat_run(run: Run) -> Run:
    """Create a new run with the parameters, replica, profile and configuration of another one, and return it.

    It has an id of its own, whatever the profile file or the experiment's params have become since.

    Args:
        run: the run to repeat.

    Raises:
        NotFoundError: it was deleted.
        SchemaError: a newer MolExp has made the experiment.

    Example:
        >>> from molexp.scripts import repeat_run
        >>> again = repeat_run(run)
        >>> again.parameters == run.parameters, again == run
        (True, False)
    """
    definition = run._editable().definition
    own = definition.get("own_parameters") or {}
    if not canonical_equal({**run.experiment.own_params, **own}, definition["parameters"]):
        own = definition["parameters"]  # the experiment's params were updated since
    known = {name: own_copy(definition.get(name)) for name in ("replica", "profile", "config")}
    said = {**known, "own_parameters": own_copy(own), "config": known["config"] or {}, "id_scheme": None}
    return run.experiment._run_of(get_or_create(run.experiment, None, said, {}))
