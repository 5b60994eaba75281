"""Several processes, started as torchrun, srun and mpirun start them: one attempt, and all that they recorded in it."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import molexp as me
from tests.crash import launching
from tests.crash.launching import ALL, SIZE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")

QUICK = {"MOLEXP_LEASE_BEAT": "0.1"}
LATER = 300  # seconds; longer than anything takes that does not wait


def start(stage, actor: str, environ: dict[str, str], **more: str):
    return stage.start(actor, **environ, **QUICK, **more)


def share(stage, launcher=launching.torchrun, size: int = SIZE, restart: int = 0) -> list[Any]:
    """All ranks in the block of one run."""
    actors = [start(stage, "rank_shared", launcher(rank, restart, size)) for rank in range(size)]
    for actor in actors:
        actor.hear()
    return actors


def one(stage) -> me.Run:
    return me.Workspace(str(stage.lab)).project("metals").experiment("cu").run("one")


@pytest.mark.parametrize("launcher", ALL)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 2, 0)], ids=["in order", "rank 3 first"])
def test_all_that_four_ranks_record_is_there(stage, launcher, order):
    actors = [start(stage, "rank_runs", ALL[launcher](rank)) for rank in order]
    said = [report for actor in actors for report in actor.rest()]

    assert {report["attempt"] for report in said} == {1}
    assert sorted(report["rank"] for report in said) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    ws = me.Workspace(str(stage.lab))
    runs = list(ws.project("metals").experiment("cu").runs)
    assert len(runs) == 3
    assert {run.id for run in runs} == {report["run"] for report in said}
    for run in runs:
        assert run.status == "succeeded"
        assert run.results == {**{f"of-{rank}": SIZE for rank in range(SIZE)}, "rank": 0}
        cells = [asset for asset in run.assets if asset.name.endswith("cell.json")]
        assert sorted(asset.load()["rank"] for asset in cells) == [0, 1, 2, 3]
        assert len({asset.id for asset in cells}) == 4
        assert {name: log.text() for name, log in run.logs.items()} == {
            "train": "rank 0\n",
            **{f"train.rank{rank}": f"rank {rank}\n" for rank in (1, 2, 3)},
        }
        assert len([asset for asset in run.assets if asset.kind == "metrics"]) == 4
        (attempt,) = run.execution_history
        assert attempt["ranks"] == {"succeeded": 3}
        assert "late" not in attempt
    assert len(ws.catalog.assets(kind="artifact")) == 12
    assert not (stage.lab / ".molexp/live").exists() or not list((stage.lab / ".molexp/live").iterdir())


@pytest.mark.parametrize("launcher", [launching.torchrun, launching.srun], ids=["torchrun", "srun"])
def test_a_restarted_launch_makes_an_attempt_of_its_own(stage, launcher):
    old = share(stage, launcher, size=2)
    old[0].kill()
    early = start(stage, "rank_shared", launcher(1, 1, 2))
    new = start(stage, "rank_shared", launcher(0, 1, 2))

    assert new.hear() == {"attempt": 2, "rank": 0}
    assert early.hear() == {"attempt": 2, "rank": 1}
    early.say("leave")
    new.say("leave")
    assert early.hear() == {"left": ""}
    assert new.hear() == {"left": ""}
    assert [attempt["status"] for attempt in one(stage).execution_history] == ["interrupted", "succeeded"]
    assert one(stage).results == {"of-0": 2, "of-1": 2}


def test_a_launch_that_is_called_the_same_is_another_one(stage):
    script = """
        export TORCHELASTIC_RUN_ID=none TORCHELASTIC_RESTART_COUNT=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500
        for rank in 1 0; do RANK=$rank "$1" "$2" rank_shared lab & done
        wait
    """
    for number in (1, 2):
        said = stage.script(script, ()).rest()
        assert {report["attempt"] for report in said if "attempt" in report} == {number}
        assert [report["left"] for report in said if "left" in report] == ["", ""]
    assert [attempt["ranks"] for attempt in one(stage).execution_history] == [{"succeeded": 1}] * 2


def test_when_rank_0_is_killed_the_others_stop(stage):
    actors = share(stage)
    for actor in actors[1:]:
        assert actor.ask("sleep") == {"sleeping": True}

    actors[0].kill()

    for actor in actors[1:]:
        left = actor.hear()["left"]
        assert left.startswith("RunSupersededError"), left
        assert "interrupted" in left
    assert one(stage).status == "interrupted"
    assert one(stage).results == {f"of-{rank}": 1 for rank in range(SIZE)}


def test_when_another_rank_is_killed_rank_0_ends_as_it_would(stage):
    actors = share(stage)
    actors[2].kill()
    for rank in (1, 3):
        assert actors[rank].ask("leave") == {"left": ""}

    assert actors[0].ask("leave") == {"left": ""}

    (attempt,) = one(stage).execution_history
    assert attempt["status"] == "succeeded"
    assert attempt["ranks"] == {"lost": 1, "succeeded": 2}
    assert one(stage).results == {f"of-{rank}": 1 for rank in range(SIZE)}


def test_rank_0_waits_for_those_that_have_joined(stage):
    actors = share(stage, size=2)
    actors[0].say("leave")
    actors[1].say("something")
    assert one(stage).status == "running"
    assert actors[1].ask("leave") == {"left": ""}
    assert actors[0].hear() == {"left": ""}
    assert one(stage).results["last"] == "something"


def test_an_error_in_a_rank_is_on_record_and_goes_on(stage):
    actors = share(stage, size=2)
    assert actors[1].ask("fail") == {"left": "ValueError: diverged"}
    assert actors[0].ask("leave") == {"left": ""}

    (attempt,) = one(stage).execution_history
    assert attempt["status"] == "succeeded"
    assert attempt["ranks"] == {"failed": 1}
    (error,) = attempt["rank_errors"]
    assert error["rank"] == 1
    assert (error["error"]["type"], error["error"]["message"]) == ("ValueError", "diverged")
    trace = one(stage).asset("error-trace.rank1")
    assert trace.id == error["error"]["trace"]
    assert "diverged" in trace.load()


@pytest.mark.parametrize("order", ["fail", "cancel"])
def test_when_the_run_ends_the_ranks_stop(stage, order):
    actors = share(stage, size=3)
    for actor in actors[1:] if order == "fail" else actors:
        assert actor.ask("sleep") == {"sleeping": True}
    if order == "fail":
        assert actors[0].ask("fail") == {"left": "ValueError: diverged"}
        wanted = ["ContextClosedError"] * 2
    else:
        one(stage).cancel("enough")
        wanted = ["RunCancelledError"] * 3

    assert [actor.hear()["left"].partition(":")[0] for actor in actors[-len(wanted) :]] == wanted
    (attempt,) = one(stage).execution_history
    assert attempt["status"] == ("failed" if order == "fail" else "cancelled")
    assert "late" not in attempt


def test_a_rank_that_comes_when_rank_0_has_ended_says_so(stage):
    first = share(stage, size=2)[0]
    first.ask("fail")
    late = start(stage, "rank_shared", launching.torchrun(1, 0, 2))
    left = late.hear()["left"]
    assert left.startswith("RunError"), left
    assert "ended attempt 1" in left
    assert "failed" in left


def test_without_rank_0_the_others_say_what_they_waited_for(stage):
    actor = start(stage, "rank_shared", launching.srun(1), MOLEXP_RANK_WAIT="0.2")
    left = actor.hear()["left"]
    assert left.startswith("RunError: Rank 1 of 4 waited 0.2 s for rank 0"), left
    assert "MOLEXP_RANK_WAIT" in left
    assert not list((stage.lab / "projects/metals/experiments/cu/runs/one").glob("executions/*"))


def test_switched_off_every_process_stands_for_itself(stage):
    off = {"MOLEXP_RANKS": "0"}
    assert start(stage, "rank_shared", launching.srun(1), **off).hear() == {"attempt": 1, "rank": 0}
    assert start(stage, "rank_shared", launching.srun(2), **off).hear()["left"].startswith("RunBusyError")


def test_ranks_that_never_come_are_waited_for_once(stage):
    actor = start(stage, "rank_alone", launching.torchrun(0), MOLEXP_RANK_WAIT="1", THEN_WAIT=str(LATER), COUNT="4")
    first, *others = [report["seconds"] for report in actor.rest()]
    assert first >= 1
    assert all(seconds < LATER for seconds in others)


def test_workflows_are_rank_0s(stage):
    actors = share(stage, size=2)
    left = actors[1].ask("workflow")["left"]
    assert left.startswith("RunError: Rank 1 cannot execute a workflow"), left
    actors[0].say("workflow")
    assert actors[0].ask("leave") == {"left": ""}
    assert one(stage).status == "succeeded"
