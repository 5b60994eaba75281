"""ws.catalog.lineage answers for what is gone, for logs and kinds, as text and as a graph, at a bounded cost."""

from __future__ import annotations

import pickle
import shutil
from textwrap import dedent

import pytest

import molexp as me
from tests.internals import at
from tests.record.chains import FIGURE, MODEL, REFERENCE, RELAXED, edges, make_chain, step, tree
from tests.record.helpers import install


@pytest.fixture
def chain(exp, tmp_path):
    return make_chain(exp, tmp_path / "reference.json")


# ------------------------------------------------------------------------------------------------------------ what is gone


def test_what_was_deleted_is_shown_by_its_id_and_the_rest_goes_on(chain):
    chain.run("metals/cu/fit").delete()

    lineage = chain.catalog.lineage(FIGURE)
    assert tree(lineage.upstream) == {"metals/cu/plot": {MODEL: {"metals/cu/fit": {}}}}
    assert [node.id for node in lineage.nodes() if node.missing] == [MODEL, "metals/cu/fit"]
    assert f"used {MODEL} (its record is gone)" in str(lineage)
    assert tree(chain.catalog.lineage(RELAXED).downstream) == {}, "what a deleted run used is gone with it"

    gone = chain.catalog.lineage(MODEL)
    assert gone.of.missing
    assert tree(gone.downstream) == {"metals/cu/plot": {FIGURE: {}}}
    run = chain.catalog.lineage("metals/cu/fit")
    assert run.of.missing
    assert tree(run.downstream) == {MODEL: {"metals/cu/plot": {FIGURE: {}}}}
    with pytest.raises(me.NotFoundError):
        chain.catalog.lineage("fit")


def test_a_deleted_run_that_led_to_nothing_is_not_there(chain):
    chain.run("metals/cu/plot").delete()
    with pytest.raises(me.NotFoundError, match="deleted"):
        chain.catalog.lineage("metals/cu/plot")
    with pytest.raises(me.NotFoundError):
        chain.catalog.lineage(FIGURE)


def test_what_somebody_removed_by_hand_is_noticed(lab_exp, lab, tmp_path):
    ws = make_chain(lab_exp, tmp_path / "reference.json")
    assert not any(node.missing for node in ws.catalog.lineage(MODEL).nodes())
    shutil.rmtree(lab.folder / "projects/metals/experiments/cu/runs/relax")
    shutil.rmtree(lab.folder / "projects/metals/experiments/cu/data/reference")

    lineage = ws.catalog.lineage(MODEL)
    assert tree(lineage.upstream) == {"metals/cu/fit": {RELAXED: {"metals/cu/relax": {}}, REFERENCE: {}}}
    assert [node.id for node in lineage.nodes() if node.missing] == [RELAXED, "metals/cu/relax", REFERENCE]
    ws.run("fit").delete()
    with pytest.raises(me.NotFoundError):
        ws.catalog.lineage(REFERENCE)


def test_a_folder_that_somebody_emptied_is_no_run(lab_exp, lab, tmp_path):
    ws = make_chain(lab_exp, tmp_path / "reference.json")
    ws.catalog.lineage(MODEL)
    folder = lab.folder / "projects/metals/experiments/cu/runs/relax"
    shutil.rmtree(folder / "executions")
    (folder / "run.json").unlink()

    assert [node.id for node in ws.catalog.lineage(MODEL).nodes() if node.missing] == [RELAXED, "metals/cu/relax"]


def test_a_version_that_was_replaced_is_shown_to_those_who_used_it(ws, exp):
    with exp.Run(id="fit").start() as ctx:
        ctx.artifact.save("model.json", [1])
        ctx.flush()
        with exp.Run(id="plot").start() as other:
            ws.asset(MODEL).load()
            other.artifact.save("figure.json", [1])
        newer = ctx.artifact.save("model.json", [2])

    lineage = ws.catalog.lineage(FIGURE)
    assert tree(lineage.upstream) == {"metals/cu/plot": {MODEL: {"metals/cu/fit": {}}}}
    assert [node.id for node in lineage.nodes() if node.missing] == [MODEL]
    assert tree(ws.catalog.lineage("fit").downstream) == {newer.id: {}, MODEL: {"metals/cu/plot": {FIGURE: {}}}}


def test_an_answer_needs_no_files_any_more(chain, place):
    lineage = chain.catalog.lineage(MODEL)
    drawn = str(lineage)
    for stat in place.store.list():
        place.store.delete(stat.key)

    assert str(pickle.loads(pickle.dumps(lineage))) == str(lineage) == drawn


# ------------------------------------------------------------------------------------------------------- what is of it


def test_logs_and_the_like_are_shown_where_something_used_them(ws, exp):
    with pytest.raises(ZeroDivisionError), exp.Run(id="one").start() as ctx:
        ctx.log("steps").append("1")
        ctx.metrics.log(step=1, loss=2)
        ctx.checkpoint.save("state", [1])
        ctx.artifact.save("a.json", [1])
        1 / 0  # noqa: B018
    made = "metals/cu/one#1:"
    assert {asset.kind for asset in ws.run("one").assets} >= {"log", "metrics", "error_trace"}
    assert set(tree(ws.catalog.lineage("one").downstream)) == {f"{made}checkpoint:state@1", f"{made}artifact:a.json@1"}

    with exp.Run(id="two").start():
        ws.run("one").asset("steps").load()
    assert tree(ws.catalog.lineage("one").downstream)[f"{made}log:steps@1"] == {"metals/cu/two": {}}


NOTE = """
    import attrs
    from molexp.contracts import AssetKind, NoFields
    from molexp.hookspecs import hookimpl

    class Note(AssetKind[str, NoFields]):
        name = "note"

        def save(self, obj, sink):
            sink.write(obj.encode())
            return NoFields()

        def load(self, source):
            return source.open().read().decode()

    @hookimpl
    def molexp_register_asset_kinds():
        return [Note]
"""


def test_kinds_of_plugins_are_shown(place, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    ws = place.workspace(plugins=install(tmp_path / "site", "molexp-notes", NOTE))
    with ws.Project("metals").Experiment("cu").Run(id="md").start() as ctx:
        made = ctx.note.save("seen", "that")

    assert tree(ws.catalog.lineage("md").downstream) == {made.id: {}}


# --------------------------------------------------------------------------------------------------------------- as text


def test_it_is_drawn_as_a_tree(chain):
    assert str(chain.catalog.lineage(RELAXED)) == dedent("""\
        metals/cu/relax#1:artifact:relaxed.json@1
        comes from
        └─ made by metals/cu/relax (succeeded)
           └─ used metals/cu:data:reference@1
        went into
        └─ used by metals/cu/fit (succeeded)
           └─ made metals/cu/fit#1:artifact:model.json@1
              └─ used by metals/cu/plot (succeeded)
                 └─ made metals/cu/plot#1:artifact:figure.json@1""")
    assert str(chain.catalog.lineage("fit")) == dedent("""\
        metals/cu/fit (succeeded)
        comes from
        ├─ used metals/cu/relax#1:artifact:relaxed.json@1
        │  └─ made by metals/cu/relax (succeeded)
        │     └─ used metals/cu:data:reference@1
        └─ used metals/cu:data:reference@1
        went into
        └─ made metals/cu/fit#1:artifact:model.json@1
           └─ used by metals/cu/plot (succeeded)
              └─ made metals/cu/plot#1:artifact:figure.json@1""")
    assert str(chain.catalog.lineage(FIGURE)).endswith("\nwent into nothing that is on record")
    html = chain.catalog.lineage(RELAXED)._repr_html_()
    assert "<pre>" in html
    assert "└─ made by metals/cu/relax (succeeded)" in html


def test_it_is_a_graph_and_plain_values(chain):
    lineage = chain.catalog.lineage("fit")
    assert edges(lineage) == {
        (REFERENCE, "used", "metals/cu/relax"),
        ("metals/cu/relax", "made", RELAXED),
        (RELAXED, "used", "metals/cu/fit"),
        (REFERENCE, "used", "metals/cu/fit"),
        ("metals/cu/fit", "made", MODEL),
        (MODEL, "used", "metals/cu/plot"),
        ("metals/cu/plot", "made", FIGURE),
    }
    found = lineage.to_dict()
    assert found["of"] == "metals/cu/fit"
    assert found["nodes"][0] == {
        "id": "metals/cu/fit", "kind": "run", "label": "fit", "status": "succeeded", "missing": False,
    }  # fmt: skip
    assert {node["id"] for node in found["nodes"]} == {node for edge in edges(lineage) for node in edge[::2]}
    assert found["downstream"] == [
        {"source": "metals/cu/fit", "target": MODEL, "how": "made", "attempt": 1, "task": None},
        {"source": MODEL, "target": "metals/cu/plot", "how": "used", "attempt": 1, "task": None},
        {"source": "metals/cu/plot", "target": FIGURE, "how": "made", "attempt": 1, "task": None},
    ]
    assert len(found["upstream"]) == 4


# ------------------------------------------------------------------------------------------------------- what it costs


def statements(ws, of):
    """The statements that an answer takes, with their values."""
    ws.catalog.lineage(of)
    seen: list[str] = []

    def trace(callback):
        with ws._session.index.reading() as connection:
            connection.set_trace_callback(callback)

    with pytest.MonkeyPatch.context() as patch:
        at(patch, "an answer about lineage is given", lambda *_: trace(seen.append))
        at(patch, "an answer about lineage is given", lambda *_: trace(None), after=True)
        ws.catalog.lineage(of)
    assert seen
    return seen


def test_it_costs_what_it_is_large_and_not_what_the_workspace_is(chain, exp):
    taken = exp.data_assets.import_asset("taken", chain.asset(RELAXED))
    everything = [REFERENCE, MODEL, "metals/cu/fit", taken.id]
    before = {of: len(statements(chain, of)) for of in everything}
    for number in range(40):
        other = step(exp, f"other-{number}", [], "model.json")
        exp.data_assets.import_asset(f"other-{number}", other)
    for of in everything:
        seen = statements(chain, of)
        assert len(seen) == before[of]
        for statement in seen:
            plan = [line for *_, line in chain._session.index.select(f"EXPLAIN QUERY PLAN {statement}")]
            assert plan, statement
            assert not [line for line in plan if line.startswith("SCAN")], f"{statement}\n{plan}"


def test_everybody_finds_the_same_from_a_snapshot_too(chain, place, exp, tmp_path, monkeypatch):
    taken = exp.data_assets.import_asset("taken", chain.asset(RELAXED))
    expected = [chain.catalog.lineage(of) for of in (REFERENCE, "fit", taken)]
    with monkeypatch.context() as patch:
        patch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "another host"))
        other = place.load()
        assert [other.catalog.lineage(of) for of in (REFERENCE, "fit", taken)] == expected
    chain.catalog.compact()
    with monkeypatch.context() as patch:
        patch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "a third one"))
        third = place.load()
        assert [third.catalog.lineage(of) for of in (REFERENCE, "fit", taken)] == expected
