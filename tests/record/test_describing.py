"""me.describe_run: all of a run in a dict; me.to_json: what the API answers as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import molexp as me


def test_a_run_is_described_from_one_reading(run):
    with pytest.raises(ZeroDivisionError), run.start() as ctx:
        ctx.set_result("energy", -3.7)
        ctx.artifact.save("a.txt", "x")
        1 / 0  # noqa: B018
    run.annotate(tags=["t"])
    found = me.describe_run(run)
    assert {**run.to_dict(), "path": run.path}.items() <= found.items()
    assert found["workspace"] == run.experiment.project.workspace.url
    assert [asset["name"] for asset in found["assets"]] == ["a.txt", "error-trace"]
    assert [asset["id"] for asset in found["assets"]] == [asset.id for asset in run.assets]
    assert all(asset["location"].endswith(asset["key"]) for asset in found["assets"])
    assert (found["error"]["type"], found["error"]["message"]) == ("ZeroDivisionError", "division by zero")
    assert found["error"]["traceback"] == found["assets"][1]["location"]


def test_only_what_ended_the_newest_attempt_is_its_error(run):
    assert me.describe_run(run)["error"] is None
    with pytest.raises(ZeroDivisionError), run.start():
        1 / 0  # noqa: B018
    with run.start():
        pass
    assert me.describe_run(run)["error"] is None
    with run.start() as ctx:
        ctx.finish("failed", reason="no error")
    assert me.describe_run(run)["error"] is None


def test_a_deleted_run_is_not_described(run):
    run.delete()
    with pytest.raises(me.NotFoundError):
        me.describe_run(run)


def test_rows_become_json_with_their_values_as_recorded(ws, run):
    with run.start() as ctx:
        asset = ctx.artifact.save("a.txt", "x")
        ctx.set_result("gap", math.nan)
        ctx.set_result("asset", asset)
        ctx.set_result("big", 2**100)
    (row,) = json.loads(me.to_json(ws.catalog.runs()))
    assert row["path"] == run.path
    assert row["results"] == {"gap": {"$float": "nan"}, "asset": {"$asset": asset.id}, "big": 2**100}
    assert json.loads(me.to_json(me.describe_run(run)))["results"] == row["results"]
    (found,) = json.loads(me.to_json(ws.catalog.assets()))
    assert found["id"] == asset.id


def test_json_is_text_for_programs_or_for_people(run):
    assert me.to_json({"ü": [1, Path("a/b"), run, None]}) == '{"ü":[1,"a/b",{"$run":"metals/cu/one"},null]}'
    assert me.to_json({"a": 1}, pretty=True) == '{\n  "a": 1\n}'
    with pytest.raises(me.SerializationError, match=r"value\.a"):
        me.to_json({"a": object()})
