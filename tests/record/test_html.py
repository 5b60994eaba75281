"""Notebooks show workspaces, projects, experiments, runs, assets and answers as HTML."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from molexp.workflow import WorkflowBuilder

HOSTILE = '<script>alert("1")</script>&<b onclick=x>'
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
VOID = {"img", "br", "hr", "meta"}


class Read(HTMLParser):
    """Reads HTML: its text, its tags, the attributes that execute something, and tags that are not closed."""

    def __init__(self, html):
        super().__init__()
        self.text: str = ""
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(html)
        self.close()
        self.wrong += self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.wrong += [
            f"{tag} {name}={value}" for name, value in attrs if name.startswith("on") or "javascript:" in str(value)
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"/{tag}")

    def handle_data(self, data):
        self.text += data


def view(thing):
    """The text of what a notebook shows; it is well formed, executes nothing, and is small."""
    html = thing._repr_html_()
    found = Read(html)
    assert not found.wrong
    assert not found.tags & {"script", "link", "b", "object", "embed"}
    assert len(html) < 60_000
    return found.text


@pytest.fixture
def exp(ws):
    """An experiment with hostile names, a run that succeeded, one that failed, and one that was not started."""
    exp = ws.Project("metals").Experiment(HOSTILE, id="cu", params={HOSTILE: HOSTILE, "solver": {"name": "cg"}})
    with exp.Run({"a": 1}, id="one").start() as ctx:
        ctx.set_result("energy", -3.7123456789)
        ctx.set_result(HOSTILE, HOSTILE)
        ctx.metrics.log({"loss": 0.25, HOSTILE: 1}, step=7)
        ctx.artifact.save("volumes.json", {HOSTILE: [1, 2]})
        ctx.artifact.save("note", f"{HOSTILE}\x1b[31m")
        with ctx.artifact.writing("curve.png") as path:
            path.write_bytes(PNG)
    with pytest.raises(ValueError, match="script"), exp.Run({"a": 2}, id="two").start():
        raise ValueError(HOSTILE)
    exp.Run({"a": 3}, id="three")
    exp.run("one").annotate(tags=[HOSTILE], note=HOSTILE)
    return exp


def test_a_workspace_shows_its_projects(exp):
    text = view(exp.project.workspace)
    assert "Workspace" in text
    assert all(words in text for words in ("1 project", "3 runs", "metals", "1 succeeded", "1 failed", "1 pending"))


def test_a_project_shows_its_experiments(exp):
    text = view(exp.project)
    assert f"cu ({HOSTILE})" in text
    assert all(words in text for words in ("1 succeeded", "1 failed", "1 pending"))


def test_an_experiment_shows_its_parameters_and_newest_runs(exp):
    text = view(exp)
    assert all(words in text for words in (HOSTILE, "solver.name", "cg", "one", "two", "three", "-3.71235", "params.a"))


def test_a_run_shows_what_went_in_and_what_came_out(exp):
    text = view(exp.run("one"))
    for words in (
        "● succeeded",
        "energy",
        "-3.71235",
        "loss",
        "0.25",
        "solver.name",
        "4 assets",
        "curve.png",
        "1 note",
        HOSTILE,
    ):
        assert words in text
    assert f"ValueError: {HOSTILE}" in view(exp.run("two"))
    assert "● pending" in view(exp.run("three"))


def test_a_run_of_a_workflow_shows_its_graph(exp):
    wf = WorkflowBuilder(name="pair")
    wf.add(lambda ctx: 1, name="build")
    run = exp.Run(id="wf")
    wf.build().execute_sync(run=run)
    assert "build" in view(run)
    assert "build" in view(wf.build())


def test_an_asset_shows_an_image_or_the_beginning_of_a_text(exp):
    run = exp.run("one")
    assert "data:image/png;base64,iVBOR" in run.asset("curve.png")._repr_html_()
    assert view(run.asset("curve.png")).count("curve.png") >= 1
    assert HOSTILE.replace('"', '\\"') in view(run.asset("volumes.json"))
    assert HOSTILE in view(run.asset("note"))


def test_answers_are_tables(exp):
    ws = exp.project.workspace
    assert all(words in view(ws.catalog.runs()) for words in ("3 rows", "results.energy", "-3.71235", "params.a"))
    compared = view(ws.compare("one", "two"))
    assert all(words in compared for words in ("2 runs compared", "params.a", "results.energy"))
    assert "went into" in view(ws.catalog.lineage(exp.run("one")))
    assert all(words in view(exp.run("one").metrics) for words in ("loss", "0.25", HOSTILE))
    assert "4 rows" in view(ws.catalog.assets(producer=exp.run("one")))
    assert "0 rows" in view(ws.catalog.runs("params.a > 9"))


def test_nothing_is_created_by_looking(place):
    ws = place.workspace()
    assert "nothing yet" in view(ws)
    assert place.record() == []


def test_what_cannot_be_read_is_said(place, exp):
    run = exp.run("two")
    exp.project.workspace.run("metals/cu/one").delete()
    gone = exp.Run({"a": 3}, id="three")
    gone.delete()
    assert "cannot be shown" in view(gone)
    assert "two" in view(run)


def test_of_many_runs_the_newest_are_shown(exp):
    for number in range(60):
        exp.Run({"a": number}, id=f"r{number}")
    text = view(exp)
    assert "63 runs" in text
    assert "43 more rows" in text


def test_the_module_is_imported_when_it_is_asked_for(tmp_path):
    program = "import sys, molexp as me; me.Workspace('lab').Project('a'); print([n for n in sys.modules if n.endswith('.views')])"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.long
def test_a_notebook_shows_them(tmp_path):
    if importlib.util.find_spec("nbconvert") is None or importlib.util.find_spec("ipykernel") is None:
        pytest.skip("Jupyter is not installed: pip install nbconvert ipykernel")
    setup = (
        "import molexp as me\nws = me.Workspace('lab')\nexp = ws.Project('p').Experiment('e')\n"
        "rows = exp.sweep(lambda ctx: ctx.set_result('b', ctx.params['a']), space={'a': [1, 2]}, progress=False)\n"
        "run = exp.run(rows[0].id)"
    )
    shown = [
        "ws",
        "exp.project",
        "exp",
        "run",
        "rows",
        "ws.compare(*rows)",
        "ws.catalog.lineage(run)",
        "run.workflow_graph",
    ]
    cells: list[dict[str, object]] = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate((setup, *shown))
    ]
    book = {
        "cells": cells,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (tmp_path / "book.ipynb").write_text(json.dumps(book), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "--output",
        "done.ipynb",
        "book.ipynb",
    ]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=300)
    done = json.loads((tmp_path / "done.ipynb").read_text(encoding="utf-8"))
    assert ["text/html" in cell["outputs"][0]["data"] for cell in done["cells"][1:]] == [True] * len(shown)
