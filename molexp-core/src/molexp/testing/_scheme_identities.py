"""The identities of runs that run-id schemes are tried with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from molexp.contracts import RunIdentity

PARAMETERS: dict[str, Any] = {"a": 1, "b": [2, {"c": 0.5, "d": None}], "name": "Cu"}
CONFIG: dict[str, Any] = {"tol": 1e-9, "solver": {"steps": 10, "device": "cpu"}}
ONE = RunIdentity("metals", "cu", PARAMETERS, replica=0, config=CONFIG)


def _with(**parameters: Any) -> RunIdentity:
    return replace(ONE, parameters={**PARAMETERS, **parameters})


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(one) for key, one in reversed(value.items())}
    return [_reversed(one) for one in value] if isinstance(value, list) else value


EQUAL: Mapping[str, tuple[RunIdentity, RunIdentity]] = {
    "the same values": (ONE, RunIdentity("metals", "cu", _reversed(_reversed(PARAMETERS)), 0, dict(CONFIG))),
    "another order of keys": (ONE, replace(ONE, parameters=_reversed(PARAMETERS), config=_reversed(CONFIG))),
    "1 and 1.0": (ONE, _with(a=1.0)),
    "1 and 1.0, deeper": (_with(b=[{"c": 1}]), _with(b=[{"c": 1.0}])),
    "0 and -0.0": (_with(a=0), _with(a=-0.0)),
    "10**22 and 1e22": (_with(a=10**22), _with(a=1e22)),
    "10 and 10.0 in the configuration": (
        ONE,
        replace(ONE, config={**CONFIG, "solver": {"steps": 10.0, "device": "cpu"}}),
    ),
}
"""Identities that mean the same, by the rules of canonical JSON."""

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 2, -1, 1.5, "1", "1.0", "true", "null", "", "x", "X", "a=1", "[]", [], {}, [1], {"a": 1}),
    *([1, 2], [2, 1], [[1], 2], [1, [2]], [[1, 2]], [1.5], ["1"], [None], [{}], [[]], {"b": 1}, {"B": 1}, {"a": None}),
    *(0.1, 0.1 + 2**-56, 0.1 + 0.2, 0.3, 1e-300, 2**53, 2**53 + 1, 2**64, 1e22 + 2**22, 10**22 + 1, -(10**22)),
    *("é", "e\u0301", "\u212b", "Å", "ß", "ss", " ", "x ", "\n", "\\n", '"', "/", "..", "con", "日本", "🧪", "x" * 300),
)

PARAMETERS_DIFFER: tuple[RunIdentity, ...] = (
    ONE,
    replace(ONE, parameters={}),
    *(_with(a=value) for value in _VALUES),
    *(replace(ONE, parameters=one) for one in ({"a": 1}, {"A": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}, {"b": 1})),
    *(replace(ONE, parameters=one) for one in ({"a": "1,b=2"}, {"a.b": 1}, {"a": {"b": 1}}, {"a1": 2}, {"a": 12})),
    *(_with(**{f"p{number}": number / 7 for number in range(count)}) for count in (60, 61)),
)
REPLICAS_DIFFER = tuple(replace(ONE, replica=number) for number in (0, 1, 2, 10, 11, 10**6, 10**6 + 1))
_SOLVERS: tuple[Any, ...] = ({"steps": 10}, {"steps": 11, "device": "cpu"}, [])
CONFIGS_DIFFER: tuple[RunIdentity, ...] = (
    ONE,
    replace(ONE, config={}),
    *(replace(ONE, config={**CONFIG, "tol": value}) for value in (1e-8, "1e-9", None, True)),
    *(replace(ONE, config={**CONFIG, "solver": value}) for value in _SOLVERS),
)
PLACES_DIFFER: tuple[RunIdentity, ...] = (
    *(
        replace(ONE, project=project, experiment=experiment)
        for project in ("metals", "a")
        for experiment in ("cu", "b-c")
    ),
    replace(ONE, project="a-b", experiment="c"),
    replace(ONE, project="cu", experiment="metals"),
    replace(ONE, experiment="e" * 128),
    replace(ONE, project="p" * 128),
)
SWAPPED = (
    RunIdentity("metals", "cu", {"x": 1}, 0, {}),
    RunIdentity("metals", "cu", {}, 0, {"x": 1}),
    RunIdentity("metals", "cu", {"replica": 1}, 0, {}),
    RunIdentity("metals", "cu", {}, 1, {}),
    RunIdentity("metals", "cu", {}, 0, {"replica": 1}),
    RunIdentity("metals", "cu", {"config": {}}, 0, {}),
    RunIdentity("metals", "cu", {}, 0, {"parameters": {}}),
)
"""Identities of which one has, in one component, what another has in another."""

EVERY = (*PARAMETERS_DIFFER, *REPLICAS_DIFFER[1:], *CONFIGS_DIFFER[1:], *PLACES_DIFFER[1:], *SWAPPED)
"""All of them; no two are the same."""


def sweep(number: int) -> Iterator[RunIdentity]:
    """Yield the identities of a sweep."""
    for point in range(number):
        yield RunIdentity("metals", "cu", {"a": point // 3, "x": point / 7}, point % 3, {})
