"""Two copies of a workspace went through anything, and a sync keeps all that the destination has, and says what it leaves."""

from __future__ import annotations

from contextlib import suppress
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

import molexp as me
from tests.record.helpers import Place
from tests.record.syncing import record, sync, track

RUNS = ("one", "two", "three")
OPERATIONS = st.one_of(
    st.tuples(st.just("attempt"), st.sampled_from(RUNS)),
    st.tuples(st.just("define"), st.sampled_from(RUNS), st.integers(0, 1)),
    st.tuples(st.just("tag"), st.sampled_from(RUNS)),
    st.tuples(st.just("delete"), st.sampled_from(RUNS)),
    st.tuples(st.just("import"), st.integers(0, 1)),
    st.tuples(st.just("revise"), st.integers(0, 2)),
    st.tuples(st.just("configure"), st.sampled_from(["end", "never"])),
)
HISTORY = st.lists(st.tuples(st.integers(0, 1), OPERATIONS), max_size=8)
names = count()


def act(place, folder, operation, *arguments):
    """One thing that somebody does to a workspace, if it can be done there."""
    ws = place.load()
    exp = ws.project("metals").experiment("cu")
    with suppress(me.NotFoundError, me.ConflictError):  # the run is not there, was deleted, or is defined otherwise
        match operation, arguments:
            case "define", (name, value):
                exp.Run({"n": value}, id=name)
            case "attempt", (name,):
                track(exp.run(name), next(names))
            case "tag", (name,):
                exp.run(name).annotate(tags=["t"])
            case "delete", (name,):
                exp.run(name).delete()
            case "import", (value,):
                (folder / "data").write_text(str(value))
                exp.data_assets.import_asset("data", folder / "data")
            case "revise", (value,):
                exp.project.Experiment("cu", params={"a": value}, update=True)
            case "configure", (value,):
                ws.configure(durability=value)


def bring(source, target):
    """Sync, and check what a sync promises."""
    before = record(target)
    report = sync(source, target)
    after = record(target)
    assert not report.mismatches
    assert not report.unreadable
    for key, data in before.items():
        assert after[key] == data or key.endswith("/run.json"), f"{key} was changed"
    missing = {key for key in record(source).keys() - after.keys() if "/data/" not in key}
    assert report.conflicts or not missing, "what the same data is called may differ"
    assert not target.load().catalog.verify().findings
    again = sync(source, target)
    assert again.counts["copied"] == 0
    assert again.conflicts == report.conflicts
    return report


@settings(max_examples=20)
@given(first=HISTORY, then=HISTORY)
def test_a_sync_keeps_what_is_there_and_tells_what_it_leaves(tmp_path_factory, first, then):
    folder = tmp_path_factory.mktemp("random")
    places = [Place(f"memory://random-{next(names)}", {"append": append}) for append in (True, False)]
    places[0].workspace().materialize().Project("metals").Experiment("cu", params={"a": 0})
    for _, (operation, *arguments) in first:
        act(places[0], folder, operation, *arguments)
    assert bring(*places).ok
    for side, (operation, *arguments) in then:
        act(places[side], folder, operation, *arguments)

    reports = [bring(*places), bring(*reversed(places))]

    if all(report.ok for report in reports):
        a, b = ({row.path: (str(row.status), row.results) for row in place.load().catalog.runs()} for place in places)
        assert a == b
