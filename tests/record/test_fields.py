"""Fields of asset kinds: whatever is saved is read back as it was, or it is not saved."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

import molexp as me
from molexp.errors import SerializationError
from tests.record.helpers import install

HEAD = """
    import enum, typing
    from collections.abc import Sequence
    from datetime import date, datetime, time, timedelta, timezone
    from decimal import Decimal
    from pathlib import Path, PurePosixPath
    from typing import Any, Literal, NamedTuple
    from uuid import UUID

    import attrs
    import numpy as np
    from molexp.contracts import AssetKind
    from molexp.hookspecs import hookimpl

    class Colour(enum.Enum):
        RED = "red"

    class Pair(NamedTuple):
        number: int
        name: str

    @attrs.frozen
    class Nested:
        values: list[float]

    @attrs.frozen
    class Fields:
        value: FIELD

    class Thing(AssetKind[Any, Fields]):
        name = "thing"

        def save(self, obj, sink):
            sink.write(b"bytes")
            return Fields(obj)

        def load(self, source):
            with source.open() as stream:
                return stream.read(), source.fields.value

    @hookimpl
    def molexp_register_asset_kinds():
        return [Thing]
"""

GIVEN_BACK = {
    "float": ("float", "1.5"),
    "nan": ("float", "float('nan')"),
    "infinity": ("float", "float('inf')"),
    "a whole number": ("float", "2"),
    "nan in a list": ("list[float]", "[1.0, float('nan')]"),
    "nan in a dict": ("dict[str, float]", "{'a': float('nan'), '$b': 1.0}"),
    "nan in a record": ("Nested", "Nested([float('nan')])"),
    "decimal": ("Decimal", "Decimal('1.50')"),
    "uuid": ("UUID", "UUID(int=7)"),
    "timedelta": ("timedelta", "timedelta(seconds=0.1)"),
    "datetime": ("datetime", "datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2)))"),
    "date": ("date", "date(2026, 1, 2)"),
    "time": ("time", "time(10, 30)"),
    "path": ("Path", "Path('a/b')"),
    "pure path": ("PurePosixPath", "PurePosixPath('a/b')"),
    "named tuple": ("Pair", "Pair(1, 'x')"),
    "tuple": ("tuple[int, ...]", "(1, 2)"),
    "sequence": ("Sequence[int]", "[1, 2]"),
    "set": ("frozenset[str]", "frozenset('ab')"),
    "numpy integer": ("np.int64", "np.int64(3)"),
    "numpy float": ("np.float32", "np.float32(0.1)"),
    "numpy bool": ("np.bool_", "np.bool_(True)"),
    "numpy timedelta": ("np.timedelta64", "np.timedelta64(1234567, 'us')"),
    "array": ("np.ndarray", "np.arange(3)"),
    "typed array": ("np.ndarray[Any, np.dtype[np.float32]]", "np.array([0.1, 0.2], 'f')"),
    "object": ("object", "{'a': [1, 'x', None]}"),
    "anything": ("Any", "{'a': [1.5]}"),
    "enum": ("Colour", "Colour.RED"),
    "enum or record": ("Nested | Colour", "Colour.RED"),
    "record or enum": ("Nested | Colour", "Nested([1.0])"),
    "enum or none": ("Colour | None", "None"),
    "number or text": ("int | str", "5"),
    "text or number": ("str | int", "'5'"),
    "date or text": ("datetime | str", "'soon'"),
    "literal": ("Literal['a', 'b']", "'b'"),
    "bool": ("bool", "True"),
}


@pytest.fixture
def thing(tmp_path, monkeypatch):
    """A plugin with one kind, whose field is of this type."""

    def thing(field: str, source: str = HEAD, eq: str = ""):
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        name = f"molexp-thing-{tmp_path.name.lower().replace('_', '-')}"
        plugins = install(tmp_path / "site", name, source.replace("FIELD", field + eq))
        return plugins, importlib.import_module(name.replace("-", "_"))

    return thing


@pytest.mark.parametrize(("field", "value"), GIVEN_BACK.values(), ids=GIVEN_BACK)
def test_what_is_saved_is_what_is_found(lab, thing, field, value):
    eq = " = attrs.field(eq=attrs.cmp_using(eq=np.array_equal))" if "ndarray" in field else ""
    plugins, module = thing(field, eq=eq)
    given = eval(value, vars(module))
    with lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r").start() as ctx:
        saved = ctx.thing.save("a", given)

    found = lab.load(plugins=plugins).run("p/e/r").asset("a")
    assert type(found) is type(saved)
    assert type(found.fields.value) is type(saved.fields.value)
    assert repr(found.fields.value) == repr(saved.fields.value)
    if not isinstance(given, np.timedelta64 | list | int):  # which come in nanoseconds, as a tuple, or as a float
        assert repr(found.fields.value) == repr(given) or found.fields.value == given
    if "nan" not in value:
        assert found == saved
    assert found.load()[0] == b"bytes"
    (row,) = lab.load(plugins=plugins).catalog.assets(kind="thing")
    assert repr(row.fields.value) == repr(saved.fields.value)


REFUSED = {
    "2.7 for int": ("int", 2.7),
    "text for int": ("int", "three"),
    "a number's text for int": ("int", "3"),
    "nan for int": ("int", float("nan")),
    "none for int": ("int", None),
    "a number for text": ("str", 5),
    "text for bool": ("bool", "no"),
    "text for enum": ("Colour", "blue"),
    "numbers for texts": ("list[str]", [1, 2]),
    "one too many": ("tuple[int, int]", [1, 2, 3]),
    "none of a union": ("Nested | Colour", 5),
    "a value without a form": ("object", 5j),
}


@pytest.mark.parametrize(("field", "value"), REFUSED.values(), ids=REFUSED)
def test_what_would_come_back_as_something_else_is_not_saved(lab, thing, field, value):
    plugins, _ = thing(field)
    run = lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r")
    with run.start() as ctx:
        before = lab.everything()
        with pytest.raises((TypeError, SerializationError), match=r"thing 'a'"):
            ctx.thing.save("a", value)
        assert lab.everything().keys() == before.keys()


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (2.5, r"is 2.5, not int \| None: it would be read back as 2"),
        ("three", r"is 'three', not int \| None"),
        (float("nan"), r"is nan, not int \| None"),
    ],
)
def test_the_message_names_the_field_and_what_would_become_of_it(run, step, said):
    with run.start() as ctx, pytest.raises(TypeError, match=rf"field 'step' of checkpoint 'c.json' {said}"):
        ctx.checkpoint.save("c.json", {}, step=step)


@pytest.mark.parametrize("given", [{}, {"value": 3}])
def test_a_file_that_a_program_writes_is_not_of_a_kind_that_finds_fields_in_objects(lab, thing, given):
    plugins, _ = thing("int")
    with lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r").start() as ctx:
        with (
            pytest.raises(me.NoKindError, match=r"'a'.* Its fields are found in an object: ctx.thing.save\(...\)\.$"),
            ctx.thing.writing("a", **given),
        ):
            pytest.fail("it may write")
        assert ctx.thing.save("a", 3).fields.value == 3


def test_a_file_that_a_program_writes_is_not_of_a_kind_that_grows_and_counts(lab, thing):
    growing = """
        def growing(self):
            raise NotImplementedError

    @hookimpl"""
    plugins, _ = thing("int", HEAD.replace("\n    @hookimpl", growing))
    with (
        lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r").start() as ctx,
        pytest.raises(me.NoKindError, match=r"or item by item: ctx.thing.growing\(...\)"),
        ctx.thing.writing("a"),
    ):
        pytest.fail("it may write")


@pytest.mark.parametrize("how", ["@attrs.frozen", "@dataclasses.dataclass(frozen=True)", "struct"])
def test_fields_are_of_an_attrs_class_a_dataclass_or_a_struct(lab, thing, how):
    of = "msgspec.Struct, frozen=True" if how == "struct" else ""
    source = HEAD.replace(
        "@attrs.frozen\n    class Fields:", f"{how if not of else ''}\n    class Fields({of}):\n        unit: Decimal"
    )
    source = source.replace("value: FIELD", "value: FIELD = 7").replace("Fields(obj)", "Fields(Decimal('1.50'))")
    plugins, module = thing("int", "    import dataclasses, msgspec\n" + source)
    with lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r").start() as ctx:
        ctx.thing.save("a", None)
    fields = lab.load(plugins=plugins).run("p/e/r").asset("a").fields
    assert (type(fields), fields) == (module.Fields, module.Fields(module.Decimal("1.50"), 7))


def test_numbers_of_other_types_are_steps(place, run):
    with run.start() as ctx:
        ctx.checkpoint.save("a.json", {}, step=np.int64(3))
        ctx.checkpoint.save("b.json", {}, step=3.0)
    found = place.load().run("metals/cu/one")
    assert [found.asset(name).step for name in ("a.json", "b.json")] == [3, 3]
    assert [type(asset.step) for asset in found.assets] == [int, int]


def test_old_records_are_read_where_they_can_be(lab, lab_run, thing):
    plugins, _ = thing("dict[str, float]")
    run = lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r")
    with run.start() as ctx:
        ctx.thing.save("a", {"x": float("nan")})
    (record,) = lab.document("projects/p/experiments/e/runs/r/executions/1.end.json")["assets"]
    assert record["fields"] == {"value": {"x": {"$float": "nan"}}}
    unknown = lab.load().run("p/e/r").asset("a")
    assert math.isnan(unknown.fields["value"]["x"])


# ------------------------------------------------------------------------------------------------------ a save that fails


@pytest.mark.parametrize("size", [10, 3 << 20], ids=["small", "large"])
def test_a_save_that_fails_leaves_nothing_and_the_name_is_free(place, run, size):
    with run.start() as ctx:
        before = place.everything().keys()
        with pytest.raises(TypeError, match="no field 'stp'"):
            ctx.checkpoint.save("c.bin", b"x" * size, stp=3)
        with pytest.raises(SerializationError):
            ctx.checkpoint.save("c.bin", b"x" * size, step=object())
        with pytest.raises(TypeError, match="step"), ctx.checkpoint.writing("c.bin", step="three"):
            pass
        ctx.flush()
        assert place.everything().keys() == before
        ctx.checkpoint.save("c.bin", b"y" * size, step=3)

    assert run.asset("c.bin").read_bytes() == b"y" * size
    assert place.load().fsck().findings == ()


def test_a_save_that_fails_leaves_the_version_before(place, run):
    with run.start() as ctx:
        ctx.checkpoint.save("c.bin", b"1" * (2 << 20), step=1)
        with pytest.raises(TypeError):
            ctx.checkpoint.save("c.bin", b"2" * (2 << 20), stp=2)
        assert ctx.checkpoint.load("c.bin") == b"1" * (2 << 20)

    assert (run.asset("c.bin").version, run.asset("c.bin").step) == (1, 1)
    assert place.load().fsck(read_data=True).findings == ()


@pytest.mark.parametrize(
    ("body", "said"),
    [("return None", "returned None"), ("return {'value': 1}", "which is no Fields"), ("1 / 0", "division")],
)
def test_a_kind_whose_save_goes_wrong_leaves_nothing(lab, thing, body, said):
    plugins, _ = thing("int = 0", HEAD.replace("return Fields(obj)", body))
    run = lab.workspace(plugins=plugins).Project("p").Experiment("e").Run(id="r")
    with run.start() as ctx:
        before = lab.everything().keys()
        with pytest.raises((TypeError, ZeroDivisionError), match=said):
            ctx.thing.save("a", 1)
        assert lab.everything().keys() == before
    assert lab.load().fsck().findings == ()


# ------------------------------------------------------------------------------------------------------------ registering


def test_names_for_type_checkers_only_are_refused_when_the_kind_is_registered(thing):
    source = (
        "    from __future__ import annotations\n"
        + HEAD
        + "    if typing.TYPE_CHECKING:\n        from x import Missing\n"
    )
    plugins, _ = thing("Missing", source)
    with pytest.warns(match="'Missing' in an annotation"):
        assert "thing" not in plugins.asset_kinds()
    (found,) = [one for one in plugins.check() if one.status == "broken"]
    assert "import or define it at the top of the module" in found.cause


@pytest.mark.parametrize("field", ["complex", "list[complex]", "dict[str, type]"])
def test_fields_that_json_does_not_give_back_are_refused_when_the_kind_is_registered(thing, field):
    plugins, _ = thing(field)
    with pytest.warns(match="'value' of type .*, which JSON does not give back"):
        assert "thing" not in plugins.asset_kinds()


@pytest.mark.parametrize("field", sorted({field for field, _ in GIVEN_BACK.values()}))
def test_a_check_is_content_with_all_that_is_given_back(thing, field):
    plugins, _ = thing(field)
    assert {one.status for one in plugins.check()} == {"loaded"}
