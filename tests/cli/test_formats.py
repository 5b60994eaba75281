"""Lists for programs: one JSON document, an object on each line, or CSV."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.cli.helpers import Terminal


@pytest.fixture
def several(in_lab):
    cu = in_lab.Project("metals").Experiment("cu")
    for number in range(3):
        with cu.Run({"cell": {"n": number}, "xc": "a,b\nc"}, id=f"n{number}").start() as ctx:
            ctx.set_result("energy", float("nan") if number == 1 else -1.5)
            ctx.metrics.log(loss=0.5, step=number)
            ctx.artifact.save("x.json", [number])
    cu.Run({"later": [1, 2]}, id="waits")
    return in_lab


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_json_lines_are_the_objects_of_json(several, molexp):
    lines = molexp("runs", "list", "--output", "jsonl").lines()
    assert [json.loads(line) for line in lines] == molexp("runs", "list", "--json").json()
    assert molexp("runs", "list", "--output", "json").out == molexp("runs", "list", "--json").out


def test_csv_has_a_column_for_each_field_of_any_run(several, molexp):
    done = molexp("runs", "list", "--output", "csv")
    assert (done.code, done.err) == (0, "")
    first, second, _, last = rows_of(done.out)
    assert first["params.cell.n"] == "0"
    assert first["params.xc"] == "a,b\nc"
    assert first["results.energy"] == "-1.5"
    assert first["metrics.loss.last"] == "0.5"
    assert second["results.energy"] == "nan"
    assert (last["id"], last["status"], last["params.later"], last["params.cell.n"]) == (
        "waits",
        "pending",
        "[1,2]",
        "",
    )
    names = [*first]
    params = [names.index(name) for name in names if name.startswith("params.")]
    assert params == [*range(params[0], params[-1] + 1)]


def test_csv_has_a_column_for_each_name_that_is_asked_for(several, molexp):
    names = ("run", "age", "time", "status", "params.cell.n")
    first, *_, last = rows_of(molexp("runs", "list", "--columns", ",".join(names), "--output", "csv").out)
    assert (first["run"], last["run"]) == (several.run("n0").path, several.run("waits").path)
    assert (first["status"], first["params.cell.n"]) == ("succeeded", "0")
    record = molexp("runs", "list", "--limit", "1", "--json").json()[0]
    assert first["created_at"] == record["created_at"]
    assert float(first["seconds"]) >= 0


def test_csv_has_texts_and_times_as_the_record_has_them(in_lab, molexp, here):
    odd = '\x1b[2J\x85\u202e\r"a", é\r\n\t\0'
    in_lab.Project("p").Experiment("e").Run({"odd": odd}, id="odd")
    (row,) = rows_of(molexp("runs", "list", "--output", "csv").out)
    assert row["params.odd"] == odd
    terminal = Terminal(here, "runs", "list", "--output", "csv")
    assert terminal.end() == 0
    assert "\\u001b[2J" in terminal.text


def test_csv_has_times_of_assets_without_quotes(several, molexp):
    (row, *_) = rows_of(molexp("assets", "list", "--output", "csv").out)
    (record, *_) = molexp("assets", "list", "--json").json()
    assert row["created_at"] == record["created_at"]


def test_csv_has_the_columns_of_those_that_are_listed(several, molexp):
    (row,) = rows_of(molexp("runs", "list", "--output", "csv", "--limit", "1").out)
    assert "params.later" not in row
    (row,) = rows_of(molexp("runs", "list", "params.later is not null", "--output=csv").out)
    assert "params.xc" not in row


@pytest.mark.parametrize("words", [("runs", "list"), ("assets", "list"), ("catalog", "unreadable")])
def test_an_empty_list_is_empty_in_every_form(in_lab, molexp, words):
    assert [molexp(*words, "--output", form).out for form in ("jsonl", "csv")] == ["", ""]


def test_assets_and_plugins_are_lists_too(several, molexp):
    assert [row["name"] for row in rows_of(molexp("assets", "list", "--name", "x.json", "--output", "csv").out)] == [
        "x.json"
    ] * 3
    assert "fs" in [json.loads(line)["name"] for line in molexp("plugins", "list", "--output", "jsonl").lines()]


def test_two_forms_at_once_are_an_error(in_lab, molexp):
    done = molexp("runs", "list", "--json", "--output", "csv")
    assert done.code == 2
    assert json.loads(done.err)["error"]["message"].endswith("remove it, or --output csv.")
