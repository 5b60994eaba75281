"""molexp lineage: what something was made from, and what became of it."""

from __future__ import annotations

import pytest

from tests.cli.helpers import program

MODEL = "metals/cu/fit#1:artifact:model.json@1"

UP = """\
comes from
└─ made by metals/cu/fit (succeeded)
   └─ used metals/cu:data:reference@1
"""
DOWN = """\
went into
└─ used by metals/cu/plot (failed)
   └─ made metals/cu/plot#1:artifact:figure.json@1
"""


@pytest.fixture
def chain(in_lab, here):
    """A reference, a model that was fitted to it, a plot of the model."""
    exp = in_lab.Project("metals").Experiment("cu")
    (here / "reference.json").write_text("[1]")
    exp.data_assets.import_asset("reference", here / "reference.json")
    with exp.Run(id="fit").start() as ctx:
        ctx.asset("reference")
        ctx.artifact.save("model.json", [1])
    with pytest.raises(ZeroDivisionError), exp.Run(id="plot").start() as ctx:
        exp.run("fit").asset("model.json").load()
        ctx.artifact.save("figure.json", [1])
        1 / 0  # noqa: B018
    return in_lab


@pytest.mark.parametrize("of", [MODEL, "metals/cu/fit:model.json", "fit:model.json", "fi:model.json"])
def test_a_tree_of_an_asset(chain, molexp, of):
    done = molexp("lineage", of)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{MODEL}\n{UP}{DOWN}"


def test_one_direction_or_both(chain, molexp):
    assert molexp("lineage", MODEL, "--up").out == f"{MODEL}\n{UP}"
    assert molexp("lineage", MODEL, "--down").out == f"{MODEL}\n{DOWN}"
    assert molexp("lineage", MODEL, "--down", "--up").out == f"{MODEL}\n{UP}{DOWN}"


@pytest.mark.parametrize("run", ["metals/cu/plot", "plot", "@latest", "metals/cu/@latest"])
def test_a_tree_of_a_run(chain, molexp, run):
    lines = molexp("lineage", run).lines()
    assert lines[:4] == [
        "metals/cu/plot (failed)",
        "comes from",
        f"└─ used {MODEL}",
        "   └─ made by metals/cu/fit (succeeded)",
    ]


def test_json_is_the_graph(chain, molexp):
    found = molexp("lineage", "@latest:figure.json", "--up", "--json").json()
    assert list(found) == ["of", "nodes", "upstream"]
    assert found["of"] == "metals/cu/plot#1:artifact:figure.json@1"
    assert [(edge["source"], edge["how"], edge["target"]) for edge in found["upstream"]] == [
        ("metals/cu/plot", "made", "metals/cu/plot#1:artifact:figure.json@1"),
        (MODEL, "used", "metals/cu/plot"),
        ("metals/cu/fit", "made", MODEL),
        ("metals/cu:data:reference@1", "used", "metals/cu/fit"),
    ]
    assert {node["id"]: node["status"] for node in found["nodes"]}["metals/cu/plot"] == "failed"


def test_what_is_gone_is_shown_where_something_names_it(chain, molexp):
    chain.run("metals/cu/fit").delete()
    assert f"└─ used {MODEL} (its record is gone)" in molexp("lineage", "plot").out


@pytest.mark.parametrize(
    ("of", "words"),
    [
        ("metals/cu/fitt", "Did you mean 'metals/cu/fit'"),
        ("fit:modell.json", "Did you mean 'model.json'?"),
        ("metals/cu/fit#1:artifact:other@1", "There is no asset 'metals/cu/fit#1:artifact:other@1'"),
    ],
)
def test_what_is_mistyped_is_named(chain, molexp, of, words):
    done = molexp("lineage", of)
    assert (done.code, done.out) == (3, "")
    assert words in done.err


def test_a_pipe_gets_utf_8_in_every_locale(chain, here):
    done = program(here, "lineage", MODEL, env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert (done.code, done.out) == (0, f"{MODEL}\n{UP}{DOWN}")
