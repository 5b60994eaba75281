"""The advice of an error can be followed, where it is given."""

from __future__ import annotations

import argparse
import re
from fractions import Fraction
from typing import Any

import numpy
import pandas
import pytest

import molexp as me
from molexp.errors import NoKindError, SerializationError
from tests.internals import types_of_science


class Model:
    """As pydantic's."""

    def model_dump(self) -> dict[str, Any]:
        return {"a": 1}


ELSEWHERE = {
    "a long array": (numpy.arange(2000), "value.tolist()", list(range(2000))),
    "a complex number": (1 + 2j, "[value.real, value.imag]", [1.0, 2.0]),
    "a complex scalar": (numpy.complex64(1 + 2j), "[value.real, value.imag]", [1.0, 2.0]),
    "an iterator": (map(abs, [-1, 2]), "list(value)", [1, 2]),
    "a range": (range(3), "list(value)", [0, 1, 2]),
    "a fraction": (Fraction(1, 4), "float(value)", 0.25),
    "a missing value of pandas": (pandas.NA, "None", None),
    "parsed arguments": (argparse.Namespace(a=1), "vars(value)", {"a": 1}),
    "a model": (Model(), "value.model_dump()", {"a": 1}),
}
IN_RUNS = "with ctx.artifact.writing('NAME.npy') as path: numpy.save(path, value)"


@pytest.fixture
def exp() -> me.Experiment:
    return me.Workspace("memory://advice").Project("p").Experiment("e")


@pytest.mark.parametrize(("value", "code", "becomes"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_the_code_that_is_advised_works(exp, value, code, becomes):
    with pytest.raises(SerializationError) as caught:
        exp.Run({"a": value})
    assert code in str(caught.value)
    assert "ctx." not in str(caught.value), "there is no context yet"
    assert exp.Run({"a": eval(code)}).parameters["a"] == becomes

    with exp.Run().start() as ctx:
        for record in (lambda what: ctx.set_result("a", what), lambda what: ctx.artifact.save("a.json", {"a": what})):
            with pytest.raises(SerializationError) as caught:
                record(value)
            assert code in str(caught.value)
            record(eval(code))


@pytest.mark.parametrize("value", [argparse.Namespace(a=1), Model()])
def test_it_is_said_of_parameters_as_a_whole(exp, value):
    with pytest.raises(SerializationError, match=r"use vars\(value\)|use value.model_dump\(\)"):
        exp.Run(value)


WITHOUT = me.PluginManager(environ={"MOLEXP_PLUGINS": "molexp-core"})
INSTALL = r"install what saves it, .*(pip|uv|pipx)\b.* 'molexp\[science\]'.*, and use ctx.array.save\('forces', value\)"


@pytest.fixture
def bare() -> me.Experiment:
    """An experiment where no kind of arrays is installed."""
    return me.Workspace("memory://bare", plugins=WITHOUT).Project("p").Experiment("e")


@pytest.mark.parametrize("place", ["forces", "fit"])
def test_what_an_installed_kind_saves_is_saved_by_the_call_that_is_advised(exp, place):
    pytest.importorskip("molexp_science")
    value = numpy.arange(2000.0)
    with exp.Run().start() as ctx:
        with pytest.raises(
            SerializationError, match=r"at most 1000 .* use value.tolist\(\), or save it as an asset"
        ) as caught:
            ctx.set_result(place, value if place == "forces" else {"forces": [value]})
        assert caught.value.path == ("results.forces" if place == "forces" else "results.fit.forces[0]")
        call = re.search(r"ctx\.array\.save\(.*, value\)", str(caught.value))
        assert call is not None
        saved = eval(call[0])
        assert (saved.load() == value).all()
        assert saved.name == place


def test_what_no_installed_kind_saves_but_one_of_molexps_names_the_command(bare):
    value = numpy.arange(2000.0)
    with bare.Run().start() as ctx:
        with pytest.raises(SerializationError, match=f"artifact.writing.*; or {INSTALL}"):
            ctx.set_result("forces", value)
        with pytest.raises(NoKindError, match=INSTALL.replace("install", "Install", 1)) as caught:
            ctx.save("forces", value)
        with pytest.raises(NoKindError, match=r"with ctx\.artifact\.writing"):
            ctx.save("forces", object())
    assert "artifact" in caught.value.kinds


def test_nobody_is_told_to_install_what_is_installed(exp):
    """A kind names the class, and does not take the object."""
    pytest.importorskip("molexp_science")
    value = type("Mol", (), {"__module__": "rdkit.Chem.rdchem"})()
    with exp.Run().start() as ctx:
        for record in (ctx.save, ctx.set_result):
            with pytest.raises((NoKindError, SerializationError)) as caught:
                record("water", value)
            assert "artifact.writing" in str(caught.value)
            assert "molexp[science]" not in str(caught.value)


def test_a_result_that_is_too_large_is_saved_by_the_call_that_is_advised(bare):
    value = [0.5] * 20_000
    with bare.Run().start() as ctx:
        for name, call in (("forces", "'forces.json'"), ("a:b", "'NAME.json'")):
            with pytest.raises(SerializationError, match=rf"at most 65536; .*ctx\.artifact\.save\({call}, value\)"):
                ctx.set_result(name, value)
        assert ctx.artifact.save("forces.json", value).load() == value
        with pytest.raises(SerializationError, match=r"ctx\.artifact\.save\('log', value\)"):
            ctx.set_result("log", "x" * 70_000)


def test_classes_of_which_the_core_knows_the_kind_are_those_that_the_kinds_name():
    plugin = pytest.importorskip("molexp_science._plugin")
    declared = {one: kind.name for kind in plugin.molexp_register_asset_kinds() for one in kind.types}
    others = [one for one in declared if one.startswith(("collections.", "molexp_science.")) or "Lazy" in one]
    assert {one: kind for one, kind in declared.items() if one not in others} == types_of_science()


def test_arrays_are_saved_as_it_says(exp):
    value = numpy.arange(2000.0)
    with me.Workspace("memory://old", plugins=WITHOUT).Project("p").Experiment("e").Run().start() as ctx:
        with pytest.raises(SerializationError) as caught:
            ctx.set_result("a", value)
        assert IN_RUNS in str(caught.value)
        exec(IN_RUNS.replace("NAME", "a"))
        assert (numpy.load(ctx.asset("a.npy").local()) == value).all()


def test_bytes_and_the_rest(exp):
    with pytest.raises(SerializationError, match=r"value.hex\(\)"):
        exp.Run({"a": b"\0"})
    with pytest.raises(SerializationError, match="make the file's path the parameter"):
        exp.Run({"a": object()})
    with exp.Run().start() as ctx:
        with pytest.raises(SerializationError, match=r"ctx.artifact.save\('a', value\)"):
            ctx.set_result("a", b"\0")
        ctx.artifact.save("NAME", b"\0")
        with pytest.raises(SerializationError, match=r"ctx.artifact.writing\('NAME'\)"):
            ctx.set_result("a", object())
        with pytest.raises(NoKindError, match=r"ctx.artifact.writing\(NAME\)"):
            ctx.save("a", object())


def test_a_list_of_another_library_is_named_with_its_converter(exp):
    made = type("ListConfig", (), {"__module__": "omegaconf.listconfig"})()
    with pytest.raises(SerializationError, match=r"OmegaConf.to_container\(value, resolve=True\)"):
        exp.Run({"a": made})
