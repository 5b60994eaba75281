"""Tables are loaded as they were saved, by the library that they were of, or refused before anything is written."""

from __future__ import annotations

import datetime
import io
import os
import pickle
import subprocess
import sys
from decimal import Decimal
from textwrap import dedent

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import molexp as me
from molexp.testing import AssetKindTests
from molexp_science import TableAsset, TableFields, TableKind

DAYS = pd.date_range("2026-11-29", periods=2, tz="Europe/Berlin")


@pytest.fixture
def run(tmp_path):
    return me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run(id="r")


def saved(run, table):
    with run.start() as ctx:
        return ctx.save("t", table)


def is_same_table(one, other):
    if type(one) is not type(other):
        return False
    if isinstance(one, pd.DataFrame):
        try:
            pd.testing.assert_frame_equal(one, other, check_freq=True, check_column_type=True, check_index_type="equiv")
        except AssertionError:
            return False
        return one.attrs == other.attrs
    if isinstance(one, pl.DataFrame):
        return one.schema == other.schema and one.equals(other)
    return one.schema.equals(other.schema, check_metadata=True) and one.to_pydict() == other.to_pydict()


class TestTableKind(AssetKindTests):
    def kind(self):
        return TableKind

    def tables(self):
        """Each with what its record says: rows, columns, and the library."""
        return [
            (pd.DataFrame({"size": [1, 2], "a.b": [0.5, np.nan], "🙂": [b"x", None]}), 2, ["int64", "double", "binary"], "pandas"),
            (pd.DataFrame(), 0, [], "pandas"),
            (pd.DataFrame({"a": np.zeros(0), "b": pd.Series([], dtype="Int8")}), 0, ["double", "int8"], "pandas"),
            (pl.DataFrame({"a": [[1], None], "b": [{"x": 1.5}, {"x": None}]}), 2, ["large_list<item: int64>", "struct<x: double>"], "polars"),
            (pa.table({"a": pa.array([1, None], pa.uint8())}), 2, ["uint8"], "pyarrow"),
            (pa.RecordBatch.from_pydict({"a": [Decimal("1.50")]}), 1, ["decimal128(3, 2)"], "pyarrow"),
        ]  # fmt: skip

    def objects(self):
        return [table for table, *_ in self.tables()]

    def fields(self, obj):
        _, rows, types, package = next(one for one in self.tables() if is_same_table(one[0], obj))
        names = map(str, obj.schema.names if package == "pyarrow" else obj.columns)
        return TableFields(rows=rows, width=len(types), columns=dict(zip(names, types, strict=True)), package=package)

    def is_same(self, one, other):
        if isinstance(one, TableFields):
            return pickle.dumps(one) == pickle.dumps(other)
        return is_same_table(one, other)


FRAMES = {
    "index of names": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="atom")),
    "index of objects": pd.DataFrame({"a": [1]}, index=pd.Index(["x"], dtype=object)),
    "index of several levels": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["s", None])),
    "range": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(3, 7, 2, name="k")),
    "dates with a frequency": pd.DataFrame({"a": [1, 2]}, index=DAYS),
    "times": pd.DataFrame({"a": DAYS, "b": DAYS.tz_localize(None).astype("M8[s]"), "c": pd.to_timedelta([1, 2], unit="s")}),
    "fixed offset": pd.DataFrame({"a": DAYS.tz_convert(datetime.timezone(datetime.timedelta(hours=-3)))}),
    "periods and intervals": pd.DataFrame({"a": pd.period_range("2026", periods=2, freq="M"), "b": pd.interval_range(0, 2)}),
    "categories of text": pd.DataFrame({"a": pd.Categorical(["b", None], categories=["b", "a", "z"], ordered=True)}),
    "categories of numbers": pd.DataFrame({"a": pd.Categorical([2, None], categories=[3, 2, 1])}),
    "nullable": pd.DataFrame({"a": pd.array([1, None], "Int16"), "b": pd.array([True, None], "boolean"), "c": pd.array(["a", None], "string")}),
    "types of Arrow": pd.DataFrame({"a": pd.array([1, None], "int64[pyarrow]")}),
    "objects": pd.DataFrame({"a": pd.Series(["x", None], dtype=object), "b": pd.Series(["x", np.nan], dtype=object)}),
    "lists of lists": pd.DataFrame({"a": [[[1], [2, 3]], []], "b": [["x"], None]}),
    "arrays": pd.DataFrame({"a": [np.array([1.5, 2.5]), np.array([3.5])]}),
    "bytes, dates, decimals": pd.DataFrame({"a": [b"x"], "b": [datetime.date(2026, 1, 1)], "c": [Decimal("1.50")]}),
    "numbers for names": pd.DataFrame([[1, 2]], columns=[5, 7]),
    "a range of names": pd.DataFrame(np.zeros((2, 3))),
    "names of two levels": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("x", "a"), ("x", "b")])),
    "an empty name": pd.DataFrame({"": [1]}),
    "half precision": pd.DataFrame({"a": np.array([1.5], "f2"), "b": np.array([2**64 - 1], "u8")}),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_of_pandas_is_given_back_with_its_index_and_types(run, name):
    frame = FRAMES[name]
    saved(run, frame)
    assert is_same_table(run.asset("t").load(), frame)


def test_attributes_of_a_frame_are_kept(run):
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = "eV"  # which old pandas does not write
    saved(run, frame)
    assert run.asset("t").load().attrs == {"unit": "eV"}


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        (pl.Series(["b", "a"], dtype=pl.Enum(["b", "a", "z"])), "an enum"),
        (pl.Series(["b", None], dtype=pl.Categorical), "categories"),
        (pl.Series([[1, 2]], dtype=pl.Array(pl.Int8, 2)), "arrays"),
        (pl.Series([datetime.time(1, 2)]), "times of day"),
        (pl.Series([float("nan"), None]), "NaN and null"),
        (pl.Series([], dtype=pl.List(pl.Int8)), "no rows"),
    ],
)
def test_a_frame_of_polars_is_given_back_with_its_types(run, column, type_):
    frame = pl.DataFrame({"a": column})
    saved(run, frame)
    assert is_same_table(run.asset("t").load(), frame), type_


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "Two columns have the name 'a'"),
        (pa.table([[1], [2]], names=["a", "a"]), "Two columns have the name 'a'"),
        (pd.DataFrame([[1, 2]], columns=[0, "a"]), "names of mixed type"),
        (pd.DataFrame({"a": [1j]}), "column a"),
        (pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}), "column a"),
        (pd.DataFrame({"a": pd.Series([1, "x"], dtype=object)}), "column a"),
        (pd.DataFrame({"a": [{"x": 1}, {"y": 2}]}), "'a' of object would have other values"),
        (pd.DataFrame({"a": [(1, 2)]}), "'a' of object would have other values"),
        (pd.DataFrame({"a": pd.cut([1, 5], [0, 2, 6])}), r"astype\(str\)"),
        (pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}), "'a' is of Object"),
        (pl.LazyFrame({"a": [1]}), r"frame.collect\(\)"),
        (pd.Series([1]), r"series.to_frame\(\)"),
        (pa.chunked_array([[1]]), "ChunkedArray does not become a table"),
        (type("Mine", (pd.DataFrame,), {})({"a": [1]}), r"pandas.DataFrame\(table\)"),
    ],
)
def test_what_a_file_would_not_give_back_is_refused_and_the_name_is_free(run, table, why):
    with run.start() as ctx:
        with pytest.raises(ValueError, match=why):
            ctx.table.save("t", table)
        ctx.save("t", pd.DataFrame({"a": [1]}))
    assert len(run.assets) == 1


class Foreign:
    """A table of a library that nobody knows."""

    def __init__(self, table):
        self.table = table


class Capsule(Foreign):
    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class Interchange(Foreign):
    def __dataframe__(self, *arguments, **named):
        return self.table.__dataframe__(*arguments, **named)


@pytest.mark.parametrize("foreign", [Capsule, Interchange, lambda table: table.to_reader()])
def test_what_speaks_a_protocol_becomes_a_table_of_arrow(run, foreign):
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    asset = saved(run, foreign(table))
    assert asset.fields.package == "arrow"
    assert run.asset("t").load().to_pydict() == table.to_pydict()


def test_the_runs_of_a_workspace_are_such_a_table(run):
    saved(run, pd.DataFrame({"a": [1]}))
    other = run.experiment.Run(id="other")
    with other.start() as ctx:
        ctx.save("runs", run.experiment.project.workspace.catalog.runs())
    assert "r" in other.asset("runs").load()["id"].to_pylist()


def test_tables_are_found_by_what_is_in_them(run):
    with run.start() as ctx:
        ctx.save("scan", pd.DataFrame({"r": [0.9, 1.0], "final energy": [1, 2]}))
        ctx.save("other", pl.DataFrame({"q": [1]}))
    find = run.experiment.project.workspace.catalog.assets
    assert [one.name for one in find("columns.r == 'double' and rows > 1")] == ["scan"]
    assert [one.name for one in find("columns.'final energy' is not null")] == ["scan"]
    assert [one.name for one in find("package == 'polars' and width == 1")] == ["other"]


def test_some_columns_are_read_alone(run):
    frame = pd.DataFrame(
        {f"c{number}": np.random.default_rng(number).random(50_000) for number in range(8)},
        index=pd.RangeIndex(5, 50_005),
    )
    asset = saved(run, frame)
    assert isinstance(asset, TableAsset)
    assert is_same_table(asset.read(["c3"]), frame[["c3"]])
    assert asset.to_arrow(["c3", "c1"]).column_names[:2] == ["c3", "c1"]
    with pytest.raises(KeyError, match="no column 'nope'; it has c0"):
        asset.read(["nope"])


def test_a_million_rows_are_one_table(run):
    frame = pd.DataFrame({"step": np.arange(10**6), "energy": np.arange(10**6) / 7})
    asset = saved(run, frame)
    assert asset.fields.rows == 10**6
    assert run.asset("t").load().equals(frame)


def test_a_very_wide_table_has_a_record_of_its_first_columns(run):
    asset = saved(run, pd.DataFrame(np.zeros((1, 3000))))
    assert asset.fields.width == 3000
    assert [*asset.fields.columns] == [str(number) for number in range(1000)]
    assert asset.describe() == "table of 1 rows: " + ", ".join(f"{n} (double)" for n in range(8)) + " and 992 more"


def test_a_preview_shows_the_beginning(run):
    asset = saved(run, pd.DataFrame({"name": ["H" * 30, "Cl"], "x": [0.5, None]}))
    assert asset.preview().text.splitlines() == [
        "2 rows, 2 columns",
        "name                      x",
        f"{'H' * 23}…  0.5",
        "Cl                        None",
    ]


def test_anybody_reads_the_file(run):
    saved(run, pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="atom")))
    path = run.asset("t").path
    assert path.suffix == ".parquet"
    assert pd.read_parquet(path)["a"].tolist() == [1, 2]
    assert pl.read_parquet(path)["atom"].to_list() == ["x", "y"]


def test_a_file_of_somebody_else_is_a_table_of_arrow(run):
    buffer = io.BytesIO()
    pa.parquet.write_table(pa.table({"a": [1]}), buffer)
    asset = saved(run, pd.DataFrame({"a": [1]}))
    asset.path.write_bytes(buffer.getvalue())
    assert TableKind().load(Elsewhere(asset)).to_pydict() == {"a": [1]}


class Elsewhere:
    """A source of bytes that were exchanged."""

    def __init__(self, asset):
        self.name, self.fields = asset.name, asset.fields
        self.schema, self.distribution = asset.schema, asset.distribution
        self._path = asset.path

    def path(self):
        return self._path

    def open(self):
        return self._path.open("rb")


@pytest.mark.parametrize("package", ["pyarrow", "pandas"])
def test_whoever_lacks_the_library_is_told_how_to_install_it(run, monkeypatch, package):
    asset = saved(run, pd.DataFrame({"a": [1]}))
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ModuleNotFoundError, match=f"'t' needs {package}, which is not installed here: pip install {package}"
    ):
        asset.load()
    if package == "pandas":
        assert asset.to_arrow().to_pydict() == {"a": [1]}


ENDING = """
    import os, sys
    import polars
    import molexp as me

    with me.Workspace(sys.argv[1]).Project("p").Experiment("e").Run().start() as ctx:
        asset = ctx.save("t", polars.DataFrame({str(number): [1, 2] for number in range(30)}))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # so that threads get no turn while this one has something to do
    for _ in range(12):
        child = os.fork()
        if not child:
            asset.load()
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound to one processor here")
def test_a_process_may_end_right_after_a_table_was_loaded(tmp_path):
    """One of Arrow's threads that still holds the file then would abort it."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(ENDING), tmp_path / "lab"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
