"""Numbers in documents that cannot be: the record that has one cannot be read and is named; all others answer."""

from __future__ import annotations

import msgspec
import pytest

from tests.pairwise import pairwise

HUGE = 1 << 63  # more than SQLite holds


@pytest.fixture
def reader(lab, tmp_path):
    """Two runs with an asset each, and two data assets."""
    exp = lab.workspace().Project("p").Experiment("e")
    for name in "ab":
        with exp.Run(id=name).start() as ctx:
            ctx.artifact.save(f"{name}.json", [1])
        (tmp_path / name).write_text(name)
        exp.data_assets.import_asset(name, tmp_path / name)
    return lab.load()


def replaced(lab, key, **values):
    """Numbers of the one asset that a document records, or that it is the record of."""
    document = lab.document(key)
    for record in document.get("assets", [document]):
        record.update(values)
    lab.store.write(key, msgspec.json.encode(document))


NUMBERS = [{"size": HUGE}, {"size": -1}, {"version": HUGE}, {"size": 10**400}]
KEYS = ["projects/p/experiments/e/data/a/1.json", "projects/p/experiments/e/runs/a/executions/1.end.json"]


@pytest.mark.parametrize(("number", "key", "when"), pairwise(range(len(NUMBERS)), KEYS, ["before", "afterwards"]))
def test_an_asset_with_a_number_that_cannot_be_is_named_and_the_rest_answers(lab, reader, number, key, when):
    if when == "afterwards":
        assert len(reader.catalog.assets()) == 4
    replaced(lab, key, **NUMBERS[number])

    assert [finding.key for finding in reader.catalog.verify().findings if not finding.done] == [key]
    for ws in (reader, lab.load()):
        assert [row.id for row in ws.catalog.runs()] == ["a", "b"]
        assert len(ws.catalog.assets()) == 4
        assert list(ws.catalog.unreadable()) == [key]
        assert ws.catalog.compact().counts["rows"] or ws is not reader
        assert not ws.catalog.rebuild().ok


@pytest.mark.parametrize("name", ["replica", "experiment_revision", "schema"])
def test_a_number_of_a_run_that_cannot_be_stops_nobody(lab, reader, name):
    lab.change("projects/p/experiments/e/runs/a/run.json", **{name: HUGE * 10**30})

    assert "b" in [row.id for row in reader.catalog.runs()]
    reader.catalog.rebuild()
    assert "b" in [row.id for row in lab.load().catalog.runs()]


@pytest.mark.parametrize("number", [HUGE, 10**40], ids=str)
def test_an_attempt_with_a_number_that_cannot_be_stops_nobody(lab, reader, number):
    folder = lab.folder / "projects/p/experiments/e/runs/a/executions"
    for suffix in (".jsonl", ".end.json"):
        (folder / f"{number}{suffix}").write_bytes((folder / f"1{suffix}").read_bytes())
    with reader.run("p/e/b").start(if_succeeded="rerun") as ctx:
        reader.run("p/e/a").asset("a.json").read_bytes()
        ctx.set_result("x", 1)

    reader.catalog.rebuild()
    assert [row.id for row in reader.catalog.runs("results.x == 1")] == ["b"]
    assert "b" in [row.id for row in lab.load().catalog.runs()]


def test_sizes_whose_sum_no_database_holds_are_added_all_the_same(lab, reader):
    for name in "ab":
        replaced(lab, f"projects/p/experiments/e/runs/{name}/executions/1.end.json", size=HUGE - 1)
    data = sum(row.size for row in reader.catalog.assets() if row.size and not row.name.endswith(".json"))

    ws = lab.load()
    assert [one.size for one in ws.catalog.totals()] == [2 * (HUGE - 1) + data]
    assert ws.catalog.verify().ok, "the index is taken for a broken one, and made anew"
