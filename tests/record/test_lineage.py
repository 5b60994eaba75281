"""ws.catalog.lineage: what an asset or a run was made from, and what became of it."""

from __future__ import annotations

import copy
import pickle

import pytest

import molexp as me
from molexp.workflow import WorkflowBuilder
from tests.record.chains import FIGURE, MODEL, REFERENCE, RELAXED, edges, make_chain, step, tree


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "reference.json"
    file.write_text("[1]")
    return file


@pytest.fixture
def chain(exp, source):
    return make_chain(exp, source)


# ------------------------------------------------------------------------------------------------------------- both ways


def test_upstream_of_an_asset_is_the_run_that_made_it_and_what_that_used(chain):
    lineage = chain.catalog.lineage(MODEL)

    assert tree(lineage.upstream) == {
        "metals/cu/fit": {RELAXED: {"metals/cu/relax": {REFERENCE: {}}}, REFERENCE: {}},
    }
    (made,) = lineage.upstream
    assert (made.kind, made.label, made.status, made.missing) == ("run", "fit", me.RunStatus.SUCCEEDED, False)
    (relaxed, reference) = made.children
    assert (relaxed.kind, relaxed.label, relaxed.status, relaxed.missing) == ("asset", "relaxed.json", None, False)
    assert reference.label == "reference"


def test_downstream_of_an_asset_are_the_runs_that_used_it_and_what_they_made(chain):
    lineage = chain.catalog.lineage(RELAXED)

    assert tree(lineage.downstream) == {"metals/cu/fit": {MODEL: {"metals/cu/plot": {FIGURE: {}}}}}


def test_a_run_comes_from_what_it_used_and_went_into_what_it_made(chain):
    lineage = chain.catalog.lineage(chain.run("metals/cu/fit"))

    assert lineage.of.id == "metals/cu/fit"
    assert tree(lineage.upstream) == {RELAXED: {"metals/cu/relax": {REFERENCE: {}}}, REFERENCE: {}}
    assert tree(lineage.downstream) == {MODEL: {"metals/cu/plot": {FIGURE: {}}}}


def test_it_is_asked_of_an_asset_a_run_a_row_or_a_text(chain, exp):
    catalog = chain.catalog
    expected = catalog.lineage(MODEL)
    (row,) = catalog.runs('id == "fit"')

    assert catalog.lineage(chain.asset(MODEL)) == expected
    assert catalog.lineage("metals/cu/fit:model.json") == expected
    assert catalog.lineage("fit:model.json") == expected
    of_run = catalog.lineage(exp.run("fit"))
    assert of_run != expected
    assert of_run == catalog.lineage(row) == catalog.lineage("metals/cu/fit") == catalog.lineage("fit")
    assert catalog.lineage("@latest").of.id == "metals/cu/plot"
    assert catalog.lineage("plot:reference").of.id == REFERENCE, "data of its parents, as for Run.asset"


@pytest.mark.parametrize(
    ("of", "words"),
    [
        ("metals/cu/fitt", "Did you mean 'metals/cu/fit'"),
        ("metals/cu/fit:modell.json", "Did you mean 'model.json'"),
        ("metals/cu/fit#1:artifact:other.json@1", "no asset 'metals/cu/fit#1:artifact:other.json@1'"),
        ("metals/cu/fit#7:artifact:model.json@1", "no asset"),
        ("metals/cu:data:reference@2", "no asset"),
        ("a:b:c", "no asset 'a:b:c'"),
        ("nowhere:x", "no run 'nowhere'"),
    ],
)
def test_what_is_not_there_and_never_led_to_anything_is_an_error(chain, of, words):
    with pytest.raises(me.NotFoundError, match=words):
        chain.catalog.lineage(of)


def test_where_there_is_no_workspace_there_is_nothing(place):
    with pytest.raises(me.NotFoundError):
        place.workspace().catalog.lineage(MODEL)


def test_only_what_is_asked_for_is_looked_up(chain):
    up = chain.catalog.lineage(MODEL, downstream=False)
    down = chain.catalog.lineage(MODEL, upstream=False)

    assert up.upstream == chain.catalog.lineage(MODEL).upstream
    assert up.downstream == down.upstream == ()
    assert "went into" not in str(up)
    assert "comes from" not in str(down)
    assert "downstream" not in up.to_dict()


def test_it_follows_what_happens(chain, exp):
    before = chain.catalog.lineage(MODEL)
    with pytest.raises(ZeroDivisionError), exp.Run(id="later").start() as ctx:
        chain.asset(MODEL).load()
        ctx.flush()
        (_, later) = chain.catalog.lineage(MODEL).downstream
        assert (later.id, later.status) == ("metals/cu/later", "running")
        1 / 0  # noqa: B018

    assert [(node.id, node.status) for node in chain.catalog.lineage(MODEL).downstream] == [
        ("metals/cu/plot", "succeeded"),
        ("metals/cu/later", "failed"),
    ]
    assert tree(before.downstream) == {"metals/cu/plot": {FIGURE: {}}}, "an answer is a value"


# ------------------------------------------------------------------------------------------------------ what was imported


def test_data_comes_from_the_asset_that_it_was_imported_from(chain, exp):
    taken = exp.data_assets.import_asset("taken", chain.asset(RELAXED))
    step(exp, "last", [taken.id], "last.json")

    lineage = chain.catalog.lineage(taken)
    assert tree(lineage.upstream) == {RELAXED: {"metals/cu/relax": {REFERENCE: {}}}}
    assert [(edge.how, edge.attempt, edge.task) for edge in lineage.upstream[0].edges] == [("imported", None, None)]
    assert tree(chain.catalog.lineage(RELAXED).downstream) == {
        "metals/cu/fit": {MODEL: {"metals/cu/plot": {FIGURE: {}}}},
        taken.id: {"metals/cu/last": {"metals/cu/last#1:artifact:last.json@1": {}}},
    }


def test_data_that_a_run_imported_comes_from_both(chain, exp):
    with exp.Run(id="importing").start() as ctx:
        ctx.run.experiment.data_assets.import_asset("taken", chain.asset(RELAXED))

    lineage = chain.catalog.lineage("metals/cu:data:taken@1")
    assert tree(lineage.upstream) == {
        RELAXED: {"metals/cu/relax": {REFERENCE: {}}},
        "metals/cu/importing": {RELAXED + "^": {}},
    }
    assert tree(chain.catalog.lineage("importing").downstream) == {"metals/cu:data:taken@1": {}}


def test_data_that_was_imported_by_path_comes_from_the_asset_that_lies_there(lab_exp, source):
    ws = lab_exp.project.workspace
    folder = source.parent / "several"
    folder.mkdir()
    (folder / "one.txt").write_text("1")
    several = lab_exp.data_assets.import_asset("several", folder)
    relaxed = step(lab_exp, "relax", [], "relaxed.json")
    by_path = lab_exp.data_assets.import_asset("by path", relaxed.path)
    part = lab_exp.data_assets.import_asset("part", several.path / "one.txt")
    whole = lab_exp.data_assets.import_asset("whole", relaxed.path.parent)

    assert not by_path.source_asset
    assert tree(ws.catalog.lineage(by_path).upstream) == {RELAXED: {"metals/cu/relax": {}}}
    assert tree(ws.catalog.lineage(part).upstream) == {several.id: {}}
    assert tree(ws.catalog.lineage(whole).upstream) == {"metals/cu/relax": {}}, "a folder of a run is no asset"
    assert tree(ws.catalog.lineage(several).downstream) == {part.id: {}}
    assert tree(ws.catalog.lineage("relax").downstream) == {RELAXED: {by_path.id: {}}, whole.id: {}}


def test_bytes_that_were_replaced_since_are_not_taken_for_those_that_were_imported(lab_exp):
    ws = lab_exp.project.workspace
    with lab_exp.Run(id="relax").start() as ctx:
        first = ctx.artifact.save("a.json", [1])
        taken = lab_exp.data_assets.import_asset("taken", first.path)
        second = ctx.artifact.save("a.json", [2])

    assert second.key == first.key
    assert tree(ws.catalog.lineage(taken, downstream=False).upstream) == {"metals/cu/relax": {}}
    assert ws.catalog.lineage(second).downstream == ()


def test_an_import_from_elsewhere_has_no_origin_here(chain):
    assert chain.catalog.lineage(REFERENCE).upstream == ()


# --------------------------------------------------------------------------------------------------- attempts and tasks


def test_an_edge_has_the_attempt_and_the_task(exp, source):
    ws = exp.project.workspace
    exp.data_assets.import_asset("reference", source)
    wf = WorkflowBuilder(name="fit")

    @wf.task
    def read(ctx):
        ctx.asset("reference").read_bytes()

    @wf.task(depends_on=[read])
    def fit(ctx):
        ctx.asset("reference").read_bytes()
        ctx.artifact.save("model.json", [1])

    run = exp.Run(id="fit")
    wf.build().execute_sync(run=run, check=True)
    with run.start() as ctx:
        ctx.asset("reference")

    (user,) = ws.catalog.lineage(REFERENCE).downstream
    assert [(edge.how, edge.attempt, edge.task) for edge in user.edges] == [
        ("used", 1, "fit"),
        ("used", 1, "read"),
        ("used", 2, None),
    ]
    assert "used by metals/cu/fit (succeeded) [attempt 1, task fit; attempt 1, task read; attempt 2]" in str(
        ws.catalog.lineage(REFERENCE)
    )
    (maker,) = ws.catalog.lineage(MODEL).upstream
    assert [(edge.how, edge.attempt, edge.task) for edge in maker.edges] == [("made", 1, "fit")]


def test_what_a_later_attempt_used_is_not_what_an_earlier_one_made_its_assets_from(exp, source):
    ws = exp.project.workspace
    for content in ("[1]", "[2]"):
        source.write_text(content)
        newest = exp.data_assets.import_asset("reference", source)
        step(exp, "fit", [newest.id], "model.json")
    first, second = MODEL, MODEL.replace("#1", "#2")
    old, new = REFERENCE, REFERENCE.replace("@1", "@2")

    assert tree(ws.catalog.lineage(first).upstream) == {"metals/cu/fit": {old: {}}}
    assert tree(ws.catalog.lineage(second).upstream) == {"metals/cu/fit": {old: {}, new: {}}}
    assert tree(ws.catalog.lineage(old).downstream) == {"metals/cu/fit": {first: {}, second: {}}}
    assert tree(ws.catalog.lineage(new).downstream) == {"metals/cu/fit": {second: {}}}
    assert tree(ws.catalog.lineage("fit").upstream) == {old: {}, new: {}}


# ----------------------------------------------------------------------------------------------------- circles, diamonds


def test_a_run_that_uses_what_it_made_in_an_earlier_attempt_is_no_endless_circle(chain, exp):
    step(exp, "fit", [MODEL], "model.json")
    second = MODEL.replace("#1", "#2")

    assert tree(chain.catalog.lineage(second).upstream)["metals/cu/fit"][MODEL] == {"metals/cu/fit^": {}}
    assert tree(chain.catalog.lineage(MODEL).downstream)["metals/cu/fit"] == {second: {}}
    assert tree(chain.catalog.lineage("fit").downstream)[MODEL]["metals/cu/fit^"] == {}


def test_attempts_that_use_what_the_other_makes_are_no_endless_circle(ws, exp):
    with exp.Run(id="one").start() as one:
        first = one.artifact.save("1.json", [1])
        one.flush()
        with exp.Run(id="two").start() as two:
            ws.asset(first.id).load()
            second = two.artifact.save("2.json", [2])
        ws.asset(second.id).load()

    assert tree(ws.catalog.lineage("one").upstream) == {
        second.id: {"metals/cu/two": {first.id: {"metals/cu/one^": {}}}}
    }
    assert len(ws.catalog.lineage("one").edges()) == 4, "each once, though they lead there both ways"
    assert tree(ws.catalog.lineage(first).downstream) == {
        "metals/cu/two": {second.id: {"metals/cu/one": {first.id + "^": {}}}},
    }


def test_what_is_shared_is_expanded_once_where_it_comes_first(chain):
    lineage = chain.catalog.lineage(REFERENCE)

    assert tree(lineage.downstream) == {
        "metals/cu/relax": {RELAXED: {"metals/cu/fit": {MODEL: {"metals/cu/plot": {FIGURE: {}}}}}},
        "metals/cu/fit^": {},
    }
    assert [node.id for node in lineage.nodes()].count("metals/cu/fit") == 1
    assert (REFERENCE, "used", "metals/cu/fit") in edges(lineage), "both ways to it are there"
    up = chain.catalog.lineage(MODEL).upstream[0].children
    assert not any(node.repeated for node in up), "nothing stands below the reference, so there is nothing to point to"


def test_a_chain_of_thousands_is_no_deeper_than_any_other(lab_exp):
    ws = lab_exp.project.workspace
    made = step(lab_exp, "r0", [], "a.json")
    for number in range(1, 1100):
        with lab_exp.Run(id=f"r{number}").start() as ctx:
            made.open().close()
            made = ctx.artifact.save("a.json", [number])

    lineage = ws.catalog.lineage(made)
    assert len(lineage.nodes()) == 2200
    assert len(lineage.edges()) == 2199
    drawn = str(lineage)
    assert drawn.count("made by") == 1100
    assert max(map(len, drawn.splitlines())) < 200
    assert pickle.loads(pickle.dumps(lineage)) == lineage == copy.deepcopy(lineage)
    assert hash(lineage) == hash(ws.catalog.lineage(made))
    assert me.to_json(lineage.to_dict())
    assert "r1099" in lineage._repr_html_()
    node, depth = lineage.upstream[0], 1
    while node.children:
        (node,) = node.children
        depth += 1
    assert (node.id, depth) == ("metals/cu/r0", 2199)
