"""The conformance kit of run-id schemes."""

from __future__ import annotations

import os
import pickle
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from molexp.testing._conformance import Conformance, required
from molexp.testing._kit_process import a_day_later, answer_of, manager_with
from molexp.testing._scheme_identities import (
    CONFIGS_DIFFER,
    EQUAL,
    EVERY,
    ONE,
    PARAMETERS_DIFFER,
    PLACES_DIFFER,
    REPLICAS_DIFFER,
    sweep,
)

if TYPE_CHECKING:
    from molexp.contracts import RunIdentity, RunIdScheme

_MANY = 20_000  # identities: ids of six hex digits or fewer collide among them


class RunIdSchemeTests(Conformance, abstract=True):
    """The contract of `molexp.contracts.RunIdScheme`, as tests.

    Identities are the same if their canonical JSON is: the order of keys does not count, ``1`` is ``1.0``, ``True`` is not
    ``1``, and text is compared exactly; see ``docs/explanation/run-ids.md``. The same identities have one id, on every
    machine, and others have others. A scheme that leaves something out on purpose says so with `declared_override`.

    Example:
        >>> class TestReadable(RunIdSchemeTests):
        ...     def scheme(self):
        ...         return Readable
        ...
        ...     def known_ids(self):
        ...         return [(RunIdentity("metals", "cu", {"a": 3.6}, replica=0, config={}), "a-3.6_r0")]
    """

    @required
    def scheme(self) -> type[RunIdScheme]:
        """Return the scheme."""
        raise NotImplementedError

    @required
    def known_ids(self) -> Sequence[tuple[RunIdentity, str]]:
        """Return one or more identities with their ids, written down once: no later version may derive others."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------------ registering

    def test_it_is_registered_as_it_is(self) -> None:
        cls = self.scheme()
        assert manager_with("run_id_schemes", cls).run_id_scheme(cls.name) is cls
        assert re.search(r"\d", cls.name), f"the name {cls.name!r} has no version in it, as in 'molexp-1'"

    # --------------------------------------------------------------------------------------------------- equal identities

    @pytest.mark.parametrize("pair", EQUAL.values(), ids=EQUAL.keys())
    def test_equal_identities_have_one_id(self, pair: tuple[RunIdentity, RunIdentity]) -> None:
        one, other = self._ids(pair)
        assert one == other, f"{pair[0]} and {pair[1]} are the same run"

    def test_an_id_does_not_depend_on_what_was_derived_before(self) -> None:
        first, scheme = self._ids(EVERY), self.scheme()()
        backwards = [scheme.derive(identity) for identity in reversed(EVERY)]
        self._check_same(first, backwards[::-1], "is derived in another order")
        self._check_same(first, [scheme.derive(identity) for identity in EVERY], "is derived again")

    def test_an_id_does_not_depend_on_the_time(self) -> None:
        first = self._ids(EVERY)
        with a_day_later(self.scheme()):
            later = self._ids(EVERY)
        self._check_same(first, later, "is derived a day later")

    @pytest.mark.parametrize("seed", ["0", "1"])
    def test_another_process_derives_the_same(self, tmp_path: Path, seed: str) -> None:
        """Derive in another folder, another time zone, as another user, where sets have another order."""
        elsewhere = {"TZ": f"UTC+{seed}5", "USER": f"user-{seed}", "LOGNAME": f"user-{seed}", "HOME": str(tmp_path)}
        found = answer_of("molexp.testing._scheme_worker", self, cwd=tmp_path, PYTHONHASHSEED=seed, **elsewhere)
        self._check_same(self._ids(EVERY), found, "is derived by another process")

    def test_ids_are_those_of_earlier_versions(self) -> None:
        assert self.known_ids(), "known_ids() is to return one or more"
        for identity, known in self.known_ids():
            (found,) = self._ids([identity])
            assert found == known, f"{identity} was {known!r} and is {found!r}: another derivation needs another name"

    # -------------------------------------------------------------------------------------------------- other identities

    def test_other_parameters_have_another_id(self) -> None:
        self._check_different(PARAMETERS_DIFFER)

    def test_other_replicas_have_another_id(self) -> None:
        self._check_different(REPLICAS_DIFFER)

    def test_another_configuration_has_another_id(self) -> None:
        self._check_different(CONFIGS_DIFFER)

    def test_another_project_or_experiment_has_another_id(self) -> None:
        self._check_different(PLACES_DIFFER)

    def test_no_component_is_taken_for_another(self) -> None:
        self._check_different(EVERY)

    def test_the_runs_of_a_large_sweep_have_an_id_each(self) -> None:
        scheme = self.scheme()()
        assert len({scheme.derive(identity) for identity in sweep(_MANY)}) == _MANY, "ids are too short"

    # ------------------------------------------------------------------------------------------------------------- ids

    def test_deriving_leaves_the_identity_as_it_is(self) -> None:
        for identity in EVERY:
            mine = pickle.loads(pickle.dumps(identity))  # noqa: S301 - our own
            self.scheme()().derive(mine)
            assert repr(mine) == repr(identity), f"{identity} became {mine}"

    def test_a_workspace_takes_its_ids(self) -> None:
        """Derive ids of runs that it has: whatever their names and parameters are, the ids are valid."""
        from molexp import Workspace

        cls = self.scheme()
        workspace = Workspace(f"memory://kit-{os.urandom(8).hex()}", plugins=manager_with("run_id_schemes", cls))
        workspace.configure(run_id_scheme=cls.name)
        for identity in EVERY:
            experiment = workspace.Project(identity.project).Experiment(identity.experiment)
            found = experiment.derived_id(identity.parameters, replica=identity.replica, overrides=identity.config)
            assert found == cls().derive(identity)
        run = workspace.Project(ONE.project).Experiment(ONE.experiment).derived_run({"a": 1})
        assert workspace.run(run.path).to_dict()["id_scheme"] == cls.name

    # ----------------------------------------------------------------------------------------------------------- pieces

    def _ids(self, identities: Iterable[RunIdentity]) -> list[str]:
        return [self.scheme()().derive(identity) for identity in identities]

    def _check_same(self, first: list[str], others: list[str], when: str) -> None:
        for identity, one, other in zip(EVERY, first, others, strict=True):
            assert one == other, f"{identity} has the id {one!r}, and {other!r} when it {when}"

    def _check_different(self, identities: Sequence[RunIdentity]) -> None:
        by_id: dict[str, list[RunIdentity]] = defaultdict(list)
        for identity, derived in zip(identities, self._ids(identities), strict=True):
            by_id[derived].append(identity)
        for derived, same in by_id.items():
            assert len(same) == 1, f"{same[0]} and {same[1]} are two runs, and both have the id {derived!r}"
