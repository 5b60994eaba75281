"""All that user code is given is its own: nothing that it does to it changes the record, another block, or a definition."""

from __future__ import annotations

import copy
import gc
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import attrs
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from msgspec import Struct
from msgspec import field as struct_field

import molexp as me
from molexp._values.copies import own_copy
from molexp.workflow import TaskContext, WorkflowBuilder
from tests.record.helpers import install

FRESH = count()


def spoil(value: Any) -> None:
    """Change all that can be changed of a value, from within."""
    if isinstance(value, dict):
        for item in value.values():
            spoil(item)
        value.clear()
        value["spoilt"] = ["spoilt"]
    elif isinstance(value, list | deque):
        for item in value:
            spoil(item)
        value.clear()
        value.append("spoilt")
    elif isinstance(value, set | bytearray):
        value.clear()
    elif isinstance(value, np.ndarray):
        value.fill(-1)
    elif isinstance(value, Mapping):
        for item in value.values():
            spoil(item)
    elif isinstance(value, tuple):
        for item in value:
            spoil(item)
    elif attrs.has(type(value)) or hasattr(value, "__dataclass_fields__"):
        for name in attrs.fields_dict(type(value)) if attrs.has(type(value)) else value.__dataclass_fields__:
            if not name.startswith("_"):
                spoil(getattr(value, name))


# --------------------------------------------------------------------------------------------------------- every look

LOOKS: dict[str, Callable[[me.Workspace, me.Run], Any]] = {
    "parameters": lambda ws, run: run.parameters,
    "own_parameters": lambda ws, run: run.own_parameters,
    "config": lambda ws, run: run.config,
    "results": lambda ws, run: run.results,
    "history": lambda ws, run: run.execution_history,
    "tasks": lambda ws, run: run.tasks,
    "notes": lambda ws, run: run.notes,
    "provenance": lambda ws, run: run.provenance,
    "to_dict": lambda ws, run: run.to_dict(),
    "assets": lambda ws, run: run.assets,
    "asset fields": lambda ws, run: [asset.fields for asset in run.assets],
    "asset dicts": lambda ws, run: [asset.to_dict() for asset in run.assets],
    "loaded assets": lambda ws, run: [asset.load() for asset in run.assets if asset.kind == "artifact"],
    "experiment.params": lambda ws, run: run.experiment.params,
    "experiment.own_params": lambda ws, run: run.experiment.own_params,
    "experiment.definition": lambda ws, run: run.experiment.definition,
    "experiment.space": lambda ws, run: run.experiment.space,
    "rows": lambda ws, run: [(row.params, row.results, row.document) for row in ws.catalog.runs()],
    "dicts of rows": lambda ws, run: ws.catalog.runs().to_dicts(),
    "rows of runs": lambda ws, run: run.experiment.runs.to_dicts(),
    "rows of assets": lambda ws, run: ws.catalog.assets().to_dicts(),
    "assets of the catalog": lambda ws, run: [asset.fields for asset in ws.catalog.assets()],
    "settings": lambda ws, run: ws.settings,
}

VALUES = st.recursive(
    st.integers(-3, 3) | st.sampled_from(["x", "$ref", None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "$c"]), inner, max_size=3),
    max_leaves=6,
)
PARAMETERS = st.dictionaries(st.sampled_from(["opt", "net"]), VALUES, max_size=2)


class Vandal(RuleBasedStateMachine):
    """User code that mutates whatever it gets, by handles that live long; new handles see what was defined and recorded."""

    runs = Bundle("runs")

    @initialize(params=PARAMETERS, space=st.lists(PARAMETERS, min_size=1, max_size=3))
    def begin(self, params: dict[str, Any], space: list[dict[str, Any]]) -> None:
        self.url = f"memory://vandal-{next(FRESH)}"
        self.ws = me.Workspace(self.url)
        self.params, self.space = copy.deepcopy(params), copy.deepcopy(space)
        self.exp = self.ws.Project("p").Experiment("e", params=params, space=space)
        self.ids = [self.exp.derived_id(point) for point in space]
        spoil(params)
        spoil(space)
        self.expected: dict[str, dict[str, Any]] = {}

    def _made(self, run: me.Run, own: dict[str, Any], config: dict[str, Any]) -> me.Run:
        self.expected.setdefault(run.path, {"parameters": {**self.params, **own}, "config": config, "results": {}})
        return run

    @rule(target=runs, own=PARAMETERS, config=PARAMETERS)
    def make(self, own: dict[str, Any], config: dict[str, Any]) -> me.Run:
        given, overrides = copy.deepcopy(own), copy.deepcopy(config)
        run = self._made(self.exp.Run(given, overrides=overrides), own, config)
        spoil(given)
        spoil(overrides)
        return run

    @rule(target=runs, which=st.integers(0, 2))
    def derive(self, which: int) -> me.Run:
        which %= len(self.space)
        runs = self.exp.runs.create_many()
        assert [run.id for run in runs] == self.ids
        for run, point in zip(runs, self.space, strict=True):
            self._made(run, point, {})
        return runs[which]

    @rule(run=runs, value=VALUES, look=st.sampled_from(sorted(LOOKS)))
    def execute(self, run: me.Run, value: Any, look: str) -> None:
        expected = self.expected[run.path]
        with run.start() as ctx:
            assert ctx.params == expected["parameters"]
            assert ctx.config == expected["config"]
            given, saved = copy.deepcopy(value), {"saved": copy.deepcopy(value)}
            ctx.set_result("r", given)
            asset = ctx.artifact.save("a.json", saved)
            for one in (given, saved, ctx.params, ctx.config, asset, LOOKS[look](self.ws, run)):
                spoil(one)
            expected["results"]["r"] = value
            assert run.asset("a.json").load() == {"saved": value}

    @rule(run=runs, value=VALUES, within=st.booleans())
    def compute(self, run: me.Run, value: Any, within: bool) -> None:
        expected, seen = self.expected[run.path], []
        wf = WorkflowBuilder("w")
        wf.add(lambda ctx: {"made": copy.deepcopy(value), "array": np.arange(3)}, name="first")

        def use(ctx: TaskContext) -> None:
            assert (ctx.params, ctx.config) == (expected["parameters"], expected["config"])
            assert (ctx.inputs["made"], list(ctx.inputs["array"])) == (value, [0, 1, 2])
            seen.append(ctx.inputs)
            for one in (ctx.params, ctx.config, ctx.inputs, ctx.upstream):
                spoil(one)

        for name in ("second", "third"):
            wf.add(use, name=name, depends_on=["first"])
        if within:
            with run.start() as ctx:
                spoil(ctx.params)
                spoil(ctx.config)
                made = wf.build().execute_sync(run=ctx, check=True).outputs["first"]
        else:
            made = wf.build().execute_sync(run=run, check=True).outputs["first"]
        assert (made["made"], list(made["array"]), len(seen)) == (value, [0, 1, 2], 2)

    @rule(run=runs, look=st.sampled_from(sorted(LOOKS)))
    def look(self, run: me.Run, look: str) -> None:
        spoil(LOOKS[look](self.ws, run))

    @invariant()
    def the_record_says_what_was_defined_and_recorded(self) -> None:
        if not hasattr(self, "ws"):
            return
        for ws in (self.ws, me.Workspace.load(self.url)):
            exp = ws.project("p").experiment("e")
            assert (exp.params, exp.space) == (self.params, self.space)
            for path, expected in self.expected.items():
                run = ws.run(path)
                found = {"parameters": run.parameters, "config": run.config, "results": run.results}
                assert found == expected
        assert (self.exp.params, self.exp.space) == (self.params, self.space)
        rows = {row.path: (row.params, row.results) for row in self.ws.catalog.runs()}
        assert rows == {path: (one["parameters"], one["results"]) for path, one in self.expected.items()}


TestVandal = Vandal.TestCase
TestVandal.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


# ------------------------------------------------------------------------------------------- what the machine cannot reach


def test_points_of_a_grid_share_nothing():
    first, second = me.grid(opt=[{"lr": 0.8}], seed=[1, 2])
    first["opt"]["lr"] = 0.1
    assert second == {"opt": {"lr": 0.8}, "seed": 2}


def test_a_profile_is_resolved_anew_for_each(here, lab):
    Path("molcfg.yaml").write_text("profiles: {small: {net: {layers: [1, 2]}}}\n")
    exp = lab.workspace().Project("p").Experiment("e")
    for number in range(2):
        run = exp.Run(id=f"r{number}", profile="small")
        assert run.config == {"net": {"layers": [1, 2]}}
        with run.start() as ctx:
            spoil(ctx.config)


SCHEME = """
    from molexp.contracts import RunIdScheme
    from molexp.hookspecs import hookimpl

    class Greedy(RunIdScheme):
        name = "greedy-1"

        def derive(self, identity):
            return f"r{identity.parameters.pop('seed')}-{len(str(identity.parameters.popitem()))}"

    @hookimpl
    def molexp_register_run_id_schemes():
        return [Greedy]
"""


def test_a_scheme_that_takes_parameters_apart_changes_no_run(lab, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    ws = lab.workspace(plugins=install(tmp_path / "site", "molexp-greedy", SCHEME))
    ws.configure(run_id_scheme="greedy-1")
    exp = ws.Project("p").Experiment("e", params={"opt": {"lr": 1}})
    runs = exp.runs.create_many([{"seed": 1}, {"seed": 2}])
    assert [run.parameters for run in runs] == [{"opt": {"lr": 1}, "seed": 1}, {"opt": {"lr": 1}, "seed": 2}]


# ---------------------------------------------------------------------------------------------------------- what is copied


class Named(NamedTuple):
    """A record."""

    items: list[int]


@dataclass
class Data:
    """Another."""

    items: list[int] = field(default_factory=lambda: [1])


@attrs.frozen
class Frozen:
    """One of which only what lies in it changes."""

    items: list[int] = attrs.Factory(lambda: [1])


class Plain(Struct):
    items: list[int] = struct_field(default_factory=lambda: [1])


class Carrying(Struct, frozen=True, dict=True):
    items: list[int] = struct_field(default_factory=lambda: [1])


class Handle:
    """An object that stands for something, and does not say how it is copied."""


COPIED = [
    {"a": [1]}, [[1]], ([1],), {1, 2}, bytearray(b"x"), deque([[1]]), OrderedDict(a=[1]), defaultdict(list, a=[1]),
    Named([1]), Data(), Frozen(), Plain(), Carrying(), np.arange(3),
]  # fmt: skip


@pytest.mark.parametrize("value", COPIED, ids=lambda value: type(value).__name__)
def test_containers_records_and_arrays_are_copied(value):
    before, made = copy.deepcopy(value), own_copy(value)
    assert type(made) is type(value)
    assert np.array_equal(made, value) if isinstance(value, np.ndarray) else made == value
    spoil(made)
    assert np.array_equal(value, before) if isinstance(value, np.ndarray) else value == before


def test_the_copy_of_a_struct_carries_what_the_struct_carries():
    value = Carrying()
    vars(value)["unit"] = "eV"
    made = own_copy([value])[0]
    assert made is not value
    assert made.unit == "eV"


def test_other_objects_are_shared():
    class Stubborn:
        def __deepcopy__(self, memo):
            raise RuntimeError("no")

    for value in (Handle(), Stubborn(), Path("x"), Handle, (number for number in "ab"), open):
        assert own_copy(value) is value
        assert own_copy([value])[0] is value


def test_what_contains_itself_does_so_in_the_copy():
    value: list[Any] = [1]
    value.append(value)
    made = own_copy(value)
    assert made is not value
    assert made[1] is made
    twice = [1]
    first, second = own_copy([twice, twice])
    assert first is second


def test_very_deep_values_are_shared():
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert own_copy(value) is value


def test_a_program_may_remember_something_of_an_asset_while_the_asset_is_there(run):
    with run.start() as ctx:
        asset = ctx.artifact.save("a.json", [1])
        remembered = WeakKeyDictionary({asset: "seen"})
        assert remembered[ctx.asset("a.json")] == "seen"
        del asset
    gc.collect()
    assert not remembered
