"""The conformance kit of plugins, as distributions that are installed."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from molexp.testing._conformance import Conformance, required

if TYPE_CHECKING:
    from molexp.plugins import Examination, PluginInfo
    from molexp.plugins._examination import Check


class PluginTests(Conformance, abstract=True):
    """Tests of a distribution with plugins, as it is installed; ``molexp plugins check NAME`` tells the same.

    Example:
        >>> class TestMyPlugin(PluginTests):
        ...     def distribution(self):
        ...         return "molexp-lab"
    """

    seconds: ClassVar[float] = 120.0
    """Seconds that importing it may take in a process of its own, on a machine that is busy."""

    @required
    def distribution(self) -> str:
        """Return the name of the distribution, which is installed."""
        raise NotImplementedError

    def test_it_is_installed(self) -> None:
        assert self._examined()

    def test_its_metadata_says_what_it_is(self) -> None:
        self._check("metadata")

    def test_it_says_with_which_core_it_works(self) -> None:
        self._check("requirement")

    def test_type_checkers_see_its_types(self) -> None:
        self._check("types")

    def test_it_is_loaded_and_makes_what_it_provides(self) -> None:
        """Import it in a process of its own, call its hooks, and make its kinds, schemes and executors."""
        self._check("loading")

    def test_it_prints_nothing(self) -> None:
        self._check("output")

    def test_registering_imports_no_large_library(self) -> None:
        self._check("imports")

    def test_its_names_are_its_own(self) -> None:
        self._check("names")

    def test_optional_methods_are_spelled_as_the_contract_spells_them(self) -> None:
        self._check("spelling")

    def test_what_it_provides_is_tested_by_its_kit(self, request: pytest.FixtureRequest) -> None:
        """Look for the kit of each thing among the tests that were collected."""
        from molexp import testing

        missing = [
            f"it provides the {what} {one.provides[what][0]!r}, and no test is one of {kit}"
            for one in self._examined()
            for what, kit in one.kits.items()
            if kit and not any(issubclass(cls, getattr(testing, kit)) for cls in self.kits())
        ]
        if missing and {getattr(item, "module", None) for item in request.session.items} == {
            sys.modules[type(self).__module__]
        }:
            pytest.skip("no other module of tests is run beside this one")
        assert not missing, "; ".join(missing)

    def kits(self) -> list[type]:
        """Return the classes of tests that are kits."""
        return [cls for cls in _below(Conformance) if cls.__name__.startswith("Test")]

    def _examined(self) -> tuple[Examination, ...]:
        return _examined(self.distribution(), self.seconds)

    def _check(self, check: Check) -> None:
        for one in self._examined():
            assert not one.findings[check], f"{one.plugin}: {'; '.join(one.findings[check])}"


def _below(cls: type[Any]) -> Iterator[type[Any]]:
    for one in cls.__subclasses__():
        yield one
        yield from _below(one)


@functools.cache
def _examined(name: str, seconds: float) -> tuple[Examination, ...]:
    """Return what was found out about the plugins of a distribution beside MolExp's own, each tried once."""
    from molexp.plugins import PluginManager
    from molexp.plugins._sorts import OURS

    manager = PluginManager(environ={"MOLEXP_PLUGINS": ",".join({name, *OURS})})
    plugins: tuple[PluginInfo, ...] = manager.find(name)
    return tuple(manager.examine(plugin, seconds=seconds) for plugin in plugins)
