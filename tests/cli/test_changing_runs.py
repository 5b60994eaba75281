"""molexp runs tag, untag, note, archive, unarchive, delete, restore and cancel: by name, or by a query."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import Terminal


@pytest.fixture
def cu(in_lab):
    exp = in_lab.Project("metals").Experiment("cu")
    for number in range(3):
        with exp.Run({"n": number}, id=f"cu-{number}").start() as ctx:
            ctx.set_result("energy", -number)
    return exp


def listed(molexp, *arguments):
    return [row["id"] for row in molexp("runs", "list", *arguments, "--json").json()]


def test_runs_that_are_named_are_tagged_and_untagged(cu, molexp):
    done = molexp("runs", "tag", "good", "cu-0", "@latest", "metals/cu/cu-0")
    assert (done.code, done.out, done.err) == (0, "metals/cu/cu-0\nmetals/cu/cu-2\n", "")
    assert listed(molexp, "--tag", "good") == ["cu-0", "cu-2"]
    assert molexp("runs", "untag", "good", "cu-0").code == 0
    assert listed(molexp, "--tag", "good") == ["cu-2"]


def test_a_note_is_shown_and_found(cu, molexp):
    assert molexp("runs", "note", "wrong basis set", "--where", "params.n > 0", "--yes").code == 0
    assert "wrong basis set" in molexp("show", "cu-1").out
    assert listed(molexp, "notes like '%basis%'") == ["cu-1", "cu-2"]
    done = molexp("runs", "note", "  ", "cu-1")
    assert (done.code, "The note is empty" in done.err) == (2, True)


def test_a_query_that_matches_one_run_is_carried_out(cu, molexp):
    done = molexp("runs", "archive", "--where", "params.n == 1")
    assert (done.code, done.out, done.err) == (0, "metals/cu/cu-1\n", "")
    assert listed(molexp) == ["cu-0", "cu-2"]


@pytest.mark.parametrize("verb", ["delete", "archive", "cancel", "tag x", "untag x", "note x"])
def test_a_query_that_matches_several_asks_and_without_a_terminal_is_refused(cu, molexp, verb):
    for number in range(2):
        cu.Run(id=f"waits-{number}")
    done = molexp("runs", *verb.split(), "--where", 'id like "%-%"')
    assert (done.code, done.out) == (2, "")
    count = 2 if verb == "cancel" else 5
    assert (
        f"The query matches {count} runs. Add --yes to {verb.split()[0]} them, or --dry-run to list them." in done.err
    )
    assert len(listed(molexp)) == 5
    assert {str(run.status) for run in cu.runs} == {"succeeded", "pending"}


@pytest.mark.parametrize(
    ("answer", "code", "left"),
    [("y", 0, ["cu-0"]), ("n", 1, ["cu-0", "cu-1", "cu-2"]), ("", 1, ["cu-0", "cu-1", "cu-2"])],
)
def test_on_a_terminal_it_asks(cu, here, molexp, answer, code, left):
    terminal = Terminal(here, "runs", "delete", "--where", "params.n > 0")
    terminal.wait_for("Delete 2 runs (2 of metals/cu)? [y/N] ")
    terminal.press(f"{answer}\n")
    assert terminal.end() == code
    assert ("Nothing was changed." in terminal.text) == (code != 0)
    assert listed(molexp) == left


@pytest.mark.parametrize(
    ("others", "left"), [(["cu-1"], ["cu-0", "cu-1"]), (["cu-1", "cu-2"], ["cu-0", "cu-1", "cu-2"])]
)
def test_runs_that_no_longer_match_when_you_answer_stay_as_they_are(cu, here, molexp, others, left):
    terminal = Terminal(here, "runs", "delete", "--where", 'params.n > 0 and not ("good" in tags)')
    terminal.wait_for("Delete 2 runs (2 of metals/cu)? [y/N] ")
    molexp("runs", "tag", "good", *others)
    cu.Run({"n": 7}, id="late")
    terminal.press("y\n")
    assert terminal.end() == 0
    assert ("1 run no longer matches" if len(others) == 1 else "2 runs no longer match,") in terminal.text
    assert ("No run matches, so nothing was deleted." in terminal.text) == (len(others) == 2)
    assert listed(molexp) == [*left, "late"], "you were not asked about a run that is new"


def test_a_dry_run_prints_what_would_be_changed_and_changes_nothing(cu, molexp):
    done = molexp("runs", "delete", "--where", "params.n > 0", "--dry-run")
    assert (done.code, done.out) == (0, "metals/cu/cu-1\nmetals/cu/cu-2\n")
    assert done.err == "molexp: 2 runs would be deleted; nothing was changed.\n"
    assert molexp("runs", "delete", "cu-0", "--dry-run", "--json").json() == {
        "changed": ["metals/cu/cu-0"],
        "dry_run": True,
        "failed": [],
    }
    assert len(listed(molexp)) == 3


def test_a_failure_at_one_run_does_not_stop_the_others_and_is_counted(cu, molexp):
    with cu.Run({"n": 5}, id="busy").start():
        done = molexp("runs", "delete", "--where", "params.n != 1", "--yes")
        assert (done.code, done.out) == (4, "metals/cu/cu-0\nmetals/cu/cu-2\n")
        assert "Run 'metals/cu/busy' is being executed" in done.err
        assert "2 of 3 runs deleted." in done.err
        found = molexp("runs", "delete", "busy", "--json")
        assert found.code == 4
        assert found.json()["failed"][0]["path"] == "metals/cu/busy"
    assert listed(molexp) == ["cu-1", "busy"]


def test_what_a_query_deleted_is_restored_by_the_paths_that_were_printed(cu, molexp):
    printed = molexp("runs", "delete", "--where", "params.n > 0", "--yes").lines()
    assert listed(molexp) == ["cu-0"]
    assert molexp("runs", "restore", *printed).lines() == printed
    assert listed(molexp) == ["cu-0", "cu-1", "cu-2"]
    assert molexp("runs", "restore", "cu-1").code == 3, "it takes whole paths"


def test_delete_can_free_the_files_at_once(cu, molexp):
    cu.Run({"n": 5}, id="kept")
    done = molexp("runs", "delete", "--where", "params.n == 1", "--gc")
    assert (done.code, done.out) == (0, "metals/cu/cu-1\n")
    assert re.fullmatch(r"molexp: [\d.]+ k?B freed\.\n", done.err)
    assert not [*Path().rglob("*/cu-1")]
    assert molexp("runs", "restore", "metals/cu/cu-1").code == 3
    freed = molexp("runs", "delete", "cu-0", "--gc", "--json").json()
    assert (freed["changed"], freed["freed"]["operation"]) == (["metals/cu/cu-0"], "gc")
    assert freed["freed"]["counts"]["bytes"] > 0
    assert "freed" not in molexp("runs", "delete", "cu-2", "--gc", "--dry-run", "--json").json()
    assert listed(molexp) == ["cu-2", "kept"]


def test_archived_runs_are_taken_only_if_asked_for_and_unarchive_takes_no_others(cu, molexp):
    molexp("runs", "archive", "cu-0", "cu-1")
    done = molexp("runs", "tag", "x", "--where", "params.n >= 0")
    assert done.out == "metals/cu/cu-2\n"
    assert "2 archived runs left out. Add --archived to include them." in done.err
    assert len(molexp("runs", "tag", "x", "--where", "params.n >= 0", "--archived", "--yes").lines()) == 3
    assert molexp("runs", "unarchive", "--where", "params.n >= 0", "--yes").lines() == [
        "metals/cu/cu-0",
        "metals/cu/cu-1",
    ]


def test_to_archive_runs_advises_no_option_that_it_does_not_have(cu, molexp):
    molexp("runs", "archive", "cu-0", "cu-1")
    done = molexp("runs", "archive", "--where", "params.n >= 0")
    assert (done.out, done.err) == ("metals/cu/cu-2\n", "")


def test_only_runs_that_have_not_ended_are_cancelled_by_a_query(cu, molexp):
    cu.Run(id="waits")
    assert molexp("runs", "cancel", "--where", 'id like "%"', "--reason", "enough").out == "metals/cu/waits\n"
    assert cu.run("waits").status == "cancelled"


def test_runs_are_named_or_queried_and_not_both_and_not_neither(cu, molexp):
    for arguments in ((), ("cu-0", "--where", "params.n == 0")):
        done = molexp("runs", "delete", *arguments)
        assert (done.code, done.out) == (2, "")
        assert "choose them with --where QUERY: one of the two" in done.err
    assert molexp("runs", "delete", "cu-0", "nothing").code == 3
    assert len(listed(molexp)) == 3, "all that are named must be there"


def test_a_query_that_matches_nothing_says_so_and_names_fields_that_no_run_has(cu, molexp):
    done = molexp("runs", "tag", "x", "--where", "params.nn == 0", "--yes")
    assert (done.code, done.out) == (0, "")
    assert "No run has the field 'params.nn'. Did you mean 'params.n'?" in done.err
    assert "No run matches, so nothing was tagged." in done.err
    assert molexp("runs", "tag", "x", "--where", "params.n = = 0").code == 2


def test_many_are_counted_on_a_terminal_and_printed_to_a_file(in_lab, here, molexp):
    exp = in_lab.Project("p").Experiment("e")
    exp.runs.create_many([{"n": number} for number in range(60)])
    terminal = Terminal(here, "runs", "tag", "x", "--where", "params.n < 55", "--yes")
    assert terminal.end() == 0
    assert "55 runs tagged." in terminal.text
    assert "p/e/" not in terminal.text
    assert len(molexp("runs", "delete", "--where", '"x" in tags', "--yes").lines()) == 55
    assert len(me.Workspace("lab").project("p").experiment("e").runs) == 5


def test_what_was_done_before_ctrl_c_is_counted(cu, molexp, monkeypatch):
    archive = me.Run.archive

    def interrupted(run):
        if run.path.endswith("cu-1"):
            raise KeyboardInterrupt
        archive(run)

    monkeypatch.setattr(me.Run, "archive", interrupted)
    done = molexp("runs", "archive", "cu-0", "cu-1", "cu-2")
    assert (done.code, done.out) == (130, "metals/cu/cu-0\n")
    assert "Interrupted: 1 of 3 runs archived." in done.err
    monkeypatch.undo()
    assert [run.archived for run in cu.runs] == [True, False, False]
