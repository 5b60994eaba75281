"""molexp assets list: which assets there are."""

from __future__ import annotations

import pytest

from tests.cli.helpers import Terminal


@pytest.fixture
def several(in_lab, here):
    exp = in_lab.Project("metals").Experiment("cu")
    (here / "reference.json").write_text("[1]")
    in_lab.data_assets.import_asset("reference", here / "reference.json", tags=["checked"])
    for number in (1, 2):
        with exp.Run(id=f"n{number}").start() as ctx:
            ctx.artifact.save("model.json", [number])
            ctx.checkpoint.save("state", [number], step=number * 100)
    with exp.Run(id="importing").start():
        exp.data_assets.import_asset("taken", here / "reference.json")
    return in_lab


def ids(done):
    assert done.code == 0, done.err
    return [asset["id"] for asset in done.json()]


MODELS = [f"metals/cu/n{number}#1:artifact:model.json@1" for number in (1, 2)]
STATES = [f"metals/cu/n{number}#1:checkpoint:state@1" for number in (1, 2)]


def test_an_id_stays_in_one_piece_on_a_narrow_terminal_to_be_copied(in_lab, here):
    with in_lab.Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        long = ctx.artifact.save("a-structure-after-relaxation-in-a-large-cell.json", [1])
        short = ctx.artifact.save("b.json", [1])
    terminal = Terminal(here, "assets", "list", columns=80, env={"NO_COLOR": "1"})
    assert terminal.end() == 0
    assert {long.id, short.id} <= {*terminal.text.split()}


def test_a_table_has_a_line_for_each_asset(several, molexp):
    done = molexp("assets", "list", "--kind", "data")
    assert (done.code, done.err) == (0, "")
    head, *lines = done.lines()
    assert head.split("  ")[0] == "ASSET"
    assert [name for name in ("SIZE", "CREATED", "MADE BY", "TAGS") if name in head] == [
        "SIZE", "CREATED", "MADE BY", "TAGS",
    ]  # fmt: skip
    assert lines[0].startswith(".:data:reference@1")
    assert "  checked  " in lines[0]
    assert "metals/cu/importing" in lines[1]
    assert "3 B" in lines[1]
    assert "MADE BY" not in molexp("assets", "list", "--kind", "artifact").out, "their ids say it"


def test_the_fields_of_a_kind_are_columns_and_sort(several, molexp):
    head, *lines = molexp("assets", "list", "--kind", "checkpoint", "--sort", "-step").lines()
    assert head.split()[-3:] == ["FORMAT", "FROM_FILE", "STEP"]
    assert [(line.split()[0], line.split()[-1]) for line in lines] == [(STATES[1], "200"), (STATES[0], "100")]
    assert "STEP" not in molexp("assets", "list").out


def test_json_has_every_field(several, molexp):
    (found,) = molexp("assets", "list", "--name", "model.json", "--producer", "n2", "--json").json()
    assert (found["id"], found["kind"], found["producer"]) == (MODELS[1], "artifact", "metals/cu/n2")
    assert found["fields"] == {"format": "json", "from_file": False, "external": False}
    assert found["content_hash"].startswith("sha256:")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--kind", "checkpoint"], STATES),
        (["-k", "checkpoint", "-n", "1"], STATES[:1]),
        (["--name", "model.json"], MODELS),
        (["--scope", "metals/cu/n1"], [MODELS[0], STATES[0]]),
        (["--scope", "/Metals/cu/"], ["metals/cu:data:taken@1"]),
        (["--scope", ""], [".:data:reference@1"]),
        (["--producer", "metals/cu/importing"], ["metals/cu:data:taken@1"]),
        (["--producer", "@latest"], ["metals/cu:data:taken@1"]),
        (["step > 100"], STATES[1:]),
        (['kind == "artifact" and size < 1e6'], MODELS),
        (['"checked" in tags'], [".:data:reference@1"]),
        (['name like "st%"', "--scope", "metals/cu/n2"], STATES[1:]),
        (['name == "nothing"'], []),
    ],
)
def test_what_is_given_is_joined_by_and(several, molexp, arguments, found):
    assert ids(molexp("assets", "list", "--json", *arguments)) == found


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nmae == 'x'"], 2, "  nmae == 'x'\n  ^"),
        (["name =="], 2, "The query cannot be understood"),
        (["--producer", "nobody"], 3, "There is no run 'nobody'"),
        (["--scope", "metal"], 3, "Did you mean 'metals'?"),
        (["--scope", "metals/cuu"], 3, "There is no experiment 'cuu' in 'metals'"),
        (["--scope", "metals/cu/n3"], 3, "There is no run 'metals/cu/n3'"),
        (["--limit", "-1"], 2, "-1"),
    ],
)
def test_what_is_mistyped_is_shown(several, molexp, arguments, code, words):
    done = molexp("assets", "list", *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert done.err.startswith("molexp: ")
