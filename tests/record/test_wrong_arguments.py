"""Whoever passes something else where a text belongs, as an id, a path, a name or a query, is told so in words."""

from __future__ import annotations

import inspect
from collections.abc import Generator

import pytest

import molexp as me

CLASSES = (
    *(me.Workspace, me.Project, me.Experiment, me.Run, me.RunContext, me.Catalog, me.DataAssets, me.Members, me.Logs),
    *(me.Accessor, me.DataAsset, me.Metrics, me.RunMetrics),
)
APART = {"run", "exp", "experiment", "workspace"}
"""Parameters for which the workspace has something."""
SLOW = {"diagnose", "track_command", "follow_logs", "rebuild", "fsck"}
"""Functions that start processes, or wait."""


def takes_text(parameter: inspect.Parameter) -> bool:
    return any(one in str(parameter.annotation) for one in ("str", "Row")) and parameter.name not in APART


def functions():
    """Every public function and method with a parameter that may be a text: its owner's name, its own, and those parameters."""
    for owner in (me, *CLASSES):
        name = "me" if owner is me else owner.__name__
        for attribute in dir(owner):
            if (
                attribute.startswith("_")
                or attribute in SLOW
                or not inspect.isroutine(found := getattr(owner, attribute))
            ):
                continue
            texts = [one.name for one in inspect.signature(found).parameters.values() if takes_text(one)]
            if texts and not inspect.ismethod(found):  # those of a class are tried by an instance of it
                yield pytest.param(name, attribute, texts, id=f"{name}.{attribute}")


@pytest.fixture(scope="module")
def owners(tmp_path_factory):
    """An object of each class, and what other parameters take."""
    folder = tmp_path_factory.mktemp("wrong")
    ws = me.Workspace("memory://wrong-arguments")
    exp = ws.Project("metals").Experiment("cu")
    (folder / "ref.txt").write_text("reference")
    data = exp.data_assets.import_asset("ref", folder / "ref.txt")
    with exp.Run(id="one").start() as ctx:
        ctx.log("relax").append("line")
        ctx.metrics.log(step=1, loss=0.5)
    run = ws.run("metals/cu/one")
    with exp.Run(id="open").start() as ctx:
        here = (me, ws, exp.project, exp, run, ctx, ws.catalog, exp.data_assets, ws.projects, run.logs, ctx.artifact)
        objects = dict(
            zip(("me", *(one.__name__ for one in CLASSES)), (*here, data, ctx.metrics, run.metrics), strict=True)
        )
        yield objects, {"run": run, "exp": exp, "experiment": exp, "workspace": ws, "runs": [run.path]}, run.assets[0]


@pytest.mark.parametrize(("owner", "name", "texts"), [*functions()])
def test_what_is_no_text_is_refused_in_words(owners, tmp_path, monkeypatch, owner, name, texts):
    monkeypatch.chdir(tmp_path)
    objects, given, asset = owners
    function = getattr(objects[owner], name)
    parameters = inspect.signature(function).parameters
    for text in texts:
        for junk in (5, None, b"x", [1], object(), asset, given["exp"]):
            values = {
                one.name: junk if one.name == text else given.get(one.name, "x")
                for one in parameters.values()
                if one.name == text or (one.default is one.empty and one.kind is not one.VAR_KEYWORD)
            }
            args = [
                values.pop(one.name)
                for one in parameters.values()
                if one.name in values and one.kind <= one.VAR_POSITIONAL
            ]
            try:
                found = function(*args, **values)
                if isinstance(found, Generator):
                    next(found, None)
            except (TypeError, ValueError, me.MolexpError) as error:
                assert str(error), (text, junk)  # noqa: PT017 - that it raises at all is no matter
