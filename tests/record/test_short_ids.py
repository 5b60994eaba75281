"""Short names of runs, counts by status, and what is near where nothing matches."""

from __future__ import annotations

import pytest

import molexp as me

GENERATED = "20261128-090000-123456-abcdef01"


@pytest.fixture
def ws(tmp_path):
    return me.Workspace(tmp_path / "lab")


def names(ws, *ids):
    experiment = ws.Project("p").Experiment("e")
    for one in ids:
        experiment.Run(id=one)
    found = ws.catalog.short_ids(ws.catalog.runs())
    assert [ws.run(found[path]).path for path in found] == [*found]
    return [found[f"p/e/{one.lower()}"] for one in ids]


@pytest.mark.parametrize(
    ("ids", "short"),
    [
        (["0123456789abcdef0123"], ["01234567"]),
        (["0123456789abcdef0123", "01234567ffffffffffff"], ["0123456789abcdef0123", "01234567ffffffffffff"]),
        ([GENERATED], ["abcdef01"]),
        ([GENERATED, "20261128-090001-123456-abcdef01"], [GENERATED, "20261128-090001-123456-abcdef01"]),
        ([GENERATED, "abcdef01-other"], [GENERATED, "abcdef01-other"]),
        (["CU-large", "cu-large-2"], ["cu-large", "cu-large-2"]),
    ],
)
def test_a_short_name_finds_its_run_and_no_other(ws, ids, short):
    assert names(ws, *ids) == short


def test_one_id_in_two_experiments_is_told_apart_by_the_path(ws):
    for name in ("one", "two"):
        ws.Project("p").Experiment(name).Run(id="same")
    assert [*ws.catalog.short_ids(ws.catalog.runs()).values()] == ["p/one/same", "p/two/same"]


def test_archived_and_many_runs_count(ws):
    experiment = ws.Project("p").Experiment("e")
    experiment.runs.create_many({"n": number} for number in range(1100))
    experiment.Run(id="0123456789abcdef0123").archive()
    experiment.Run(id="01234567ffffffffffff")
    rows = ws.catalog.runs()
    found = ws.catalog.short_ids(rows)
    assert len({*found.values()}) == len(rows)
    assert found["p/e/01234567ffffffffffff"] == "01234567ffffffffffff"


def test_pages_count_by_status_as_far_as_the_index_tells(ws):
    experiment = ws.Project("p").Experiment("e")
    for number in range(3):
        with experiment.Run({"n": number}).start():
            pass
    experiment.Run({"n": 3})
    experiment.Run({"n": 4}).archive()
    assert dict(ws.catalog.run_pages().statuses or {}) == {"succeeded": 3, "pending": 1}
    assert dict(ws.catalog.run_pages("params.n > 0", archived=True).statuses or {}) == {"succeeded": 2, "pending": 2}
    assert ws.catalog.run_pages(params={"n": [1]}).statuses is None


def test_each_condition_is_counted_alone(ws):
    experiment = ws.Project("metals").Experiment("cu", params={"xc": "PBE"})
    for number in range(3):
        experiment.Run({"n": number}).annotate(tags=["best"] if number else [])
    experiment.Run({"n": 9}).archive()
    question = "params.xc == 'PBEE' and params.n >= 1 and (params.n == 7 or params.n == 8) and params.m is null"
    found = ws.catalog.near_misses(
        question, project="metals", status=["failed", "pending"], tags=["best"], params={"n": 1}
    )
    assert [(one.condition, one.runs, one.nearest) for one in found] == [
        ('params.xc == "PBEE"', 0, ("PBE",)),
        ("params.n >= 1", 2, ()),
        ("params.m is null", 3, ()),
        ('project == "metals"', 3, ()),
        ('status in ["failed", "pending"]', 3, ()),
        ('"best" in tags', 2, ()),
        ("params.n == 1", 1, ()),
    ]
    status, cause = ws.catalog.near_misses("status == 'suceeded' and cause == 'walltimes'")
    assert (repr(status.nearest[0]), repr(cause.nearest)) == ("'succeeded'", "('walltime',)")
    assert ws.catalog.near_misses() == []
    with pytest.raises(me.errors.QueryError):
        ws.catalog.near_misses("params.n >")


def test_the_end_of_an_id_that_somebody_gave_is_no_name(ws):
    """A date is eight hexadecimal digits, too."""
    ws.Project("p").Experiment("e").Run(id="relax-20261129-final")
    ws.Project("p").Experiment("e").Run(id="relax-20261129")
    with pytest.raises(me.NotFoundError):
        ws.run("20261129")


def test_a_whole_id_is_found_among_many_that_begin_with_it(ws):
    exp = ws.Project("p").Experiment("e")
    exp.Run(id="r")
    for number in range(101):
        exp.Run(id=f"r-{number}")
    assert ws.run("r").id == "r"
