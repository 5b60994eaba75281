"""Arrays and groups of zarr, and datasets of xarray, are folders that are loaded as they were saved."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.core.buffer.cpu import Buffer
from zarr.storage import MemoryStore

import molexp as me
from molexp.testing import AssetKindTests
from molexp_science import ZarrAsset, ZarrFields, ZarrKind
from tests.servers.buckets import Bucket


def array_of_zarr(shape=(5, 4), chunks=(2, 2), **options):
    array = zarr.create_array(MemoryStore(), shape=shape, chunks=chunks, dtype="f4", fill_value=-1, **options)
    array[:2] = np.arange(2 * shape[1]).reshape(2, shape[1])
    return array


def group_of_zarr():
    group = zarr.create_group(MemoryStore(), attributes={"title": "water"})
    group.create_array("a", shape=(3,), dtype="i4")[:] = [1, 2, 3]
    group.create_group("inner").create_array("b", shape=(2,), dtype="f8")[:] = [0.5, np.nan]
    return group


def dataset():
    return xr.Dataset(
        {"energy": (("r", "seed"), np.arange(6.0).reshape(3, 2), {"units": "eV"}), "flag": ("r", [True, False, True])},
        coords={
            "r": [0.9, 1.0, 1.1],
            "label": ("seed", ["α", "b"]),
            "when": np.datetime64("2026-11-29T10:20:30.5", "ns"),
        },
        attrs={"title": "scan", "levels": [1, 2]},
    )


@pytest.fixture
def run(tmp_path):
    return me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run(id="r")


def saved(run, obj):
    with run.start() as ctx:
        return ctx.save("a", obj)


def contents(obj):
    """Everything that an array or a group of zarr says and holds."""
    if isinstance(obj, zarr.Array):
        return (obj.metadata.to_dict(), np.asarray(obj[...]).tobytes())
    return (obj.attrs.asdict(), {path: contents(one) for path, one in sorted(obj.members(max_depth=None))})


class TestZarrKind(AssetKindTests):
    def kind(self):
        return ZarrKind

    def objects(self):
        return [
            array_of_zarr(),
            array_of_zarr(shards=(4, 4), attributes={"unit": "Å"}),
            array_of_zarr(zarr_format=2),
            group_of_zarr(),
            group_of_zarr()["inner"],
            dataset(),
            dataset().energy,
            xr.DataArray(np.zeros((0, 2), "i2"), attrs={"empty": True}),
        ]

    def fields(self, obj):
        if isinstance(obj, zarr.Array):
            return ZarrFields("zarr", "Array", {}, {}, shape=obj.shape, dtype="float32", nbytes=80)
        if isinstance(obj, zarr.Group):
            inner = {"b": "float64"}
            whole = {"a": "int32", "inner/b": "float64"}
            return ZarrFields("zarr", "Group", whole if "a" in obj else inner, {}, nbytes=28 if "a" in obj else 16)
        if isinstance(obj, xr.Dataset):
            arrays = {"energy": "float64", "flag": "bool", "label": "<U1", "r": "float64", "when": "datetime64[ns]"}
            return ZarrFields("xarray", "Dataset", arrays, {"r": 3, "seed": 2}, nbytes=48 + 3 + 8 + 24 + 8)
        if obj.name is None:
            return ZarrFields("xarray", "DataArray", {"values": "int16"}, {"dim_0": 0, "dim_1": 2}, (0, 2), "int16", 0)
        arrays = {"energy": "float64", "label": "<U1", "r": "float64", "when": "datetime64[ns]"}
        return ZarrFields("xarray", "DataArray", arrays, {"r": 3, "seed": 2}, (3, 2), "float64", 48 + 8 + 24 + 8)

    def is_same(self, one, other):
        if isinstance(one, zarr.Array | zarr.Group):
            return type(one) is type(other) and contents(one) == contents(other)
        if isinstance(one, xr.DataArray) and isinstance(other, xr.DataArray):
            return one.dtype == other.dtype and bool(one.identical(other))
        if isinstance(one, xr.Dataset) and isinstance(other, xr.Dataset):
            return dict(one.dtypes) == dict(other.dtypes) and bool(one.identical(other))
        return super().is_same(one, other)


def test_chunks_are_read_as_they_are_used_and_cannot_be_changed(run):
    saved(run, array_of_zarr())
    found = run.asset("a").load()
    (run.asset("a").path / "c" / "0" / "0").write_bytes(b"damaged")
    assert found[:2, 2:].tolist() == [[2, 3], [6, 7]]
    with pytest.raises(ValueError, match="read-only"):
        found[0, 3] = 1


def test_chunks_that_nobody_wrote_are_not_there(run):
    asset = saved(run, array_of_zarr())
    assert {one.relative_to(asset.path).as_posix() for one in asset.path.rglob("*") if one.is_file()} == {
        "zarr.json",
        "c/0/0",
        "c/0/1",
    }


def test_an_array_on_disk_is_copied_from_where_it_lies(run, tmp_path):
    group = zarr.open_group(tmp_path / "g", mode="w")
    group.create_array("inner/x", shape=(3,), dtype="i4")[:] = [1, 2, 3]
    saved(run, group["inner/x"])
    (tmp_path / "g").rename(tmp_path / "gone")
    assert run.asset("a").load()[:].tolist() == [1, 2, 3]


def test_what_another_file_said_of_a_dataset_changes_no_value(run, tmp_path):
    packed = xr.Dataset({"t": ("x", [0.123456789, 1.0])})
    packed["t"].encoding = {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -1}
    saved(run, packed)
    assert run.asset("a").load()["t"].values.tolist() == [0.123456789, 1.0]


def test_what_is_not_in_memory_is_written_in_its_pieces(run):
    lazy = dataset().chunk({"r": 1})
    saved(run, lazy)
    assert run.asset("a").load().identical(dataset())
    assert lazy.energy.chunks == ((1, 1, 1), (2,))


def test_attributes_keep_the_types_that_they_have_in_netcdf_files_and_others_read_plain_ones(run):
    attrs = {
        "valid_range": np.array([-5, 300], "i2"),
        "missing": np.float32(0.1),
        "steps": {"cutoff": np.int64(4), "of": [(1, 2.5), np.bool_(True)], "by": {1: "first"}},
        "title": "scan",
    }
    made = dataset().assign_attrs(attrs)
    made.energy.attrs |= attrs
    made.r.attrs |= attrs

    found = saved(run, made).load()

    assert found.identical(made)
    for one in (found, found.energy, found.r):
        assert (one.valid_range.dtype, type(one.missing)) == (np.dtype("i2"), np.float32)
        assert [type(value) for value in (one.steps["cutoff"], *one.steps["of"])] == [np.int64, tuple, np.bool_]
    plain = zarr.open_array(run.asset("a").path / "energy", mode="r").attrs.asdict()
    assert plain["valid_range"] == [-5, 300]
    assert plain["steps"] == {"cutoff": 4, "of": [[1, 2.5], True], "by": {"1": "first"}}


@pytest.mark.parametrize(
    ("obj", "why"),
    [
        (dataset().stack(both=("r", "seed")), "cannot be written"),
        (xr.Dataset({"a": ("x", np.array([{}, 1], object))}), "cannot be written"),
        (xr.Dataset(attrs={"a": object()}), "cannot be written"),
        (xr.DataArray([1], name="x", dims="x", coords={"values": 1, "x": [1]}), "rename it"),
        (dataset().drop_indexes("r"), "loaded with the indexes r"),
        (xr.Dataset({"a": ("x", [1], {"levels": np.ones(2, np.longdouble)})}), "cannot be written"),
        (type("Mine", (xr.Dataset,), {"__slots__": ()})(), "would be loaded as xarray.Dataset"),
    ],
)
def test_what_a_folder_would_not_give_back_is_refused_and_the_name_is_free(run, obj, why):
    with run.start() as ctx:
        with pytest.raises(ValueError, match=why):
            ctx.save("a", obj)
        ctx.save("a", dataset())
    assert len(run.assets) == 1


OUTSIDE = ("{outside}/out", "../out", "../../../../out", "x/../../out", "x//out", "./out", "..\\out", "C:out", "C:/out")


@pytest.mark.parametrize("key", OUTSIDE)
@pytest.mark.parametrize("above", ["", pytest.param("inner", marks=pytest.mark.long)])
def test_a_key_of_a_store_cannot_lead_out_of_the_folder(run, tmp_path, key, above):
    files: dict[str, Any] = {}
    zarr.create_group(MemoryStore(files)).create_group("inner")
    key = key.format(outside=tmp_path)
    files[f"{above}/{key}" if above else key] = Buffer.from_bytes(b"escaped")
    store = MemoryStore(files)
    with run.start() as ctx:
        with pytest.raises(ValueError, match="outside of the asset's folder"):
            ctx.save("a", zarr.open_group(store, path=above, mode="r"))
        ctx.save("a", dataset())
    assert not [*tmp_path.rglob("*out")]
    assert len(run.assets) == 1


def test_a_resume_restores_what_is_in_memory_and_no_place_that_a_later_task_writes_to(run, tmp_path):
    mapped = np.memmap(tmp_path / "m", dtype="f8", shape=(2,), mode="w+")
    read = saved(run, dataset()).opened()
    kept = (dataset(), dataset().energy, saved(run, dataset()).load().compute())
    eager = isinstance(read.energy.variable._data, np.ndarray)  # in older versions of xarray
    lazy = () if eager else (read, read.energy)
    places = (array_of_zarr(), group_of_zarr(), dataset().chunk(), *lazy, xr.Dataset({"m": ("x", mapped)}))
    assert [ZarrKind().restores(one) for one in (*kept, *places)] == [True] * 3 + [False] * len(places)


TEXT = {"dtype": "|O", "fill_value": "", "filters": [{"id": "vlen-utf8"}]}


def with_pickle(folder, metadata, change):
    """Return a group with an array whose metadata name the codec `pickle`, in one of the files that zarr reads."""
    group = zarr.open_group(
        folder, mode="w", zarr_format=3 if metadata == "zarr.json" else 2, attributes={"molexp_xarray": {}}
    )
    group.create_array("x", shape=(2,), dtype="f8", filters=())[:] = [1, 2]
    if metadata == ".zmetadata":
        zarr.consolidate_metadata(group.store)
    path = folder / (metadata if metadata == ".zmetadata" else f"x/{metadata}")
    document = json.loads(path.read_text())
    array = document["metadata"]["x/.zarray"] if metadata == ".zmetadata" else document
    array.update(change)
    path.write_text(json.dumps(document))
    return zarr.open_group(folder, mode="r", use_consolidated=metadata == ".zmetadata")


@pytest.mark.parametrize(
    ("metadata", "change"),
    [
        (".zarray", TEXT | {"filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]}),
        (".zarray", TEXT | {"compressor": {"id": "pickle", "protocol": 5}}),
        (".zmetadata", TEXT | {"filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]}),
        ("zarr.json", {"codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle", "configuration": {}}]}),
    ],
)
def test_a_codec_that_unpickles_is_refused_when_it_is_saved_and_when_it_is_loaded(
    run, tmp_path, monkeypatch, metadata, change
):
    group = with_pickle(tmp_path / "g", metadata, change)
    with run.start() as ctx, pytest.raises(me.AssetError, match="pickle"):
        ctx.save("a", group)
    if metadata != "zarr.json":  # zarr itself knows no such codec
        with monkeypatch.context() as older:
            older.setattr("molexp_science._zarr._METADATA", ())
            asset = saved(run, group)
        for read in (asset.load, asset.opened):
            with pytest.raises(me.AssetError, match="pickle"):
                read()


def test_a_group_of_zarr_that_xarray_wrote_is_a_group_again(run):
    folder = saved(run, dataset().drop_vars("label")).path
    with run.start() as ctx:
        ctx.save("group", zarr.open_group(folder, mode="r"))
    assert contents(run.asset("group").load()) == contents(zarr.open_group(folder, mode="r"))


def test_a_tensor_of_one_number_is_a_number(run):
    with run.start() as ctx:
        ctx.metrics.log(loss=xr.DataArray(0.5), hits=xr.DataArray(3))
        ctx.set_result("loss", xr.DataArray([1.0, 2.0]).mean())
        with pytest.raises(me.errors.SerializationError, match="cannot be recorded"):
            ctx.metrics.log(loss=xr.DataArray([1.0]))
    assert (run.metrics["loss"]["last"], run.metrics["hits"]["last"], run.results["loss"]) == (0.5, 3, 1.5)


def test_they_are_found_by_what_is_in_them(run):
    with run.start() as ctx:
        ctx.save("scan", dataset())
        ctx.save("density", array_of_zarr())
    find = run.experiment.project.workspace.catalog.assets
    assert [one.name for one in find("arrays.energy is not null and sizes.seed == 2")] == ["scan"]
    assert [one.name for one in find("shape == [5, 4] and dtype == 'float32' and object == 'Array'")] == ["density"]
    assert run.asset("scan").describe() == "xarray.Dataset with energy, flag, label, r, when over r: 3, seed: 2"
    assert run.asset("density").describe() == "zarr.Array of float32, 5 x 4"
    assert "energy" in run.asset("scan").preview().text


@pytest.fixture
def on_s3(moto):
    bucket: Bucket = moto.fresh()
    return (
        me.Workspace(f"{bucket.url}/lab", storage_options=bucket.storage_options)
        .Project("p")
        .Experiment("e")
        .Run(id="r")
    )


def test_on_s3_chunks_are_fetched_as_they_are_used(on_s3):
    with on_s3.start() as ctx:
        ctx.save("scan", dataset())
        ctx.save("density", array_of_zarr())
    scan, density = on_s3.asset("scan"), on_s3.asset("density")
    assert isinstance(density, ZarrAsset)
    assert density.load()[1, 1] == 5
    assert scan.load().identical(dataset())
    assert density.opened()[1, 1] == 5
    assert scan.opened().identical(dataset())


def test_in_memory_the_chunks_are_fetched_first():
    run = me.Workspace("memory://zarr").Project("p").Experiment("e").Run(id="r")
    assert saved(run, array_of_zarr()).opened()[1, 1] == 5


@pytest.mark.parametrize("package", ["zarr", "xarray"])
def test_whoever_lacks_the_library_is_told_how_to_install_it(run, monkeypatch, package):
    asset = saved(run, dataset())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=f"pip install {package}"):
        asset.load()
