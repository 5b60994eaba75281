"""The conformance kit of asset kinds."""

from __future__ import annotations

import copy
import os
import pickle
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from molexp.testing._conformance import Conformance, required
from molexp.testing._kind_sinks import FullDisk, LocalPayload
from molexp.testing._kit_process import a_day_later, answer_of, manager_with

if TYPE_CHECKING:
    from molexp.contracts import AssetKind
    from molexp.plugins import PluginManager

_FOREIGN: tuple[Any, ...] = ({"a": 1}, [1], (1,), "text", b"bytes", 1, 1.5, None, object(), Path("a"), ValueError("a"))


class AssetKindTests(Conformance, abstract=True):
    """The contract of `molexp.contracts.AssetKind`, as tests.

    Example:
        >>> class TestNoteKind(AssetKindTests):
        ...     def kind(self):
        ...         return NoteKind
        ...
        ...     def objects(self):
        ...         return ["", "a note", "of several lines"]
        ...
        ...     def fields(self, obj):
        ...         return NoteFields(words=len(obj.split()))
    """

    @required
    def kind(self) -> type[AssetKind[Any, Any]]:
        """Return the kind."""
        raise NotImplementedError

    @required
    def objects(self) -> Sequence[Any]:
        """Return two or more objects, as different as they come: empty, large, with NaN, with names that are not ASCII."""
        raise NotImplementedError

    @required
    def fields(self, obj: Any) -> Any:
        """Return the fields that the record of an object must have, found in another way than the kind does."""
        raise NotImplementedError

    def is_same(self, one: Any, other: Any) -> bool:
        """Tell whether two objects are the same, exactly; redefine it where neither ``==`` nor their pickles tell."""
        return type(one) is type(other) and (pickle.dumps(one) == pickle.dumps(other) or bool(one == other))

    # ------------------------------------------------------------------------------------------------------ registering

    def test_it_is_registered_as_it_is(self) -> None:
        cls = self.kind()
        assert self._manager().asset_kind(cls.name) is cls

    def test_it_accepts_its_objects_and_no_others(self) -> None:
        accepts = getattr(self.kind()(), "accepts", None)
        if accepts is None:
            return
        for obj in self.objects():
            assert accepts(obj) is True, f"accepts() refuses {obj!r}"
        own = tuple(type(obj) for obj in self.objects())
        for obj in _FOREIGN:
            if not isinstance(obj, own):
                assert accepts(obj) is False, f"accepts() takes {obj!r}, which other kinds save"

    # ---------------------------------------------------------------------------------------------------------- saving

    def test_objects_differ(self) -> None:
        objects = self.objects()
        assert len(objects) > 1, "objects() is to return several, as different as they come"
        for number, obj in enumerate(objects[1:], 1):
            assert not self.is_same(objects[number - 1], obj), f"objects() returns {obj!r} twice"

    def test_what_is_loaded_is_what_was_saved(self, tmp_path: Path) -> None:
        for number, (obj, fields) in enumerate(self._saved(tmp_path)):
            source = LocalPayload(tmp_path / str(number), fields=fields, schema=self.kind().schema)
            found = self.kind()().load(source)
            assert self.is_same(found, obj), f"{obj!r} was saved, and {found!r} was loaded"

    def test_what_is_loaded_is_what_lies_there(self, tmp_path: Path) -> None:
        """Exchange the bytes behind the kind's back."""
        saved = [*self._saved(tmp_path)]
        kind = self.kind()()
        for number, (obj, fields) in enumerate(saved):
            kind.save(saved[number - 1][0], LocalPayload(tmp_path / f"other-{number}", name="a"))
            source = LocalPayload(tmp_path / str(number), name="a", fields=fields, schema=kind.schema)
            found = kind.load(source)
            assert self.is_same(found, obj), f"the bytes are those of {obj!r}, and {found!r} was loaded"

    def test_saving_leaves_the_object_as_it_is(self, tmp_path: Path) -> None:
        for number, obj in enumerate(self.objects()):
            before = copy.deepcopy(obj)
            self.kind()().save(obj, LocalPayload(tmp_path / str(number)))
            assert self.is_same(obj, before), f"{before!r} became {obj!r}"

    def test_the_fields_say_what_is_true(self, tmp_path: Path) -> None:
        for obj, fields in self._saved(tmp_path):
            assert isinstance(fields, self.kind().fields), f"save() returned {fields!r}"
            assert self.is_same(fields, self.fields(obj)), f"of {obj!r} the record says {fields!r}"

    def test_bytes_depend_on_the_object_alone(self, tmp_path: Path) -> None:
        """Save a day later, under another name."""
        first = [LocalPayload(tmp_path / str(number)).digest() for number, _ in enumerate(self._saved(tmp_path))]
        for number, obj in enumerate(self.objects()):
            (tmp_path / "later").mkdir(exist_ok=True)
            again = LocalPayload(tmp_path / "later" / str(number), name="another")
            with a_day_later(self.kind()):
                self.kind()().save(obj, again)
            assert again.digest() == first[number], f"{obj!r} has other bytes a day later, under another name"

    def test_a_full_disk_is_an_error(self, tmp_path: Path) -> None:
        for number, obj in enumerate(self.objects()):
            with pytest.raises(OSError):  # noqa: PT011 - whatever a library makes of it
                self.kind()().save(obj, FullDisk(tmp_path / str(number)))

    # ------------------------------------------------------------------------------------------------- in a workspace

    def test_a_workspace_has_it(self) -> None:
        """Find what was saved in a run, with its fields, in the run and in the catalog."""
        from molexp import Workspace
        from molexp.contracts import Preview

        cls = self.kind()
        workspace = Workspace(f"memory://kit-{os.urandom(8).hex()}", plugins=self._manager())
        run = workspace.Project("kit").Experiment("kit").Run(id="kit")
        with run.start() as ctx:
            for number, obj in enumerate(self.objects()):
                assert ctx[cls].save(f"a{number}", obj) is not None
                if cls.types or hasattr(cls, "accepts"):
                    chosen = ctx.save(f"b{number}", obj)
                    assert chosen is not None
                    assert chosen.kind == cls.name, f"ctx.save({obj!r}) chooses {chosen.kind!r}"
        assert len(workspace.catalog.assets(kind=cls)) >= len(self.objects())
        for number, obj in enumerate(self.objects()):
            asset = run.asset(f"a{number}")
            assert self.is_same(asset.load(), obj)
            assert self.is_same(asset.fields, self.fields(obj)), f"{asset.fields!r} was read back"
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # as of a describe() or a preview() that raises
                assert "\n" not in asset.describe()
                assert not hasattr(cls, "preview") or asset.preview() != Preview(), (
                    f"preview() shows nothing of {obj!r}"
                )

    @pytest.mark.parametrize("seed", ["0", "1"])
    def test_another_process_loads_and_saves_the_same(self, tmp_path: Path, seed: str) -> None:
        """Load and save where sets have another order, and modules remember nothing."""
        first = [LocalPayload(tmp_path / str(number)).digest() for number, _ in enumerate(self._saved(tmp_path))]
        found = answer_of("molexp.testing._kind_worker", self, str(tmp_path), PYTHONHASHSEED=seed)
        for (is_same, digest), obj, known in zip(found, self.objects(), first, strict=True):
            assert is_same, f"{obj!r} is another object when it is loaded by another process"
            assert digest == known, f"{obj!r} has other bytes when it is saved by another process"

    # ----------------------------------------------------------------------------------------------------------- pieces

    def _manager(self) -> PluginManager:
        return manager_with("asset_kinds", self.kind())

    def _saved(self, folder: Path) -> Iterator[tuple[Any, Any]]:
        for number, obj in enumerate(self.objects()):
            yield obj, self.kind()().save(obj, LocalPayload(folder / str(number)))
