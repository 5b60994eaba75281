"""A resume takes over outputs that come back exactly as they were, from records of whatever age and health."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import OrderedDict
from decimal import Decimal
from enum import IntEnum
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import molexp as me
from molexp.workflow import WorkflowBuilder

RUN = "projects/metals/experiments/cu/runs/one"


class Level(IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: int


class Giver:
    """Gives what it is told to; nobody can see that in its code."""

    def __init__(self):
        self.value = None
        self.times = 0

    def workflow(self):
        wf = WorkflowBuilder("giving")

        @wf.task
        def only(ctx):
            return _give(ctx)

        @wf.task(depends_on=[only])
        def after(ctx):
            _CURRENT[0].times += 100
            return "after"

        return wf.build()

    def execute(self, run, value=None, **options):
        """Execute for a value: how often it was asked for it, and the outcome."""
        self.value, self.times = value, 0
        _CURRENT[0] = self
        result = self.workflow().execute_sync(run=run, check=True, **options)
        return self.times, result


_CURRENT: list[Giver] = [Giver()]


def _give(ctx):
    giver = _CURRENT[0]
    giver.times += 1
    return giver.value(ctx) if callable(giver.value) else giver.value


def same(a, b):
    """Tell whether two values are equal, of the same types, all the way down."""
    if type(a) is not type(b):
        return False
    if type(a) is float:
        return repr(a) == repr(b)
    if type(a) in (list, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if type(a) is dict:
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def again(run, value):
    """Execute a task that returns `value`, and resume: its two outcomes."""
    giver = Giver()
    times, first = giver.execute(run, value)
    assert times == 101
    times, second = giver.execute(run, value, resume=True)
    outcome = second.tasks["only"]
    assert second.tasks["after"].reused, second.tasks["after"].reason
    assert times == (0 if outcome.reused else 1)
    assert first.tasks["only"].restorable is second.tasks["only"].restorable is outcome.reused
    return first.outputs["only"], outcome


@pytest.mark.parametrize(
    "value",
    [
        None,
        (1, (2, [3, ()])),
        [math.nan, math.inf, -math.inf, -0.0, 1.0, 1],
        10**4299,
        -(2**64),
        {"$float": "nan", "$dict": [["a", 1]], "": {"$asset": "x"}},
        {"$tuple": [1]},
        "α\n\0\x7f",
        {"volumes": [0.1] * 2000},
        ("x" * 9000, 2**70, math.nan),
        Path("/"),
        True,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_can_carry_comes_back_exactly(run, value):
    first, outcome = again(run, value)

    assert outcome.reused
    assert outcome.reason == "unchanged"
    assert same(outcome.output, first)


def nested(depth, kind):
    value = kind()
    for _ in range(depth):
        value = kind([value])
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({1, 2}, "type set"),
        ([1, {"deep": bytearray(b"bytes")}], r"output\[1\]\.deep is of type bytearray"),
        ({1: "one"}, "keys in JSON are text"),
        ("\udc80", "UTF-8"),
        ({"\udc80": 1}, "UTF-8"),
        (Point(1, 2), "Point"),
        (Level.LOW, "Level"),
        (OrderedDict(a=1), "OrderedDict"),
        (Decimal("1.5"), "Decimal"),
        (PurePosixPath("a"), "PurePosixPath"),
        (1j, "complex"),
        (nested(300, list), "nested"),
        (nested(150, tuple), "nested"),
        (Path("/there/is/no/such/file"), "is gone"),
        (len, "builtin_function"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_it_cannot_carry_is_executed_again_and_says_why(run, value, why):
    giver = Giver()
    giver.execute(run, (lambda ctx: value) if callable(value) else value)
    times, result = giver.execute(run, (lambda ctx: value) if callable(value) else value, resume=True)

    assert times == 1
    reason = result.tasks["only"].reason
    assert reason.startswith("its output cannot be restored: ")
    assert re.search(why, reason), reason
    assert result.tasks["after"].reused
    record = run.asset("execution-state").load()["tasks"]["only"]
    assert record["why"] == reason


def test_numbers_of_numpy_are_restored(run):
    numpy = pytest.importorskip("numpy")
    value = [numpy.float64(-0.0), numpy.float32(0.1), numpy.float16("nan"), numpy.uint64(2**64 - 1), numpy.int8(-3)]
    value += [numpy.bool_(True), {"energy": (numpy.float64("-inf"), 1.5)}]
    giver = Giver()
    giver.execute(run, value)
    times, result = giver.execute(run, resume=True)

    assert times == 0
    found = result.outputs["only"]
    assert [type(one) for one in found] == [type(one) for one in value]
    assert repr(found) == repr(value)
    assert giver.execute(run, -0.0)[1].tasks["only"].restorable, "a float is another output than a number of numpy"


def test_a_number_of_numpy_takes_few_calls(run):
    numpy = pytest.importorskip("numpy")

    def calls(numbers):
        count = 0

        def note(frame, event, argument):
            nonlocal count
            count += event == "call"

        giver = Giver()
        sys.setprofile(note)
        try:
            giver.execute(run, numbers)
        finally:
            sys.setprofile(None)
        return count

    numbers = numpy.linspace(0, 1, 2000)
    calls([*numbers[:2]])  # imports what it needs
    more = calls([*numbers]) - calls(numbers.tolist())
    assert more < 25 * len(numbers), "nothing else goes on while they are packed"


def test_other_scalars_of_numpy_are_computed_again(run):
    numpy = pytest.importorskip("numpy")
    giver = Giver()
    giver.execute(run, numpy.longdouble(1))
    times, result = giver.execute(run, numpy.longdouble(1), resume=True)
    assert (times, "longdouble" in result.tasks["only"].reason) == (1, True)


@pytest.mark.parametrize("mended", ['["float32", [1]]', '["float32", null]', '["bool", []]', "[1]", '"x"'])
def test_a_scalar_that_somebody_edited_into_none_is_computed_again(lab, lab_run, mended):
    numpy = pytest.importorskip("numpy")
    giver = Giver()
    giver.execute(lab_run, [numpy.float32(0.5)])
    for file in lab.folder.rglob("executions/*"):
        file.write_text(file.read_text().replace('["float32",0.5]', mended))

    times, result = giver.execute(lab.load().run(lab_run.path), [numpy.float32(0.5)], resume=True)
    assert (times, result.outputs["only"]) == (1, [0.5])
    assert "its output cannot be restored" in result.tasks["only"].reason


def test_numpy_arrays_are_restored_if_a_kind_of_them_is_installed(run):
    pytest.importorskip("molexp_science")
    numpy = pytest.importorskip("numpy")
    value = {"forces": numpy.array([[0.5, numpy.nan]], dtype=">f4", order="F"), "steps": [numpy.arange(3)]}
    giver = Giver()
    giver.execute(run, value)
    times, result = giver.execute(run, resume=True)

    assert times == 0
    found = result.outputs["only"]
    assert found["forces"].dtype == value["forces"].dtype
    numpy.testing.assert_array_equal(found["forces"], value["forces"])
    numpy.testing.assert_array_equal(found["steps"][0], value["steps"][0])


def test_frames_and_structures_are_restored_but_no_drawings(run):
    pytest.importorskip("molexp_science")
    pandas, ase, figures = map(pytest.importorskip, ("pandas", "ase", "matplotlib.figure"))
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"r": [0.9, math.nan], "label": ["a", None]}, index=[5, 7])
    value = {"scan": frame, "cell": ase.Atoms("H2O", positions=[[0.1, 0, 0], [1 / 3, 0, 0], [0, 1, 0]], cell=[4, 5, 6])}
    giver = Giver()
    giver.execute(run, value)
    times, result = giver.execute(run, resume=True)

    assert times == 0
    pandas.testing.assert_frame_equal(result.outputs["only"]["scan"], frame)
    assert result.outputs["only"]["cell"] == value["cell"]
    _, drawn = giver.execute(run, figures.Figure())
    assert drawn.tasks["only"].restorable is False


def test_assets_come_back_and_so_do_paths_wherever_the_workspace_is_now(lab, lab_run, tmp_path):
    giver = Giver()

    def save(ctx):
        asset = ctx.artifact.save("volumes.json", [1, 2])
        return {"asset": asset, "path": asset.path}

    _, first = giver.execute(lab_run, save)
    times, _ = giver.execute(lab_run, save, resume=True)
    assert times == 0

    Path(lab.url).rename(tmp_path / "moved")
    moved = me.Workspace.load(tmp_path / "moved").project("metals").experiment("cu").run("one")
    times, second = giver.execute(moved, save, resume=True)

    assert times == 0
    found = second.outputs["only"]
    assert type(found["asset"]) is type(first.outputs["only"]["asset"])
    assert found["asset"].load() == [1, 2]
    assert found["path"] == tmp_path / "moved" / RUN / "artifacts/volumes.json"
    assert type(found["path"]) is type(Path())


@pytest.mark.parametrize("what", ["asset", "path"])
def test_a_task_whose_asset_is_gone_is_executed_again(lab, lab_run, what):
    giver = Giver()

    def save(ctx):
        asset = ctx.artifact.save("volumes.json", [1, 2])
        return asset if what == "asset" else asset.path

    giver.execute(lab_run, save)
    (lab.folder / RUN / "artifacts/volumes.json").unlink()
    times, result = giver.execute(lab_run, save, resume=True)

    assert times >= 1
    assert "volumes.json" in result.tasks["only"].reason
    assert (lab.folder / RUN / "executions/2/artifacts/volumes.json").exists()


def test_a_relative_path_stays_relative(run):
    _, outcome = again(run, Path("."))

    assert outcome.output == Path(".")
    assert not outcome.output.is_absolute()


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**200),
    st.floats(),
    st.text(st.characters(), max_size=5),
    st.sampled_from(["$", "$tuple", "$dict", "$float", "nan", "\udc80"]),
)
KEYS = st.one_of(st.text(max_size=3), st.sampled_from(["$", "$tuple", "$dict", "$float", "$path", "$asset"]))
ODD = st.one_of(st.binary(max_size=2), st.frozensets(st.integers(), max_size=2), st.decimals(), st.just(1j))
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(st.integers(), inner, max_size=1),
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(value=st.one_of(VALUES, VALUES, st.lists(ODD | PLAIN, max_size=3)))
def test_any_value_comes_back_exactly_or_is_made_again(value):
    run = me.Workspace("memory://any").Project("p").Experiment("e").Run()
    giver = Giver()
    giver.execute(run, value)
    times, result = giver.execute(run, value, resume=True)
    if times == 0:
        assert same(result.outputs["only"], value)
    else:
        assert times == 1
        assert "cannot be restored" in result.tasks["only"].reason


# ------------------------------------------------------------------------------------------------ records of any health


def changed(place, **record):
    """Execute, change what the end says of the task, and resume."""
    run = place.workspace().Project("metals").Experiment("cu").Run(id="one")
    giver = Giver()
    giver.execute(run, 7)
    key = f"{RUN}/executions/1.end.json"
    tasks = place.document(key)["tasks"]
    tasks["only"] = {name: value for name, value in {**tasks["only"], **record}.items() if value != "gone"}
    place.change(key, tasks=tasks)
    times, result = giver.execute(run, 7, resume=True)
    return times, result, run


@pytest.mark.parametrize(
    "record",
    [
        {"output": "gone"},
        {"saved": {"$asset": "no such asset"}},
        {"saved": 7},
        {"saved": None},
        {"saved": {"$asset": "projects/metals/experiments/cu/runs/one#1/artifact/x@1"}},
        {"code": None},
        {"inputs": ["?"]},
        {"status": None},
        {"status": {"of": "a newer kind"}},
        {"status": "paused"},
        {"not_restorable": {"a": "b"}},
    ],
    ids=str,
)
def test_a_record_that_makes_no_sense_is_executed_again(place, record):
    times, result, run = changed(place, **record)

    assert times == 1
    assert result.tasks["only"].reason
    assert result.tasks["after"].reused
    assert run.status == "succeeded"


def test_unknown_fields_of_a_newer_version_are_kept(place):
    times, result, run = changed(place, energy_used={"joule": 3}, output=8)

    assert times == 0 or result.tasks["only"].reused
    record = run.asset("execution-state").load()["tasks"]["only"]
    assert record["energy_used"] == {"joule": 3}
    assert record["reused"]
    assert record["why"] == "unchanged"


def test_entries_that_are_not_records_are_executed_again(place):
    run = place.workspace().Project("metals").Experiment("cu").Run(id="one")
    giver = Giver()
    giver.execute(run, 7)
    place.change(f"{RUN}/executions/1.end.json", tasks={"only": 3, "after": ["?"]})

    times, result = giver.execute(run, 7, resume=True)

    assert times == 101
    assert result.tasks["only"].reason == "it has not been executed before"


def test_an_end_that_cannot_be_read_does_not_hinder_a_resume(place):
    """Its events can: nothing is lost."""
    run = place.workspace().Project("metals").Experiment("cu").Run(id="one")
    giver = Giver()
    giver.execute(run, 7)
    place.store.write(f"{RUN}/executions/1.end.json", b"{torn")

    times, result = giver.execute(run, 7, resume=True)

    assert times == 0
    assert result.outputs["only"] == 7


def test_a_task_whose_checkpoint_cannot_be_read_is_executed_again(place):
    run = place.workspace().Project("metals").Experiment("cu").Run(id="one")
    giver = Giver()
    giver.execute(run, "x" * 10_000)
    asset = run.asset("outputs/only.json")
    place.store.write(asset.key, b"{torn")

    times, result = giver.execute(run, "x" * 10_000, resume=True)

    assert times == 1
    assert "cannot be restored" in result.tasks["only"].reason


def test_over_several_attempts_the_newest_record_of_each_task_counts(run):
    giver = Giver()
    giver.execute(run, [1])
    giver.execute(run, [1], resume=True)
    giver.execute(run, [2])
    times, result = giver.execute(run, [3], resume=True)

    assert times == 0
    assert result.outputs["only"] == [2]
    assert len(run.execution_history) == 4


def test_events_are_whole_lines_whatever_was_returned(lab, lab_run):
    again(lab_run, {"text": "a\nb\u2028c", "big": 2**100})

    for line in (lab.folder / RUN / "executions/1.jsonl").read_bytes().splitlines():
        assert isinstance(json.loads(line), dict)
