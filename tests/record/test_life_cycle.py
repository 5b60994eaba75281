"""A run's life: pending, running, and one of four ends; attempts, and what folds over them."""

from __future__ import annotations

import asyncio
import math
import os
import platform

import pytest

import molexp as me

RUN = "projects/metals/experiments/cu/runs/one"


def test_a_run_is_pending_until_it_is_started(place, run):
    assert run.status == "pending"
    assert run.status is me.RunStatus.PENDING
    assert list(run.execution_history) == []
    assert dict(run.results) == {}
    assert "status" not in place.document(f"{RUN}/run.json"), "until an end stands it holds no state"


def test_it_runs_and_succeeds(place, run):
    with run.start() as ctx:
        assert ctx.run is run
        assert ctx.params == {"a": 3.6, "b": 1}
        assert ctx.config == {}
        assert run.status == "running"
        assert place.load().run("metals/cu/one").status == "running"
        ctx.set_result("energy", -1.5)

    assert run.status == "succeeded"
    assert run.results == {"energy": -1.5}


def test_each_attempt_is_in_the_history(run):
    with run.start():
        pass
    (entry,) = run.execution_history

    assert (entry["attempt"], entry["status"]) == (1, "succeeded")
    assert (entry["host"], entry["pid"]) == (platform.node(), os.getpid())
    assert entry["started_at"] <= entry["ended_at"]
    assert entry["started_at"].endswith("Z")


def test_run_json_is_complete_for_a_human_once_it_ended(place, run):
    with run.start() as ctx:
        ctx.set_result("energy", -1.5)
    run_json = place.document(f"{RUN}/run.json")

    assert set(run_json) >= {
        "schema", "id", "project", "experiment", "status", "created_at", "parameters", "replica", "profile", "config",
        "config_hash", "workflow", "provenance", "results", "tags", "execution_history",
    }  # fmt: skip
    assert (run_json["id"], run_json["project"], run_json["experiment"]) == ("one", "metals", "cu")
    assert (run_json["status"], run_json["results"]) == ("succeeded", {"energy": -1.5})
    assert place.store.read(f"{RUN}/run.json").startswith(b'{\n  "'), "it is indented, for people"


def test_no_program_believes_the_state_in_run_json(place, run):
    with run.start() as ctx:
        ctx.set_result("energy", -1.5)
    place.change(f"{RUN}/run.json", status="failed", results={"energy": 99})

    assert (run.status, run.results) == ("succeeded", {"energy": -1.5})


def test_what_is_seen_while_it_runs_is_what_was_recorded(place, run):
    with run.start() as ctx:
        ctx.set_result("energy", -1.5)
        ctx.flush()
        assert place.load().run("metals/cu/one").results == {"energy": -1.5}


# --------------------------------------------------------------------------------------------------------------- failing


def test_an_error_ends_it_as_failed_and_goes_on(run):
    with pytest.raises(ZeroDivisionError), run.start() as ctx:
        ctx.set_result("before", 1)
        ctx.artifact.save("a.txt", "kept")
        ctx.set_result("never", 1 / 0)

    assert run.status == "failed"
    assert run.results == {"before": 1}
    assert run.asset("a.txt").load() == "kept"
    (entry,) = run.execution_history
    assert entry["error"]["type"] == "ZeroDivisionError"
    assert entry["error"]["message"] == "division by zero"
    assert "ZeroDivisionError: division by zero" in entry["reason"]


def test_its_traceback_is_an_asset(run, ws):
    with pytest.raises(KeyError), run.start():
        dict[str, int]()["nowhere"]
    trace = run.asset("error-trace")

    assert isinstance(trace, me.ErrorTraceAsset)
    assert (trace.type, trace.message, trace.task) == ("KeyError", "'nowhere'", None)
    assert trace.load().startswith("Traceback (most recent call last):")
    assert '()["nowhere"]' in trace.load()
    assert run.execution_history[0]["error"]["trace"] == trace.id
    assert [asset.id for asset in ws.catalog.assets(kind="error_trace")] == [trace.id]


def test_an_error_of_our_own_class_is_named_in_full(run):
    class OddError(Exception):
        pass

    with pytest.raises(OddError), run.start():
        raise OddError("α \udc80")

    assert run.execution_history[0]["error"]["type"].endswith("OddError")
    assert run.status == "failed"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt"),
        (SystemExit(), "succeeded", "SystemExit"),
        (SystemExit(0), "succeeded", "SystemExit"),
        (SystemExit(1), "failed", "SystemExit: 1"),
        (SystemExit("no such file"), "failed", "SystemExit: no such file"),
        (asyncio.CancelledError(), "cancelled", "CancelledError"),
        (GeneratorExit(), "cancelled", "GeneratorExit"),
    ],
)
def test_how_it_was_left_decides_how_it_ends(run, error, status, reason):
    with pytest.raises(type(error)), run.start():
        raise error

    assert run.status == status
    assert run.execution_history[0]["reason"] == reason


def test_it_works_with_async_with(run):
    async def work():
        async with run.start() as ctx:
            await asyncio.sleep(0)
            ctx.set_result("x", 1)

    asyncio.run(work())

    assert (run.status, run.results) == ("succeeded", {"x": 1})


def test_without_a_block_finish_ends_it(run):
    ctx = run.start()
    ctx.set_result("x", 1)
    ctx.finish("cancelled", reason="enough seen")
    ctx.finish()

    assert run.status == "cancelled"
    assert run.execution_history[0]["reason"] == "enough seen"


@pytest.mark.parametrize("status", ["running", "pending", "done"])
def test_it_cannot_end_as_what_is_no_end(run, status):
    with run.start() as ctx, pytest.raises(ValueError, match=status):
        ctx.finish(status)


# ------------------------------------------------------------------------------------------------------------ attempts


def test_a_live_run_is_busy_and_says_where(place, run):
    with run.start():
        with pytest.raises(me.RunBusyError, match=rf"process {os.getpid()} on {platform.node()}") as caught:
            place.load().run("metals/cu/one").start()
        error = caught.value
        assert (error.run, error.attempt) == ("metals/cu/one", 1)
        assert (error.host, error.pid) == (platform.node(), os.getpid())
        assert 0 <= error.age < 3600
        assert "wait=" in str(error)
        assert len(run.execution_history) == 1


def test_waiting_for_it_ends_with_the_same_error(run):
    with run.start(), pytest.raises(me.RunBusyError):
        run.start(wait=0.05)


@pytest.mark.parametrize(("wait", "error"), [("1", TypeError), (True, TypeError), (math.nan, ValueError)])
def test_what_is_no_number_of_seconds_is_not_waited_for(run, wait, error):
    with run.start():
        with pytest.raises(error, match=r"wait is .*; it must be a number of seconds"):
            run.start(wait=wait)
        with pytest.raises(me.RunBusyError):
            run.start(wait=-1)


def test_a_finished_run_gets_another_attempt(run):
    for number in (1, 2, 3):
        with run.start() as ctx:
            assert ctx.attempt == number

    assert [entry["attempt"] for entry in run.execution_history] == [1, 2, 3]


def test_a_run_that_succeeded_can_be_left_alone(run):
    with pytest.raises(ZeroDivisionError), run.start(if_succeeded="error"):
        1 / 0  # noqa: B018
    with run.start(if_succeeded="error"):
        pass

    with pytest.raises(me.RunFinishedError, match="if_succeeded='rerun'") as caught:
        run.start(if_succeeded="error")

    assert (caught.value.status, caught.value.attempt) == ("succeeded", 2)
    assert len(run.execution_history) == 2


def test_an_unknown_policy_is_refused(run):
    with pytest.raises(ValueError, match="'leave'"):
        run.start(if_succeeded="leave")
    assert run.status == "pending"


@pytest.mark.parametrize("argument", ["parameters", "replica", "profile"])
def test_parameters_replica_and_profile_belong_to_the_run(run, argument):
    with pytest.raises(TypeError, match=argument):
        run.start(**{argument: None})


def test_results_fold_over_attempts_and_a_later_one_wins(run):
    with run.start() as ctx:
        ctx.set_result("a", 1)
        ctx.set_result("b", 1)
    with run.start() as ctx:
        ctx.set_result("b", 2)

    assert run.results == {"a": 1, "b": 2}


def test_fresh_starts_empty(place, run):
    with run.start() as ctx:
        ctx.set_result("a", 1)
    with run.start(fresh=True) as ctx:
        assert run.results == {}
        ctx.set_result("b", 2)
    with run.start() as ctx:
        ctx.set_result("c", 3)

    assert run.results == {"b": 2, "c": 3}
    assert place.document(f"{RUN}/run.json")["results"] == {"b": 2, "c": 3}


def test_the_status_is_the_newest_attempts(run):
    with run.start():
        pass
    with pytest.raises(ZeroDivisionError), run.start():
        1 / 0  # noqa: B018

    assert run.status == "failed"
    assert [entry["status"] for entry in run.execution_history] == ["succeeded", "failed"]


def test_payloads_of_later_attempts_lie_under_their_number(place, run):
    for text in ("first", "second"):
        with run.start() as ctx:
            ctx.artifact.save("a.txt", text)
            ctx.log("train").append(text)
            ctx.checkpoint.save("state", text)

    assert place.store.read(f"{RUN}/artifacts/a.txt") == b"first"
    assert place.store.read(f"{RUN}/executions/2/artifacts/a.txt") == b"second"
    assert place.store.read(f"{RUN}/executions/2/logs/train.log") == b"second\n"
    assert place.store.read(f"{RUN}/executions/2/checkpoints/state") == b"second"
    assert run.asset("a.txt").load() == "second"
    assert len([key for key in place.record() if key.endswith("/a.txt")]) == 2


def test_ends_are_created_once_and_never_change(place, run):
    with run.start():
        pass
    first = place.store.read(f"{RUN}/executions/1.end.json")
    with run.start():
        pass

    assert place.store.read(f"{RUN}/executions/1.end.json") == first


def test_an_attempt_that_somebody_else_ended_stops(place, run):
    ctx = run.start()
    ctx.set_result("mine", 1)
    ctx.flush()
    place.store.create(
        f"{RUN}/executions/1.end.json",
        b'{"schema":1,"type":"end","attempt":1,"status":"interrupted","ended_by":{"host":"h2","pid":7},"results":{}}',
    )

    with pytest.raises(me.RunSupersededError, match="process 7 on h2"):
        ctx.finish()

    assert run.status == "interrupted"
    assert run.results == {}, "an end alone is believed"


# -------------------------------------------------------------------------------------------------------------- after it


def test_nothing_can_be_recorded_after_the_end(place, run):
    with run.start() as ctx:
        log = ctx.log("train")
        ctx.metrics.log(loss=1)
    before = place.everything()

    for write in (
        lambda: ctx.set_result("x", 1),
        lambda: ctx.artifact.save("a.txt", "text"),
        lambda: ctx.artifact.writing("a.txt").__enter__(),
        lambda: ctx.checkpoint.save("c", "text"),
        lambda: ctx.log("other").append("line"),
        lambda: log.append("line"),
        lambda: ctx.metrics.log(loss=2),
        lambda: ctx.shell(["true"]),
        ctx.__enter__,
        ctx.flush,
    ):
        with pytest.raises(me.ContextClosedError, match=r"metals/cu/one.*attempt 1 has ended as succeeded"):
            write()
    assert place.everything() == before


def test_reading_goes_on_after_the_end(run):
    with run.start() as ctx:
        ctx.artifact.save("a.txt", "text")

    assert ctx.asset("a.txt").load() == "text"
    assert ctx.params["b"] == 1


def test_one_context_is_one_attempt(run):
    ctx = run.start()
    with ctx:
        pass
    with pytest.raises(me.ContextClosedError), ctx:
        pass


# ----------------------------------------------------------------------------------------------------------- provenance


def test_how_it_came_to_be_is_stored_once(place, exp):
    for n in range(3):
        with exp.Run(id=f"r{n}").start():
            pass
    (key,) = [key for key in place.record() if key.startswith("provenance/")]
    document = place.document(key)

    assert {run.execution_history[0]["provenance"] for run in exp.runs} == {key.removeprefix("provenance/")[:-5]}
    assert document["python"]
    assert "packages" in document


def test_secrets_of_the_environment_are_not_recorded(lab, script):
    done = script(
        """
        import os, molexp as me
        with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start() as ctx:
            ctx.shell(["true"], env={"TOKEN": "hunter3"})
        """,
        AWS_SECRET_ACCESS_KEY="hunter2",
    )

    assert done.code == 0, done.err
    assert not [key for key, data in lab.everything().items() if b"hunter" in data]


def test_what_was_acknowledged_reaches_the_store_on_request(place, run):
    with run.start() as ctx:
        ctx.set_result("x", 1)
        ctx.log("train").append("line")
        run.flush()

        assert place.load().run("metals/cu/one").results == {"x": 1}
