"""Writers announce what they are about to change, and a reader's catalog follows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import molexp as me


def hints(lab: Path) -> list[dict[str, list[str]]]:
    """Every line of every journal but the headings."""
    lines = [
        json.loads(line)
        for journal in sorted(lab.glob(".molexp/journals/*.jsonl"))
        for line in journal.read_text().splitlines()
    ]
    return [line for line in lines if "keys" in line]


def experiment(lab: Path) -> me.Experiment:
    """One experiment, by a handle with a journal of its own."""
    return me.Workspace(lab).Project("p").Experiment("e")


def statuses(ws: me.Workspace) -> dict[str, str]:
    return {row.id: str(row.status) for row in ws.catalog.runs()}


def test_a_run_that_is_created_and_started_costs_one_hint(tmp_path):
    with experiment(tmp_path).Run(id="one").start():
        pass

    assert hints(tmp_path) == [{"keys": ["projects/p/experiments/e/runs/one/executions/1.end.json"]}]


def test_runs_that_are_only_created_leave_one_guess_and_withdraw_the_rest(tmp_path):
    exp = experiment(tmp_path)
    for name in ("one", "two", "three"):
        exp.Run(id=name)

    said = hints(tmp_path)
    ends = [f"projects/p/experiments/e/runs/{name}/executions/1.end.json" for name in ("one", "two", "three")]
    assert [line["keys"] for line in said] == [[end] for end in ends]
    assert [line.get("withdrawn") for line in said] == [None, [ends[0]], [ends[1]]]


def test_the_hint_of_a_run_whose_creation_got_no_answer_is_not_withdrawn(place, monkeypatch):
    """Its request may still take effect, when other runs were created long since."""
    exp, reader = place.workspace().Project("p").Experiment("e"), place.load()
    store = type(exp._session.store)
    create, late = store.create, []

    def unanswered(self, key, data):
        if key.endswith("/one/run.json"):
            late.append((self, key, data))
            raise me.UnavailableError("no answer")
        create(self, key, data)

    monkeypatch.setattr(store, "create", unanswered)
    with pytest.raises(me.UnavailableError):
        exp.Run(id="one")
    monkeypatch.setattr(store, "create", create)
    exp.Run(id="two")
    assert statuses(reader) == {"two": "pending"}
    exp.Run(id="three")

    create(*late[0])

    assert statuses(reader) == {"one": "pending", "two": "pending", "three": "pending"}


def test_the_attempts_after_the_first_announce_their_ends(tmp_path):
    run = experiment(tmp_path).Run(id="one")
    for _ in range(3):
        with run.start():
            pass

    folder = "projects/p/experiments/e/runs/one/executions"
    assert [line["keys"] for line in hints(tmp_path)] == [[f"{folder}/{n}.end.json"] for n in (1, 2, 3)]


def test_a_withdrawn_guess_does_not_hide_what_another_process_announced(tmp_path):
    """One creates a run, another starts it, the first goes on to other runs: the reader follows all the same."""
    creator, starter, reader = experiment(tmp_path), experiment(tmp_path), me.Workspace(tmp_path)
    creator.Run(id="shared")
    assert statuses(reader) == {"shared": "pending"}

    context = starter.Run(id="shared").start()
    assert statuses(reader) == {"shared": "running"}

    creator.Run(id="other")  # withdraws its guess about `shared`
    assert statuses(reader) == {"shared": "running", "other": "pending"}

    context.finish()
    assert statuses(reader) == {"shared": "succeeded", "other": "pending"}


def test_a_run_that_is_started_long_after_others_were_created_is_followed(tmp_path):
    exp, reader = experiment(tmp_path), me.Workspace(tmp_path)
    first = exp.Run(id="first")
    exp.Run(id="second")
    assert statuses(reader) == {"first": "pending", "second": "pending"}

    with first.start() as ctx:
        assert statuses(reader) == {"first": "running", "second": "pending"}
        ctx.set_result("energy", 1)

    (row,) = reader.catalog.runs(status="succeeded")
    assert (row.id, row.results) == ("first", {"energy": 1})


def test_a_guess_announced_again_survives_a_slower_reader_of_the_same_index(tmp_path):
    """Two readers share an index; what one read of a journal is not undone by the other, which read less."""
    exp = experiment(tmp_path)
    readers = [me.Workspace(tmp_path), me.Workspace(tmp_path)]
    run = exp.Run(id="one")
    assert [statuses(reader) for reader in readers] == [{"one": "pending"}] * 2

    exp.Run(id="two")
    assert statuses(readers[0])["one"] == "pending"
    context = run.start()
    assert [statuses(reader)["one"] for reader in readers] == ["running"] * 2
    context.finish()
    assert [statuses(reader)["one"] for reader in readers] == ["succeeded"] * 2


def test_journals_that_were_deleted_cost_one_reading_of_everything_and_no_more(tmp_path):
    exp, reader = experiment(tmp_path), me.Workspace(tmp_path)
    with exp.Run(id="one").start():
        pass
    assert statuses(reader) == {"one": "succeeded"}

    for journal in tmp_path.glob(".molexp/journals/*.jsonl"):
        journal.unlink()
    assert statuses(reader) == {"one": "succeeded"}
    assert reader._session.index.known().journals == {}

    with exp.Run(id="two").start():
        pass
    assert statuses(reader) == {"one": "succeeded", "two": "succeeded"}
