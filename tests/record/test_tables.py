"""Answers are tables that pandas, polars, pyarrow and narwhals read, and that become CSV and Parquet."""

from __future__ import annotations

import csv
import io
import math
import sys

import narwhals
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest

import molexp as me

BIG = (1 << 53) + 1


@pytest.fixture
def rows(exp):
    """Two runs that succeeded and one that was not started, with values of many sorts."""
    for number, results in enumerate(({"energy": -3.7, "n": BIG, "ok": True}, {"energy": math.nan})):
        with exp.Run({"b": number, "solver": {"name": "cg"}}, id=f"r{number}").start() as ctx:
            ctx.metrics.log(step=3, force=0.5 + number)
            for name, value in results.items():
                ctx.set_result(name, value)
    exp.Run({}, id="r2")
    return exp.project.workspace.catalog.runs(sort="id")


def test_a_frame_has_types(rows):
    frame = rows.to_pandas()
    assert (str(frame["params.b"].dtype), frame["params.b"].tolist()[:2]) == ("Int64", [0, 1])
    assert frame["results.n"][0] == BIG, "integers beside gaps are exact"
    assert (str(frame["created_at"].dt.tz), frame["created_at"][0].year > 2000) == ("UTC", True)
    assert (frame["attempts"].tolist()[:2], frame["attempts"].isna()[2]) == ([1, 1], True)
    assert 0 <= frame["seconds"][0] < 3600
    assert frame["host"][0] == rows[0].execution_history[0]["host"]
    assert frame["metrics.force.last"].tolist()[:2] == [0.5, 1.5]
    assert (str(frame["results.ok"].dtype), frame["results.ok"].isna().tolist()) == ("boolean", [False, True, True])


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({"a.b": 1, "a": {"b": 2}}, 1),
        ({"a": {"b": 2}, "a.b": 1}, 1),
        ({"a": {"b": 2}, "a.b": None}, 2),
        ({"a.b": None, "a": {"b": 2}}, 2),
    ],
    ids=str,
)
def test_of_two_values_under_one_name_a_table_has_the_one_that_a_query_finds(exp, params, shown):
    exp.Run(params)
    ws = exp.project.workspace
    (row,) = ws.catalog.runs(f"params.a.b == {shown}")
    assert (row["params.a.b"], ws.catalog.runs().to_pandas()["params.a.b"].tolist()) == (shown, [shown])


def test_polars_has_the_same(rows):
    frame = rows.to_polars()
    assert frame["params.b"].to_list() == [0, 1, None]
    assert frame["results.n"].to_list() == [BIG, None, None]
    assert frame.schema["created_at"] == polars.Datetime("us", "UTC")
    assert frame["results.ok"].to_list() == [True, None, None]
    energies = frame["results.energy"]
    assert (energies[0], energies.is_nan().to_list(), energies.is_null().to_list()) == (
        -3.7,
        [False, True, None],
        [False, False, True],
    )


READERS = {
    "pandas": pandas.DataFrame,
    "polars": polars.DataFrame,
    "polars, by Arrow": polars.from_dataframe,
    "pyarrow": lambda rows: pyarrow.table(rows).to_pandas(),
    "pyarrow, as a stream": lambda rows: pyarrow.RecordBatchReader.from_stream(rows).read_all().to_pandas(),
    "narwhals": lambda rows: narwhals.from_arrow(rows, backend="pandas"),
}
if from_arrow := getattr(pandas.DataFrame, "from_arrow", None):  # pandas 3
    READERS["pandas, by Arrow"] = from_arrow


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_library_reads_rows_without_a_word_from_us(rows, read):
    frame = read(rows)
    assert set(frame.columns) >= {
        "id",
        "status",
        "params.b",
        "params.solver.name",
        "results.energy",
        "metrics.force.last",
    }
    assert list(frame["id"]) == ["r0", "r1", "r2"]
    assert list(frame["params.b"])[:2] == [0, 1]


@pytest.mark.parametrize("read", [r for name, r in READERS.items() if name not in ("pandas", "polars")])
def test_runs_assets_metrics_and_comparisons_are_read_by_arrow(exp, rows, read):
    ws = exp.project.workspace
    for table in (
        exp.runs,
        ws.catalog.assets(),
        ws.compare("r0", "r1"),
        exp.run("r0").metrics,
        ws.catalog.runs("params.b > 9"),
    ):
        frame = read(table)
        assert list(frame.columns) == list(table.to_pandas().columns)
        assert len(frame) == len(table.to_pandas())


def test_a_row_is_a_mapping_of_its_columns(rows):
    row = rows[0]
    assert (row["params.b"], row["results.n"], row.get("results.none")) == (0, BIG, None)
    assert [*row] == [*dict(row)]
    assert "params.b" in row
    with pytest.raises(me.NotFoundError, match=r"'params\.c'.*'params\.b'"):
        row["params.c"]


# ------------------------------------------------------------------------------------------------- columns of several types


MIXED = {
    "numbers": ([1, 2.5], [1.0, 2.5]),
    "exact": ([BIG, 2.5], [str(BIG), "2.5"]),
    "large": ([1 << 70, 1], [str(1 << 70), "1"]),
    "texts": ([1, "one"], ["1", "one"]),
    "truth": ([True, 1], ["true", "1"]),
    "lists": ([[1, 2], [3]], [[1, 2], [3]]),
    "ragged": ([[1, "x"], [3]], ['[1, "x"]', "[3]"]),
    "nested": ([[[1], [2, 3]], [[4]]], ["[[1], [2, 3]]", "[[4]]"]),
    "in lists": ([[1 << 70], [1]], [f"[{1 << 70}]", "[1]"]),
    "dicts in lists": ([[{"a": 1}], []], ['[{"a": 1}]', "[]"]),
    "a text and a list": (["a", [1]], ["a", "[1]"]),
}


@pytest.mark.parametrize(("given", "found"), MIXED.values(), ids=MIXED.keys())
def test_a_column_of_several_types_is_text(lab_exp, given, found):
    for number, value in enumerate(given):
        with lab_exp.Run(id=f"r{number}").start() as ctx:
            ctx.set_result("x", value)
    rows = lab_exp.project.workspace.catalog.runs(sort="id")
    assert rows.to_polars()["results.x"].to_list() == found
    assert pyarrow.table(rows)["results.x"].to_pylist() == found
    assert rows.to_pandas()["results.x"].tolist() == given, "pandas keeps values as they are"
    assert len(rows.to_csv().splitlines()) == 3


# ---------------------------------------------------------------------------------------------------------------------- files


def test_csv_is_read_again(rows, tmp_path):
    text = rows.to_csv()
    assert rows.to_csv(tmp_path / "runs.csv") is None
    assert (tmp_path / "runs.csv").read_text(encoding="utf-8") == text
    first, _, last = csv.DictReader(io.StringIO(text))
    assert (first["params.b"], first["results.ok"], first["results.n"], last["results.n"]) == (
        "0",
        "true",
        str(BIG),
        "",
    )
    frame = pandas.read_csv(tmp_path / "runs.csv", parse_dates=["created_at"])
    assert (frame["created_at"].dt.year[0] > 2000, frame["results.energy"][0]) == (True, -3.7)


@pytest.mark.parametrize(
    "value", ['a "quoted" one', "two\nlines", "comma, and more", "ünïcode ☃", "=1+1", "\r\n", "\0"]
)
def test_csv_keeps_hostile_texts(lab_exp, tmp_path, value):
    with lab_exp.Run(id="one").start() as ctx:
        ctx.set_result("x", value)
    lab_exp.project.workspace.catalog.runs().to_csv(tmp_path / "a.csv")
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        assert [row["results.x"] for row in csv.DictReader(file)] == [value]


def test_a_descriptor_is_no_path(rows):
    with pytest.raises(TypeError, match="int"):
        rows.to_csv(2)


def test_parquet_is_read_again(rows, tmp_path):
    rows.to_parquet(tmp_path / "runs.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "runs.parquet")
    assert table["results.n"].to_pylist() == [BIG, None, None]
    assert table["created_at"].to_pylist()[0].tzinfo is not None


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("pandas", lambda rows: rows.to_pandas()),
        ("polars", lambda rows: rows.to_polars()),
        ("pyarrow", lambda rows: rows.to_parquet("never")),
    ],
)
def test_a_library_that_is_missing_is_named(rows, monkeypatch, module, use):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=f"pip install {module}"):
        use(rows)
    assert rows.to_csv(), "which needs none"
