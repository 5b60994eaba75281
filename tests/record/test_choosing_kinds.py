"""Without being told, ctx.save gives an object to the kind that names the nearest class of it."""

from __future__ import annotations

import importlib
import sys

import pytest

import molexp as me
from molexp.plugins import PluginWarning
from tests.record.helpers import install

CHOICE = """
    from collections import OrderedDict
    from molexp.contracts import AssetKind, NoFields
    from molexp.hookspecs import hookimpl

    class Animal: pass
    class Dog(Animal): pass
    class Puppy(Dog): pass
    class Plant: pass

    class Of(AssetKind[object, NoFields]):
        def save(self, obj, sink):
            sink.write(b"it")
            return NoFields()

        def load(self, source):
            return self.name

    class AnimalKind(Of):
        name, types = "animal", ("molexp_zoo.Animal",)

    class DogKind(Of):
        name, types = "dog", ("molexp_zoo.Dog",)

    class PlantKind(Of):
        name = "plant"
        def accepts(self, obj): return isinstance(obj, Plant)

    class Ordered(Of):
        name, types = "ordered", ("collections.OrderedDict",)

    class Careless(Of):
        name = "careless"
        def accepts(self, obj): return obj.natoms > 0

    class Greedy(Of):
        name = "greedy"
        def accepts(self, obj): return isinstance(obj, (dict, list, str))

    class Licensed(Of):
        name = "licensed"
        def __init__(self): raise OSError("no licence")
        def accepts(self, obj): return True

    @hookimpl
    def molexp_register_asset_kinds():
        return [AnimalKind, DogKind, PlantKind, Ordered, KINDS]
"""


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    def install_with(kinds: str = ""):
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        return install(tmp_path / "site", "molexp-zoo", CHOICE.replace("KINDS", kinds))

    yield install_with
    sys.modules.pop("molexp_zoo", None)


def chosen(place, plugins, *sources: str) -> list[str]:
    with place.workspace(plugins=plugins).Project("metals").Experiment("cu").Run().start() as ctx:
        zoo = vars(importlib.import_module("molexp_zoo"))
        return [ctx.save(f"a{n}", eval(source, zoo)).kind for n, source in enumerate(sources)]


def test_the_nearest_class_that_a_kind_names_decides(lab, zoo):
    assert chosen(lab, zoo(), "Animal()", "Dog()", "Puppy()", "Plant()") == ["animal", "dog", "dog", "plant"]


def test_a_subclass_of_what_artifacts_take_has_its_own_kind_or_is_an_artifact(lab, zoo):
    assert chosen(lab, zoo(), "OrderedDict(a=1)", "{}", "type('D', (dict,), {})()") == [
        "ordered",
        "artifact",
        "artifact",
    ]


def test_what_artifacts_take_goes_to_no_other_kind(lab, zoo):
    assert chosen(lab, zoo("Greedy"), "{}", "[]", "''", "b''") == ["artifact"] * 4


def test_several_kinds_for_one_class_are_named(lab, zoo):
    plugins = zoo("type('Cat', (AnimalKind,), {'name': 'cat'})")
    with pytest.raises(me.AssetError, match="Several kinds accept 'a0': animal, cat"):
        chosen(lab, plugins, "Animal()")
    assert chosen(lab, plugins, "Dog()") == ["dog"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Careless", r"'careless' of molexp-zoo 1.0 is passed over: accepts\(\) raised AttributeError: .*natoms"),
        ("Licensed", r"'licensed' of molexp-zoo 1.0 is passed over: .*OSError: no licence"),
    ],
)
def test_a_kind_that_raises_is_named_once_and_passed_over(lab, zoo, kind, said):
    with pytest.warns(PluginWarning, match=said) as told:
        assert chosen(lab, zoo(kind), "Plant()", "Plant()", "{}") == ["plant", "plant", "artifact"]
    assert len(told) == 1


def test_no_kind_names_the_types_that_are_saved(lab, zoo):
    with pytest.raises(me.NoKindError, match=r"'a0'.*object"):
        chosen(lab, zoo(), "object()")


def test_a_kind_is_named_by_its_class_or_by_its_name(lab, zoo):
    plugins = zoo()
    with lab.workspace(plugins=plugins).Project("metals").Experiment("cu").Run().start() as ctx:
        found = importlib.import_module("molexp_zoo")
        assert ctx.save("a", found.Dog(), kind=found.AnimalKind) == ctx.find_asset("a", kind=found.AnimalKind)
        assert ctx.save("b", found.Dog(), kind="animal").kind == "animal"
        with pytest.raises(me.MolexpError, match="'of' is not registered"):
            ctx.save("c", found.Dog(), kind=type("Other", (found.Of,), {"name": "of"}))
