"""The kit of asset kinds passes a sound kind, and catches each defect that is planted here."""

from __future__ import annotations

import importlib.util
import sys
from textwrap import dedent

import pytest

from molexp.testing import AssetKindTests
from tests.kits.playing import failures

SOUND = """
import time
from dataclasses import dataclass
from datetime import datetime
from molexp.contracts import AssetKind, Preview
from molexp.testing import AssetKindTests
from tests.kits.playing import failures

MEMORY = {}

@dataclass(frozen=True)
class Fields:
    count: int
    largest: float

class Numbers:
    def __init__(self, values, labels=()):
        self.values, self.labels = tuple(values), frozenset(labels)

    def __eq__(self, other):
        return (self.values, self.labels) == (other.values, other.labels)

class Kind(AssetKind[Numbers, Fields]):
    name = "numbers"
    types = ("NAME.Numbers",)

    def save(self, obj, sink):
        labels = sorted(obj.labels)
        with sink.open() as stream:
            stream.write("\\n".join([repr(obj.values), *labels]).encode())
        return Fields(len(obj.values), max(obj.values, default=0.0))

    def load(self, source):
        with source.open() as stream:
            first, *labels = stream.read().decode().split("\\n")
        return Numbers(eval(first, {"nan": float("nan")}), labels)

    def describe(self, asset):
        return f"{asset.fields.count} numbers"

    def preview(self, source):
        return Preview(text=f"{source.fields.count} numbers, the largest {source.fields.largest}")

class Kit(AssetKindTests):
    def kind(self):
        return Kind

    def objects(self):
        return [Numbers([]), Numbers([1.5, 1 / 3]), Numbers([float("nan"), 2.0], ["alpha", "beta", "gamma", "delta", "Å"])]

    def fields(self, obj):
        return Fields(len(obj.values), max(obj.values, default=0.0))
"""

DEFECTS = {
    "rounding": (
        "repr(obj.values)",
        "repr(tuple(round(x, 3) for x in obj.values))",
        "test_what_is_loaded_is_what_was_saved",
    ),
    "a dropped part": (", *labels]", "]", "test_what_is_loaded_is_what_was_saved"),
    "another container": ("return Numbers(eval", "return (lambda *a: a)(eval", "test_what_is_loaded_is_what_was_saved"),
    "NaN": ('{"nan": float("nan")}', '{"nan": 0.0}', "test_what_is_loaded_is_what_was_saved"),
    "half written": (".encode())", ".encode()[:-1])", "test_what_is_loaded_is_what_was_saved"),
    "a lying field": (
        "return Fields(len(obj.values), max",
        "return Fields(len(obj.values) + 1, max",
        "test_the_fields_say_what_is_true",
    ),
    "fields of a wrong type": (
        "return Fields(len(obj.values), max",
        "return Fields(str(len(obj.values)), max",
        "test_a_workspace_has_it",
    ),
    "no fields": (
        "        return Fields(len(obj.values), max(obj.values, default=0.0))\n\n    def load",
        "\n    def load",
        "test_the_fields_say_what_is_true",
    ),
    "the time in the bytes": ("*labels])", "*labels, str(time.time())])", "test_bytes_depend_on_the_object_alone"),
    "a formatted date in the bytes": (
        "*labels])",
        "*labels, time.strftime('%j')])",
        "test_bytes_depend_on_the_object_alone",
    ),
    "the date in the bytes": (
        "*labels])",
        "*labels, str(datetime.now().date())])",
        "test_bytes_depend_on_the_object_alone",
    ),
    "the asset's name in the bytes": ("*labels])", "*labels, sink.name])", "test_bytes_depend_on_the_object_alone"),
    "the order of a set": ("sorted(obj.labels)", "list(obj.labels)", "test_another_process_loads_and_saves_the_same"),
    "the object is changed": (
        "labels = sorted",
        "obj.values = (*obj.values, 1.0); labels = sorted",
        "test_saving_leaves_the_object_as_it_is",
    ),
    "`accepts` takes everything": (
        "    def describe",
        "    def accepts(self, obj): return True\n\n    def describe",
        "test_it_accepts_its_objects_and_no_others",
    ),
    "`accepts` raises": (
        "    def describe",
        "    def accepts(self, obj): return obj.values is not None\n\n    def describe",
        "test_it_accepts_its_objects_and_no_others",
    ),
    "`accepts` returns no bool": (
        "    def describe",
        "    def accepts(self, obj): return 'yes'\n\n    def describe",
        "test_it_accepts_its_objects_and_no_others",
    ),
    "loads from memory": (
        "        with source.open() as stream:\n",
        "        if source.name in MEMORY: return MEMORY[source.name]\n        with source.open() as stream:\n",
        "test_what_is_loaded_is_what_lies_there",
    ),
    "`describe` raises": ("{asset.fields.count} numbers", "{asset.fields.counts} numbers", "test_a_workspace_has_it"),
    "`describe` returns two lines": (
        "{asset.fields.count} numbers",
        "{asset.fields.count}\\nnumbers",
        "test_a_workspace_has_it",
    ),
    "`preview` raises": ("{source.fields.count} numbers", "{source.field.count} numbers", "test_a_workspace_has_it"),
    "`preview` returns something else": ("return Preview(text=", "return str(", "test_a_workspace_has_it"),
    "`preview` shows nothing": ("return Preview(text=", "return Preview() or str(", "test_a_workspace_has_it"),
    "a reserved name": ('name = "numbers"', 'name = "seed"', "test_it_is_registered_as_it_is"),
    "the name of a kind of MolExp": ('name = "numbers"', 'name = "artifact"', "test_it_is_registered_as_it_is"),
    "a field that every asset has": (
        "    largest: float\n",
        "    largest: float\n    size: int = 0\n",
        "test_it_is_registered_as_it_is",
    ),
    "`types` that no object has": ("NAME.Numbers", "NAME.Number", "test_a_workspace_has_it"),
    "`types` of artifacts": ("NAME.Numbers", "builtins.dict", "test_it_is_registered_as_it_is"),
    "an error of the disk is swallowed": (
        "        with sink.open() as stream:\n            stream.write(",
        "        import contextlib\n        with contextlib.suppress(OSError), sink.open() as stream:\n            stream.write(",
        "test_a_full_disk_is_an_error",
    ),
    "a kit with one object": ("return [Numbers([]), ", "return [Numbers([1.0])] or [", "test_objects_differ"),
}


@pytest.fixture
def kit_with(tmp_path, request):
    """Return the class of the kit, in a module of its own, with something replaced in its source."""
    name = f"kit_{abs(hash(request.node.name))}"

    def kit(before="", after=""):
        assert before in SOUND
        source = SOUND.replace(before, after, 1) if before else SOUND
        if "MEMORY[" in source:
            source = source.replace("labels = sorted", "MEMORY[sink.name] = obj; labels = sorted")
        path = tmp_path / f"{name}.py"
        path.write_text(dedent(source).replace("NAME.", f"{name}."), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None  # noqa: PT018 - for the type checker
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module.Kit

    yield kit
    sys.modules.pop(name, None)


def test_a_sound_kind_passes(kit_with, tmp_path):
    assert failures(kit_with(), tmp_path) == set()


@pytest.mark.parametrize(("before", "after", "caught_by"), DEFECTS.values(), ids=DEFECTS)
def test_a_planted_defect_is_caught(kit_with, tmp_path, before, after, caught_by):
    assert failures(kit_with(before, after), tmp_path, caught_by) == {caught_by}


def test_what_is_not_filled_in_is_an_error_of_collection():
    with pytest.raises(TypeError, match="Half does not define fields, kind"):

        class Half(AssetKindTests):
            def objects(self):
                return []
