"""Run the checks of a conformance kit in this process, without pytest's collection, and tell which fail."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

Fixtures = Callable[[Path], AbstractContextManager[Mapping[str, Any]]]
"""Makes the values of fixtures for one check, and puts them away."""


def checks_of(kit: type[Any]) -> list[str]:
    """Return the names of all checks of a kit."""
    return [name for name, _ in inspect.getmembers(kit, inspect.isfunction) if name.startswith("test_")]


def failures(kit: type[Any], folder: Path, *checks: str, fixtures: Fixtures | None = None) -> set[str]:
    """Return which of these checks fail, by default of all, in any of their variants; no more of one that failed is run."""
    return {check for check in checks or checks_of(kit) if _fails(kit, check, folder, fixtures or _none)}


def _none(folder: Path) -> AbstractContextManager[Mapping[str, Any]]:
    return nullcontext({})


def _fails(kit: type[Any], check: str, folder: Path, fixtures: Fixtures) -> bool:
    for number, variant in enumerate(_variants(getattr(kit, check))):
        (place := folder / f"{check}-{number}").mkdir(parents=True)
        with fixtures(place) as given:
            instance = kit()
            function = getattr(instance, check)
            values = {"tmp_path": place, **given, **variant}
            try:
                function(**{name: values[name] for name in inspect.signature(function).parameters})
            except pytest.skip.Exception:
                continue
            except (Exception, pytest.fail.Exception):  # noqa: BLE001 - it is whatever the kit finds
                return True
    return False


def _variants(function: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the values of the parameters of a check, for each of its variants."""
    marks = [mark for mark in getattr(function, "pytestmark", ()) if mark.name == "parametrize"]
    rows = [[_values(mark.args[0], row) for row in mark.args[1]] for mark in marks]
    for combined in itertools.product(*rows):
        yield {name: value for row in combined for name, value in row.items()}


def _values(names: Any, row: Any) -> Mapping[str, Any]:
    found = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    return {found[0]: row} if len(found) == 1 else dict(zip(found, row, strict=True))
