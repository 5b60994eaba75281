"""Results: small structured values, queryable, in whatever types science speaks."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from uuid import UUID

import attrs
import numpy as np
import pytest

import molexp as me


class Phase(Enum):
    ALPHA = "alpha"


class Level(IntEnum):
    HIGH = 3


@attrs.frozen
class Fit:
    slope: float
    points: list[int]


@dataclass
class Cell:
    a: float
    inner: Fit


CONVERSIONS = {
    "bool": (True, True),
    "none": (None, None),
    "large int": (2**200, 2**200),
    "text": ("α \u2028 \n", "α \u2028 \n"),
    "float": (0.1, 0.1),
    "tuple": ((1, (2,)), [1, [2]]),
    "set": ({3, 1, 2}, [1, 2, 3]),
    "numpy float64": (np.float64(1.5), 1.5),
    "numpy float32": (np.float32(0.5), 0.5),
    "numpy int": (np.int32(7), 7),
    "numpy bool": (np.bool_(True), True),
    "numpy array": (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
    "numpy scalar array": (np.array(2.5), 2.5),
    "numpy in a dict": ({"e": [np.float64(1.0)]}, {"e": [1.0]}),
    "numpy datetime": (np.datetime64("2026-01-02T03:04:05"), "2026-01-02T03:04:05"),
    "datetime": (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00Z"),
    "datetime elsewhere": (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:00:00Z"),
    "timedelta": (timedelta(minutes=1), 60.0),
    "enum": (Phase.ALPHA, "alpha"),
    "int enum": (Level.HIGH, 3),
    "attrs": (Fit(1.5, [1]), {"slope": 1.5, "points": [1]}),
    "dataclass": (Cell(3.6, Fit(1.5, [])), {"a": 3.6, "inner": {"slope": 1.5, "points": []}}),
    "uuid": (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "decimal": (Decimal("1.10"), "1.10"),
    "dollar keys": ({"$float": "nan"}, {"$float": "nan"}),
    "reference look-alike": ({"$asset": "nowhere"}, {"$asset": "nowhere"}),
}


@pytest.mark.parametrize(("value", "back"), CONVERSIONS.values(), ids=CONVERSIONS)
def test_values_come_back_as_documented(place, run, value, back):
    with run.start() as ctx:
        ctx.set_result("value", value)

    (found,) = {1: place.load().run("metals/cu/one").results["value"]}.values()
    assert found == back
    assert type(found) is type(back)


@pytest.mark.parametrize(("value", "spelled"), [(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan")])
def test_nan_and_infinity_are_legal(place, run, value, spelled):
    with run.start() as ctx:
        ctx.set_result("loss", value)
        ctx.set_result("curve", {"x": [1.0, np.float64(value)]})

    end = place.document("projects/metals/experiments/cu/runs/one/executions/1.end.json")
    assert end["results"]["loss"] == {"$float": spelled}
    found = run.results
    assert repr(found["loss"]) == spelled
    assert repr(found["curve"]["x"][1]) == spelled


def test_a_later_value_of_one_name_wins(run):
    with run.start() as ctx:
        ctx.set_result("x", {"a": 1})
        ctx.set_result("x", 2)
        assert run.status == "running"

    assert run.results == {"x": 2}


@pytest.mark.parametrize(
    ("value", "path", "kind"),
    [
        (object(), "results.fit", "object"),
        ({"curve": [0, {"matrix": 1j}]}, r"results\.fit\.curve\[1\]\.matrix", "complex"),
        ([b"bytes"], r"results\.fit\[0\]", "bytes"),
        (np.zeros(2000), "results.fit", "ndarray"),
        ({1: 2}, "results.fit", "int"),
        (lambda: 0, "results.fit", "function"),
    ],
)
def test_what_json_cannot_carry_is_named_by_path_and_type_and_nothing_is_written(place, run, value, path, kind):
    with run.start() as ctx:
        ctx.flush()
        before = place.everything()
        with pytest.raises(me.SerializationError, match=rf"{path}.*\({kind}\)"):
            ctx.set_result("fit", value)
        ctx.flush()
        assert place.everything() == before

    assert run.results == {}


def test_a_value_that_contains_itself_is_refused(run):
    loop: list[object] = []
    loop.append(loop)

    with run.start() as ctx, pytest.raises(me.SerializationError, match=r"results\.loop"):
        ctx.set_result("loop", loop)


def test_64_kib_is_the_limit_of_a_value(run):
    with run.start() as ctx:
        ctx.set_result("most", "x" * (64 * 1024 - 2))
        with pytest.raises(me.SerializationError, match=r"results\.more.*65537 bytes.*artifact"):
            ctx.set_result("more", "x" * (64 * 1024 - 1))

    assert set(run.results) == {"most"}


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_results_name_is_text(run, name):
    with run.start() as ctx, pytest.raises(me.InvalidNameError):
        ctx.set_result(name, 1)


def test_any_text_is_a_results_name(run):
    with run.start() as ctx:
        ctx.set_result("mean E / eV (α)", 1)
        ctx.set_result("$float", 2)

    assert run.results == {"mean E / eV (α)": 1, "$float": 2}


def test_what_is_given_later_does_not_change_what_was_recorded(run):
    value = {"a": [1]}
    with run.start() as ctx:
        ctx.set_result("value", value)
        value["a"].append(2)

    assert run.results == {"value": {"a": [1]}}


# ---------------------------------------------------------------------------------------------------------- references


def test_an_asset_is_a_reference_and_comes_back_as_the_asset(place, run):
    with run.start() as ctx:
        asset = ctx.artifact.save("volumes.json", [1, 2])
        ctx.set_result("volumes", asset)
        ctx.set_result("nested", {"all": [asset]})

    stored = place.document("projects/metals/experiments/cu/runs/one/executions/1.end.json")["results"]
    assert stored["volumes"] == {"$asset": asset.id}
    found = place.load().run("metals/cu/one").results
    assert found["volumes"] == asset
    assert found["nested"]["all"][0].load() == [1, 2]


def test_paths_inside_are_references_anchored_wherever_the_workspace_is(lab, lab_run, tmp_path):
    with lab_run.start() as ctx:
        asset = ctx.artifact.save("volumes.json", [1, 2])
        ctx.set_result("asset", asset)
        ctx.set_result("path", asset.path)
        ctx.set_result("folder", asset.path.parent)
    assert lab_run.results["path"] == asset.path

    shutil.move(lab.folder, tmp_path / "elsewhere")
    moved = me.Workspace.load(tmp_path / "elsewhere").run("metals/cu/one")

    assert moved.status == "succeeded"
    assert moved.results["asset"].path == tmp_path / "elsewhere" / asset.key
    assert moved.results["path"] == tmp_path / "elsewhere" / asset.key
    assert moved.results["folder"] == (tmp_path / "elsewhere" / asset.key).parent
    assert moved.results["asset"].load() == [1, 2]


def test_a_relative_path_inside_is_one_too(lab, lab_run, monkeypatch):
    with monkeypatch.context() as patch, lab_run.start() as ctx:
        asset = ctx.artifact.save("a.txt", "text")
        patch.chdir(lab.folder)
        ctx.set_result("path", Path(asset.key))

    assert lab_run.results["path"] == lab.folder / asset.key


def test_paths_outside_are_text(lab_run, tmp_path):
    with lab_run.start() as ctx:
        ctx.set_result("path", tmp_path / "elsewhere.txt")
        ctx.set_result("near", Path(str(tmp_path / "lab") + "oratory"))

    assert lab_run.results == {"path": str(tmp_path / "elsewhere.txt"), "near": str(tmp_path / "lab") + "oratory"}


def test_a_reference_to_what_is_gone_is_kept_as_it_is(lab, lab_exp):
    maker, user = lab_exp.Run(id="maker"), lab_exp.Run(id="user")
    with maker.start() as ctx:
        asset = ctx.artifact.save("a.txt", "text")
    with user.start() as ctx:
        ctx.set_result("made", asset)
    maker.delete()
    lab.load().gc(dry_run=False)

    assert user.results == {"made": {"$asset": asset.id}}
    assert user.status == "succeeded"


def test_without_a_run_results_are_checked_and_dropped():
    ctx = me.Context()

    ctx.set_result("x", 1)
    with pytest.raises(me.SerializationError):
        ctx.set_result("x", object())
