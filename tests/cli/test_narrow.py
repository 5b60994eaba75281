"""On a narrow terminal nothing is cropped, and no word is broken."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from molexp.workflow import WorkflowBuilder
from tests.cli.helpers import Terminal

WORDS = ("cancelled", "interrupted", "unfortunately", "2026-11-28T09:00:00Z")
IDS = [f"20261128-09000{n}-123456-abcdef01" for n in range(3)]


@pytest.fixture
def runs(in_lab):
    """Runs whose ids are long, and whose every cell has words."""
    made = [in_lab.Project("metals").Experiment("cu").Run({"note": " ".join(WORDS)}, id=name) for name in IDS]
    for run in made:
        with run.start() as ctx:
            ctx.set_result("note", " ".join(WORDS))
            ctx.artifact.save("volumes.json", [1, 2] * 10_000)
        run.annotate(tags=["unfortunately"])
    return made


def shown(here, columns, *words):
    terminal = Terminal(here, *words, columns=columns, env={"NO_COLOR": "1"})
    assert terminal.end() == 0, terminal.text
    return terminal.text


@pytest.mark.parametrize("columns", [20, 30, 45, 60, 80, 100])
@pytest.mark.parametrize("words", [("show", IDS[0]), ("assets", "list")], ids=lambda words: words[0])
def test_all_of_it_is_there_and_words_are_whole(runs, here, columns, words):
    text = shown(here, columns, *words)
    whole = shown(here, 1000, *words)
    assert {word for word in whole.split() if word.isalpha() and word.islower()} <= {*text.split()}
    missing = Counter(whole) - Counter(text)
    assert {
        letter for letter in missing if letter.islower() or letter.isdigit()
    } == set()  # titles above nothing may be
    if columns <= 30:  # each run, or asset, has lines of its own
        for name in IDS if words[0] != "show" else IDS[:1]:
            assert f"metals/cu/{name}" in text
        assert "100.0 kB" in text


def test_rows_are_names_and_values_where_they_do_not_fit(runs, here):
    first, second, _ = shown(here, 30, "runs", "list").split("\n\n")
    assert first.splitlines()[:2] == [f"RUN      {IDS[0]}", "STATUS   succeeded"]
    assert second.startswith(f"RUN      {IDS[1]}\n")


def test_a_graph_keeps_its_lines(in_lab, here):
    wf = WorkflowBuilder("w")
    for name, depends in {"load": [], "statistics": ["load"], "training": ["load"], "evaluation": ["training"]}.items():
        wf.add(lambda ctx: None, name=name, depends_on=depends)
    wf.build().execute_sync(run=in_lab.Project("p").Experiment("e").Run(id="r"))
    assert [line.split() for line in shown(here, 40, "show", "p/e/r", "--graph").splitlines()[-5:]] == [
        ["TASK", "STATUS"],
        ["●", "load", "succeeded"],
        ["├─●", "statistics", "succeeded"],
        ["●", "training", "succeeded"],
        ["●", "evaluation", "succeeded"],
    ]


@pytest.mark.skipif(os.name == "nt", reason="A CURRENT FOLDER CANNOT BE REMOVED HERE")
@pytest.mark.parametrize("words", [("runs", "list"), ("-w", "lab", "runs", "list"), ("exec", "p/e", "--", "true")])
def test_a_current_folder_that_was_removed_is_named(molexp, here, words):
    here.rmdir()
    done = molexp(*words)
    assert (done.code, done.out) == (125 if words[0] == "exec" else 4, "")
    assert done.err == "molexp: The current folder was removed.\nhint: Change to another one with cd.\n"
