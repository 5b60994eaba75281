"""Workers and schedulers are killed, calls are cancelled: each call has an outcome in words, and is never made again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

import molexp as me
from molexp.contracts import Call, Outcome, Resources
from molexp_dask import DaskExecutor
from tests.dask import calls
from tests.dask.clusters import Cluster, cluster
from tests.executors.builtin import Gate, kit
from tests.repository import ROOT


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("dask"), 3) as found:
        yield found


async def outcomes(executor: DaskExecutor, made: list[Call]) -> list[Outcome]:
    return await asyncio.wait_for(asyncio.gather(*map(executor.submit, made)), 300)


def lost_worker(three: Cluster, folder: Path, number: int) -> list[Outcome]:
    """Kill the worker that makes one of the calls, from within that call, when another one of those behind it has come back.

    What a worker has made and not yet handed over is lost with it, so this one makes no other call from then on.
    """

    async def scene() -> list[Outcome]:
        async with DaskExecutor(address=three.address) as executor:
            made = [Call(calls.note, (str(folder), one), name=f"call {one}") for one in range(number)]
            half = number // 2
            before = await outcomes(executor, made[:half])
            loop, began, word = asyncio.get_running_loop(), asyncio.Event(), folder.with_name(f"{folder.name}-word")

            def begin() -> None:
                loop.call_soon_threadsafe(began.set)

            given = (str(folder), half, str(word))
            last = Call(calls.note_and_kill_the_worker, given, name="the last", started=begin)
            killed = asyncio.create_task(executor.submit(last))
            await asyncio.wait_for(began.wait(), 300)
            rest = [asyncio.create_task(executor.submit(call)) for call in made[half + 1 :]]
            await asyncio.wait(rest, return_when=asyncio.FIRST_COMPLETED)
            word.touch()
            return [*before, *await asyncio.wait_for(asyncio.gather(killed, *rest), 300)]

    return asyncio.run(scene())


@pytest.mark.parametrize("number", [40, pytest.param(200, marks=pytest.mark.long)])
def test_a_worker_that_is_killed_costs_one_call(three, tmp_path, number):
    found = lost_worker(three, tmp_path, number)
    three.worker()

    failed = [outcome.error for outcome in found if outcome.error is not None]
    assert len(failed) == 1
    assert isinstance(failed[0], me.ExecutorError)
    assert "was lost while it made the call 'the last', which is not made again" in str(failed[0])
    assert "tcp://127.0.0.1:" in str(failed[0])
    assert Counter(file.name.partition("-")[0] for file in tmp_path.iterdir()) == Counter(map(str, range(number)))


def test_a_worker_that_leaves_in_good_order_does_not_have_its_call_made_again(three, tmp_path):
    async def scene() -> Outcome:
        from distributed import Client

        async with Gate(300) as gate, DaskExecutor(address=three.address) as executor:
            running = asyncio.create_task(executor.submit(gate.call("late")))
            await gate.arrivals(1)
            async with Client(three.address, asynchronous=True, set_as_default=False) as client:
                busy = [worker for worker, keys in (await client.processing()).items() if keys]
                await client.retire_workers(busy, close_workers=True)
            found = await asyncio.wait_for(running, 300)
            assert gate.queue == 0
            return found

    error = asyncio.run(scene()).error
    three.worker()
    assert "was lost while it made the call" in str(error)


def test_a_cancel_leaves_no_trace(three, tmp_path):
    async def scene() -> list[str]:
        async with DaskExecutor(address=three.address) as executor, Gate(300) as gate:
            made = [Call(kit.pass_gate, gate.call(one).args, key=f"run-w:p:e:{one}:1") for one in range(20)]
            tasks = [asyncio.create_task(executor.submit(call)) for call in made]
            await gate.arrivals(3)
            keys = three.ask(lambda dask_scheduler: [*dask_scheduler.tasks])
            assert {key for key in keys if key.startswith("run-w:")} == {call.key for call in made}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await gate.vanished()
            assert gate.queue == 0
            found = await executor.submit(Call(kit.add, (1,)))
            assert found == Outcome(value=1)
        return children(three)

    assert [key for key in three.ask(lambda dask_scheduler: [*dask_scheduler.tasks]) if key.startswith("run-w:")] == []
    left = asyncio.run(scene())
    assert [key for key in three.ask(lambda dask_scheduler: [*dask_scheduler.tasks]) if key.startswith("run-w:")] == []
    assert left == []


def test_a_call_that_is_cancelled_between_its_turn_and_its_beginning_is_not_made(tmp_path):
    """The worker frees it at this moment, as when the scheduler's word comes then."""
    from distributed import Scheduler, Worker, WorkerPlugin
    from distributed.worker_state_machine import FreeKeysEvent

    freed = asyncio.Event()

    class Frees(WorkerPlugin):
        def setup(self, worker):
            self.worker = worker

        def transition(self, key, start, finish, **_):
            if finish == "executing" and key.startswith("early-"):
                asyncio.get_running_loop().call_soon(self.free, key)

        def free(self, key):
            self.worker.handle_stimulus(FreeKeysEvent(keys=[key], stimulus_id="test"))
            freed.set()

    async def scene() -> Outcome:
        here: dict[str, Any] = {"host": "127.0.0.1", "dashboard": False}
        space = str(tmp_path.with_name("space"))
        async with (
            Scheduler(port=0, dashboard_address="127.0.0.1:0", **here) as scheduler,
            Worker(scheduler.address, nthreads=1, local_directory=space, **here) as worker,
        ):
            await worker.plugin_add(Frees(), "frees")
            async with DaskExecutor(address=scheduler.address) as executor:
                early = asyncio.create_task(executor.submit(Call(calls.note, (str(tmp_path), 1), name="early")))
                await asyncio.wait_for(freed.wait(), 300)
                outcome = await asyncio.wait_for(executor.submit(Call(calls.note, (str(tmp_path), 2))), 300)
                early.cancel()
                await asyncio.wait([early])
                return outcome

    assert asyncio.run(scene()) == Outcome(value=2), "the worker's only thread is not free"
    assert [file.name.partition("-")[0] for file in tmp_path.iterdir()] == ["2"]


def children(three: Cluster) -> list[str]:
    """Return the processes of calls that workers still have; those of a closed executor have ended."""
    found: list[str] = []
    for process in three.processes:
        for listed in Path(f"/proc/{process.pid}/task").glob("*/children"):
            for child in listed.read_text().split():
                command = Path(f"/proc/{child}/cmdline").read_bytes()
                found += [child] if b"spawn_main" in command else []
    return found


def test_a_submitter_that_is_killed_leaves_no_call_behind(three, tmp_path):
    async def scene() -> None:
        async with Gate(300) as gate:
            code = (
                "import asyncio\nfrom molexp.contracts import Call\nfrom molexp_dask import DaskExecutor\n"
                "from tests.executors.builtin import kit as calls\n"
                f"call = Call(calls.pass_gate, ({gate.address!r}, 600, 1))\n"
                f"asyncio.run(DaskExecutor(address={three.address!r}).submit(call))\n"
            )
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT)
            await gate.arrivals(1)
            process.kill()
            await process.wait()
            await gate.vanished()

    asyncio.run(scene())


def test_when_the_scheduler_is_killed_every_call_has_an_outcome(tmp_path):
    async def scene() -> list[Outcome]:
        with cluster(tmp_path, 1) as found:
            async with Gate(300) as gate, DaskExecutor(address=found.address) as executor:
                waiting = [asyncio.create_task(executor.submit(gate.call(one))) for one in range(3)]
                await gate.arrivals(1)
                os.kill(found.scheduler.pid, signal.SIGKILL)
                told = await asyncio.wait_for(asyncio.gather(*waiting), 300)
                await gate.vanished()  # the worker stops what nobody can take any more
                return told

    for outcome in asyncio.run(scene()):
        assert "The connection to the Dask scheduler was lost" in str(outcome.error)


def test_a_cluster_that_is_not_there_is_told_in_words(tmp_path):
    import dask

    async def scene(**place: Any) -> str:
        async with DaskExecutor(**place) as executor:
            return str((await executor.submit(Call(kit.add, (1,)))).error)

    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        said = asyncio.run(scene(address="tcp://127.0.0.1:1"))
        missing = asyncio.run(scene(scheduler_file=tmp_path / "scheduler.json"))
        (tmp_path / "half.json").write_text("{")
        half = asyncio.run(scene(scheduler_file=tmp_path / "half.json"))
    assert "The Dask cluster at tcp://127.0.0.1:1 cannot be used" in said
    assert "Is its scheduler running" in said
    assert f"The scheduler's file {tmp_path}/scheduler.json has not come in 1 s" in missing
    assert f"The scheduler's file {tmp_path}/half.json has not come whole in 1 s" in half
    for wrong in (None, "none", "0s", -1):
        for place in ({"address": "tcp://127.0.0.1:1"}, {"scheduler_file": tmp_path / "scheduler.json"}):
            with dask.config.set({"distributed.comm.timeouts.connect": wrong}):
                said = asyncio.run(scene(**place))
            assert said.startswith(f"Dask's setting distributed.comm.timeouts.connect is {wrong!r}, which is no time")
            assert "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT=30s" in said


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (
            {"gpus": 1},
            'gpus=1, and none of 3 Dask workers declares that (they declare: none); start workers with --resources "gpus=1"',
        ),
        ({"extra": {"licences": "two"}}, "resources.extra.licences is 'two'; for Dask it must be a number above 0"),
        ({"walltime": "1:00:00"}, "resources.walltime is 3600.0, and Dask cannot give that to a call"),
    ],
)
def test_resources_that_no_worker_declares_are_refused(three, resources, said):
    async def scene() -> Outcome:
        async with DaskExecutor(address=three.address) as executor:
            with pytest.raises(ValueError, match="resources"):
                await executor.check(Resources.of(resources))
            return await executor.submit(Call(kit.add, (1,), resources=Resources.of(resources)))

    assert said in str(asyncio.run(scene()).error)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"address": "tcp://a:1", "cluster": "LocalCluster"}, "address and cluster are given"),
        ({"address": 7}, "address is 7; it must be a text"),
        ({"options": {"n_workers": 2}}, "name that as cluster, too"),
        ({"cluster": "LocalCluster", "options": 3}, "options is 3; it must be a mapping"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(options, said):
    with pytest.raises((TypeError, ValueError), match=said):
        DaskExecutor(**options)


def test_a_class_that_is_not_there_is_told_in_words():
    async def scene() -> Outcome:
        async with DaskExecutor(cluster="dask_jobqueue.NoSuchCluster") as executor:
            return await executor.submit(Call(kit.add, (1,)))

    said = str(asyncio.run(scene()).error)
    assert "The class dask_jobqueue.NoSuchCluster, which is to start a Dask cluster, cannot be imported" in said


def test_a_class_that_can_only_be_imported_in_the_main_thread_is_told_in_words(tmp_path, monkeypatch):
    (tmp_path / "handling.py").write_text("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    async def scene() -> Outcome:
        async with DaskExecutor(cluster="handling.Cluster") as executor:
            return await executor.submit(Call(kit.add, (1,)))

    with ThreadPoolExecutor(1) as pool:
        said = str(pool.submit(asyncio.run, scene()).result().error)
    assert "Import handling in the main thread before." in said


def test_a_class_is_imported_in_a_thread_while_the_main_one_sets_handlers_of_signals(tmp_path, monkeypatch):
    begun, done = Event(), Event()
    monkeypatch.setitem(sys.modules, "scene_of_handlers", SimpleNamespace(begun=begun, done=done))
    (tmp_path / "waiting.py").write_text(
        "import scene_of_handlers as scene\nscene.begun.set()\nscene.done.wait(300)\nraise ImportError('in vain')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    async def scene() -> Outcome:
        async with DaskExecutor(cluster="waiting.Cluster") as executor:
            return await executor.submit(Call(kit.add, (1,)))

    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(asyncio.run, scene())
        assert begun.wait(300)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        done.set()
        said = str(outcome.result().error)
        signal.signal(signal.SIGINT, before)
    assert "cannot be imported: in vain. Install" in said
