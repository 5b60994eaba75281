"""Arrays of numpy are loaded as they were saved, found by what is in them, and mapped where they lie."""

from __future__ import annotations

import math
import mmap
import sys
import threading

import numpy as np
import pytest

import molexp as me
from molexp.testing import AssetKindTests
from molexp_science import ArrayAsset, ArrayFields, ArrayKind

ATOM = np.dtype([("symbol", "U2"), ("position", "<f8", (3,)), ("charge", ">i2")])


@pytest.fixture
def run(tmp_path):
    return me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run(id="r")


def saved(run, array):
    with run.start() as ctx:
        return ctx.array.save("a", array)


class TestArrayKind(AssetKindTests):
    def kind(self):
        return ArrayKind

    def objects(self):
        return [
            np.zeros((0, 3)),
            np.array(1.5, "<f4"),
            np.asfortranarray(np.arange(12.0).reshape(3, 4)),
            np.arange(24, dtype=">i4").reshape(2, 3, 4)[:, ::2],
            np.array([1.0, np.nan, np.inf, -np.inf, -3.0]),
            np.array([2**63 - 1, -(2**63)]),
            np.array([True, False]),
            np.array([1 + 2j, np.nan]),
            np.array(["α", "🙂"]),
            np.array([b"ab", b""]),
            np.array(["2026-11-29", "NaT"], "M8[D]"),
            np.array([("H", (0, 0, 1.5), 1), ("Cl", (1, 2, 3), -1)], ATOM),
            np.ones(2000, [("α", "f8")]),
            np.arange(3 << 16, dtype=np.float32),
        ]

    def fields(self, obj):
        known = {"shape": obj.shape, "dtype": str(obj.dtype.descr) if obj.dtype.names else str(obj.dtype)}
        numbers = obj.ravel().tolist() if obj.dtype.kind in "biufc" else None
        if numbers is None:
            return ArrayFields(**known, nbytes=obj.size * obj.itemsize)
        finite = [x for x in numbers if math.isfinite(abs(x))]
        known |= {"nbytes": obj.size * obj.itemsize, "finite": len(finite)}
        if not finite or obj.dtype.kind == "c":
            return ArrayFields(**known)
        number = int if obj.dtype.kind == "b" else type(finite[0])
        return ArrayFields(
            **known, min=number(min(finite)), max=number(max(finite)), mean=math.fsum(finite) / len(finite)
        )

    def is_same(self, one, other):
        if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
            return super().is_same(one, other)
        layout = [(array.shape, array.dtype, array.flags.fnc, array.tobytes("A")) for array in (one, other)]
        return type(one) is type(other) and layout[0] == layout[1]


@pytest.mark.parametrize(
    ("array", "remedy"),
    [
        (np.array([{}, None], object), r"array.tolist\(\)"),
        (np.ma.masked_array([1, 2], [True, False]), r"array.filled\(...\)"),
        (np.zeros((1, 1)).view(np.matrix), r"numpy.asarray\(array\)"),
        (np.array([(1,)], [("x", int)]).view(np.recarray), r"numpy.asarray\(array\)"),
        (np.array([1], np.dtype("i4", metadata={"unit": "eV"})), "loaded as another type"),
    ],
    ids=["object", "masked", "matrix", "recarray", "metadata"],
)
def test_what_a_file_would_not_give_back_is_refused_and_the_name_is_free(run, array, remedy):
    with run.start() as ctx:
        with pytest.raises(ValueError, match=remedy):
            ctx.save("a", array)
        ctx.save("a", np.zeros(2))
    assert run.asset("a").load().tolist() == [0, 0]


def test_a_list_is_no_array(run):
    with run.start() as ctx, pytest.raises(me.NoKindError, match=r"ctx\.artifact\.save"):
        ctx.array.save("a", [1, 2])


def test_arrays_are_found_by_what_is_in_them(run):
    with run.start() as ctx:
        ctx.save("cold", np.array([[1.0, 2.0], [np.nan, 3.0]]))
        ctx.save("hot", np.array([[1000.0]]))
        ctx.save("names", np.array(["a"]))
    find = run.experiment.project.workspace.catalog.assets
    assert [one.name for one in find("max > 100")] == ["hot"]
    assert [one.name for one in find("kind == 'array' and shape == [2, 2] and mean == 2 and finite == 3")] == ["cold"]
    assert [one.name for one in find("min is null")] == ["names"]
    assert run.asset("cold").describe() == "array of float64, 2 x 2, from 1 to 3"


def test_a_resume_restores_arrays_in_memory_and_no_files(tmp_path):
    mapped = np.memmap(tmp_path / "a", dtype="f8", shape=(2, 2), mode="w+")
    shared = np.frombuffer(memoryview(mmap.mmap(-1, 64)))
    arrays = (np.zeros((2, 2)).T[:1], np.frombuffer(b"12345678"), mapped, np.asarray(mapped)[1:].T, shared)
    assert [ArrayKind().restores(one) for one in arrays] == [True, True, False, False, False]


def test_an_array_is_mapped_where_it_lies(run):
    asset = saved(run, np.arange(1e6))
    assert isinstance(asset, ArrayAsset)
    mapped = asset.mapped()
    assert isinstance(mapped, np.memmap)
    assert asset.path.samefile(str(mapped.filename))
    assert mapped[-1] == 999_999
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1


@pytest.mark.parametrize(
    "array", [np.zeros((0, 3)), np.array(2.5), np.zeros(3, "S0")], ids=["empty", "0-d", "no bytes"]
)
def test_what_cannot_be_mapped_is_read(run, array):
    found = saved(run, array).mapped()
    assert (found.shape, found.dtype) == (array.shape, array.dtype)


def test_a_mapped_file_that_was_deleted_is_saved_all_the_same(run, tmp_path):
    np.save(tmp_path / "big.npy", np.arange(5.0))
    mapped = np.load(tmp_path / "big.npy", mmap_mode="r")
    (tmp_path / "big.npy").unlink()
    saved(run, mapped)
    assert run.asset("a").load().tolist() == [0, 1, 2, 3, 4]


def test_the_record_says_what_was_written_of_an_array_that_changes_meanwhile(run):
    array = np.zeros(8 << 20, np.int8)
    ended = threading.Event()

    def count():
        while not ended.is_set():
            array[:] += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        asset = saved(run, array)
    finally:
        ended.set()
        thread.join()
    found = asset.load()
    assert (asset.fields.min, asset.fields.max) == (found.min(), found.max())
    assert asset.read_bytes()  # which are the recorded ones


def test_a_preview_reads_the_beginning(run):
    asset = saved(run, np.arange(100_000.0).reshape(1000, 100))
    assert (
        asset.preview().text == "(1000, 100) of float64, by rows; the first of them:\n[0. 1. 2. 3. 4. 5. 6. 7. 8. 9.]"
    )


def test_whoever_lacks_numpy_is_told_how_to_install_it(run, monkeypatch):
    asset = saved(run, np.zeros(1))
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ModuleNotFoundError, match="'a' needs numpy, which is not installed here: pip install numpy"):
        asset.load()
