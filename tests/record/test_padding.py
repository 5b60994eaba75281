"""Zero bytes around lines, which some file systems leave, are nothing; lines that are none are named."""

from __future__ import annotations

import json

import pytest

import molexp as me

RUN = "projects/metals/experiments/cu/runs/one"
CLAIM = f"{RUN}/executions/1.jsonl"
PADDING = bytes(50)


@pytest.fixture
def killed(lab, script):
    """A run whose process was killed after it had recorded two results, by the key of its events."""
    script(
        """
        import os, molexp as me
        ctx = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu").Run(id="one").start()
        ctx.set_result("first", 1)
        ctx.set_result("second", 2)
        ctx.metrics.log(step=0, loss=1.0)
        ctx.metrics.log(step=1, loss=0.5)
        os._exit(1)
        """
    )
    return lab


def put_before(place, key, number, what):
    """Put bytes before a line of a file."""
    lines = place.store.read(key).splitlines(keepends=True)
    lines.insert(number, what)
    place.store.write(key, b"".join(lines))


def test_a_padded_line_of_a_killed_run_counts(killed):
    put_before(killed, CLAIM, 1, PADDING)
    ws = killed.load()

    assert ws.run("metals/cu/one").results == {"first": 1, "second": 2}
    assert ws.run("metals/cu/one").status == "interrupted"
    assert dict(ws.catalog.unreadable()) == {}
    assert ws.fsck().findings == ()


@pytest.mark.parametrize("at", [1, 2, 3])
def test_padding_that_a_writer_does_not_know_of_did_not_come_late(lab, lab_exp, at):
    """It counts what it has written."""
    with lab_exp.Run(id="one").start() as ctx:
        ctx.set_result("first", 1)
        ctx.set_result("second", 2)
    put_before(lab, CLAIM, at, PADDING)

    assert "late" not in lab.load().run("metals/cu/one").execution_history[0]
    assert lab.load().fsck().findings == ()
    lab.store.append(CLAIM, b'{"type":"result","name":"first","value":7}\n')
    assert lab.load().run("metals/cu/one").execution_history[0]["late"] == 43
    assert lab.load().run("metals/cu/one").results == {"first": 1, "second": 2}


def test_a_line_of_a_killed_run_that_is_none_is_named(killed):
    put_before(killed, CLAIM, 1, b"garbage\n[1]\n")
    ws = killed.load()

    assert ws.run("metals/cu/one").results == {"first": 1, "second": 2}
    assert ws.run("metals/cu/one").execution_history[0]["problem"] == "2 of its lines are no events"
    assert {finding.key for finding in ws.fsck().findings} == {CLAIM}


def test_a_point_that_is_none_is_named(killed):
    key = f"{RUN}/logs/metrics.jsonl"
    put_before(killed, key, 1, b"garbage\n" + PADDING)
    killed.load().run("metals/cu/one").status  # noqa: B018 - it is ended by whoever looks
    ws = killed.load()

    with pytest.warns(UserWarning, match="1 lines of 'metrics' are no points"):
        points = ws.run("metals/cu/one").asset("metrics").load()
    assert [point["loss"] for point in points] == [1.0, 0.5]
    assert {finding.key for finding in ws.fsck(read_data=True).findings} == {key}


def test_a_padded_document_is_read(lab, lab_exp):
    lab_exp.Run({"b": 1}, id="one")
    key = f"{RUN}/run.json"
    lab.store.write(key, PADDING + lab.store.read(key) + PADDING)

    assert lab.load().run("metals/cu/one").parameters == {"a": 3.6, "b": 1}
    assert lab.load().fsck().findings == ()


def test_a_forged_definition_has_no_parameters_that_are_none(lab, lab_exp):
    lab_exp.Run(id="one")
    lab.change(f"{RUN}/run.json", parameters=5)
    run = lab.load().run("metals/cu/one")

    with pytest.raises(me.CorruptRecordError, match="its parameters is a JSON number"):
        _ = run.parameters
    assert json.loads(lab.store.read(f"{RUN}/run.json"))["parameters"] == 5
