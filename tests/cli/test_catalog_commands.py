"""molexp catalog: the index behind the answers is checked, rebuilt and compacted; what cannot be read is listed."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

RUN = Path("lab/projects/metals/experiments/cu/runs/two/run.json")


@pytest.fixture
def runs(in_lab):
    exp = in_lab.Project("metals").Experiment("cu")
    for name in ("one", "two"):
        with exp.Run(id=name).start() as ctx:
            ctx.artifact.save("a.json", [1])
    in_lab.catalog.runs()
    return in_lab


def damage():
    """No copy of a run's definition can be read."""
    RUN.write_text("{")
    shutil.rmtree(RUN.parent / "executions")


def test_verify_finds_nothing_where_all_is_well(runs, molexp):
    done = molexp("catalog", "verify")
    assert (done.code, done.err) == (0, "")
    assert done.out == "Checked 4 rows; the index matches the files.\n"
    assert molexp("catalog", "verify", "--json").json() == {
        "operation": "verify", "findings": [], "counts": {"rows": 4},
    }  # fmt: skip


def test_verify_mends_what_differs_and_says_so(runs, molexp):
    end = RUN.parent.with_name("one") / "executions/1.end.json"
    end.write_bytes(end.read_bytes().replace(b'"succeeded"', b'"cancelled"'))

    done = molexp("catalog", "verify")
    assert done.code == 0, "it is mended"
    assert done.out == "Checked 4 rows; found 1 problem.\n  metals/cu/one: out of date in the index (mended)\n"
    assert molexp("catalog", "verify").out == "Checked 4 rows; the index matches the files.\n"


def test_verify_names_an_index_that_was_changed_by_hand_and_begins_it_anew(runs, molexp):
    location = runs._session.index.location
    with sqlite3.connect(location) as connection:
        where = "id = (SELECT id FROM entities WHERE path = 'metals/cu/one')"
        connection.execute(f"UPDATE documents SET document = ? WHERE {where}", (b'{"status":"failed"}',))
    connection.close()

    done = molexp("catalog", "verify", "--json")
    assert done.code == 0, "it is mended"
    assert [(found["key"], found["done"]) for found in done.json()["findings"]] == [(location, "begun anew")]
    assert molexp("catalog", "verify").out == "Checked 4 rows; the index matches the files.\n"


def test_verify_names_what_cannot_be_read_and_exits_with_1(runs, molexp):
    damage()
    rebuilt, verified = molexp("catalog", "rebuild", "--json"), molexp("catalog", "verify", "--json")
    assert (rebuilt.code, verified.code) == (1, 1)
    assert verified.json()["findings"] == rebuilt.json()["findings"]
    assert [found["key"] for found in verified.json()["findings"]] == [RUN.relative_to("lab").as_posix()]


@pytest.mark.parametrize("command", ["rebuild", "verify", "compact"])
@pytest.mark.parametrize("cache", ["not/there/yet", "lab/workspace.json"], ids=["no folder yet", "no folder"])
def test_they_are_the_first_command_of_a_machine(runs, molexp, monkeypatch, command, cache):
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(Path(cache).absolute()))
    done = molexp("catalog", command)
    assert (done.code, done.err) == (0, "")


def test_rebuild_reads_everything(runs, molexp):
    assert molexp("catalog", "rebuild").out == "rebuild: runs 2, assets 2, unreadable 0\n"
    damage()
    done = molexp("catalog", "rebuild", "--json")
    assert done.code == 1
    (finding,) = done.json()["findings"]
    assert finding["key"] == RUN.relative_to("lab").as_posix()
    assert molexp("catalog", "rebuild").out.splitlines()[1].startswith(f"  {finding['key']}: ")


def test_compact_folds_journals(runs, molexp):
    found = molexp("catalog", "compact", "--json").json()
    assert found["operation"] == "compact"
    assert found["counts"]["snapshot"] == 1
    assert Path("lab/.molexp/snapshots").is_dir()
    assert molexp("catalog", "compact").out.startswith("compact: sealed ")


def test_unreadable_files_are_listed_with_the_reason(runs, molexp):
    done = molexp("catalog", "unreadable")
    assert (done.code, done.lines()) == (0, ["KEY  REASON"])
    assert molexp("catalog", "unreadable", "--json").json() == {}
    damage()
    assert molexp("catalog", "verify").code == 1
    key = RUN.relative_to("lab").as_posix()
    done = molexp("catalog", "unreadable")
    assert done.code == 1
    assert done.lines()[1].startswith(key)
    assert list(molexp("catalog", "unreadable", "--json").json()) == [key]
    assert [row["id"] for row in molexp("runs", "list", "--json").json()] == ["one"], "the rest is answered"
