"""An object in place of its name is refused, with the text to pass."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

import molexp as me


@pytest.fixture
def made():
    ws = me.Workspace("memory://naming")
    exp = ws.Project("p").Experiment("e")
    with exp.Run(id="one").start() as ctx:
        ctx.artifact.save("x.json", {})
    return ws, exp, ctx.run


def test_the_text_of_an_object_is_in_the_error(made):
    ws, exp, run = made
    (asset,) = ws.catalog.assets(name="x.json")
    rows = ws.catalog.runs()
    for ask, advice in (
        (lambda: ws.run(run), "A run is named by text, not by Run: pass 'p/e/one'."),
        (lambda: ws.run(rows[0]), "pass 'p/e/one'."),
        (lambda: ws.run(PurePosixPath("p/e/one")), "A run is named by text, not by PurePosixPath."),
        (lambda: ws.restore(run), "pass 'p/e/one'."),
        (lambda: ws.compare(rows), "not by Rows: give one at a time."),
        (lambda: ws.asset(asset), "pass 'p/e/one#1:artifact:x.json@1'."),
        (lambda: run.asset(asset), "pass 'x.json'."),
        (lambda: ws.data_assets_of(exp), "A scope is named by text, not by Experiment: pass 'p/e'."),
        (lambda: ws.catalog.runs(experiment=exp), "pass 'p/e'."),
        (lambda: ws.catalog.runs(project=exp.project), "A project is named by text, not by Project: pass 'p'."),
        (lambda: ws.catalog.runs(sort=["id", "status"]), "A column is named by text, not by list: give one at a time."),
        (lambda: ws.catalog.runs(status=3), "A status is text, not int: pending, "),
        (
            lambda: ws.catalog.assets(scope=exp),
            "The scope of an asset is named by text, not by Experiment: pass 'p/e'.",
        ),
        (lambda: ws.catalog.assets(sort=3), "A column is named by text, not by int."),
    ):
        with pytest.raises(TypeError, match=re.escape(advice)):
            ask()


def test_half_a_job_is_refused(made):
    _, exp, _ = made
    with pytest.raises(TypeError, match=r"jobs is 1\.5; it must be a whole number"):
        exp.sweep(lambda ctx: None, space={"a": [1]}, jobs=1.5, progress=False)


@pytest.mark.parametrize("value", [0.0, 1.5, [1]])
def test_a_metric_without_a_name_is_refused(made, value):
    _, exp, _ = made
    with exp.Run(id="two").start() as ctx, pytest.raises(TypeError, match=r"Metrics have names: log\(NAME="):
        ctx.metrics.log(value)


@pytest.mark.parametrize("given", [None, 3])
def test_what_names_no_place_is_in_the_error(given):
    """As the value of a variable that is not set."""
    with pytest.raises(TypeError, match=f"a text or a pathlib.Path, not {given}"):
        me.Workspace(given)
