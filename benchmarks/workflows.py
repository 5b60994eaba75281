"""Measure a workflow's cost for each task: in memory against a loop over ``graphlib`` and ``asyncio``, under a run against memory."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path

from measure import Contender, Line, folders, take_turns

import molexp as me
from molexp.workflow import TaskContext, Workflow, WorkflowBuilder

Graph = Mapping[str, Sequence[str]]

_NAP = 0.01  # seconds
_ITEMS = 2000


def chain(count: int) -> Graph:
    """Return a chain: each task depends on the one before."""
    return {f"t{number}": [f"t{number - 1}"] if number else [] for number in range(count)}


def fan(count: int) -> Graph:
    """Return a fan: one task, many that depend on it, and one that depends on all of those."""
    middle = [f"t{number}" for number in range(1, count - 1)]
    return {"first": [], **{name: ["first"] for name in middle}, "last": middle}


def bare(graph: Graph) -> Contender:
    """Run the loop that you would write by hand."""

    async def work() -> None:
        outputs: dict[str, int] = {}

        async def task(name: str) -> str:
            outputs[name] = len({upstream: outputs[upstream] for upstream in graph[name]})
            return name

        sorter = TopologicalSorter(graph)
        sorter.prepare()
        pending: set[asyncio.Task[str]] = set()
        while sorter.is_active():
            pending |= {asyncio.create_task(task(name)) for name in sorter.get_ready()}
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            sorter.done(*(one.result() for one in done))

    def contender(_folder: Path, _count: int) -> None:
        asyncio.run(work())

    return contender


def workflow_of(graph: Graph, nap: float = 0.0) -> Workflow:
    """Return the same graph as a workflow."""
    builder = WorkflowBuilder("bench")
    for name, upstream in graph.items():

        async def task(ctx: TaskContext) -> int:
            if nap:
                await asyncio.sleep(nap)
            return len(ctx.upstream)

        builder.task(name=name, depends_on=upstream)(task)
    return builder.build()


def in_memory(workflow: Workflow) -> Contender:
    """Execute a workflow without a workspace."""

    def contender(_folder: Path, _count: int) -> None:
        workflow.execute_sync(check=True)

    return contender


def under_a_run(workflow: Workflow) -> Contender:
    """Execute a workflow with every task on record."""

    def contender(folder: Path, _count: int) -> None:
        run = me.Workspace(folder / "lab").Project("bench").Experiment("bench").Run()
        workflow.execute_sync(run=run, check=True)

    return contender


def measure(*, quick: bool) -> list[Line]:
    """Yield the lines of the report."""
    lines = []
    where = folders()
    for name, graph in (("chain", chain(2000)), ("fan", fan(2000))):
        contenders = {"molexp": in_memory(workflow_of(graph)), "bare": bare(graph)}
        found = take_turns(contenders, where=where["disk"], count=2000, rounds=3 if quick else 7)
        detail = ", ".join(f"{who} {micros:.1f} us a task" for who, micros in found.micros.items())
        lines.append(Line(f"{name} of 2 000 tasks / bare loop", "memory", found.ratio("molexp", "bare"), 2.0, detail))
    for place in ("disk", "tmpfs"):
        if place not in where:
            continue
        workflow = workflow_of(chain(100), _NAP)
        contenders = {"run": under_a_run(workflow), "memory": in_memory(workflow)}
        found = take_turns(contenders, where=where[place], count=100, rounds=2 if quick else 3)
        detail = ", ".join(f"{who} {micros / 1000:.2f} ms a task" for who, micros in found.micros.items())
        lines.append(
            Line("100 tasks of 10 ms under a run / in memory", place, found.ratio("run", "memory"), 1.1, detail)
        )
    return [*lines, *map_over(where, quick=quick)]


def numbers(_ctx: TaskContext) -> list[int]:
    """Return the items of a mapped task."""
    return [*range(_ITEMS)]


def square(ctx: TaskContext) -> int:
    """Return the square of an item: hardly any work."""
    return int(ctx.inputs) ** 2


def square_of(number: int) -> int:
    """Return the same of a number."""
    return number**2


def mapped(executor: str) -> Workflow:
    """Return a workflow that squares many numbers."""
    builder = WorkflowBuilder("bench").add(numbers)
    return builder.add(square, map_over="numbers", executor=executor).build()


def pooled(pool: Callable[[], Executor]) -> Contender:
    """Square them as you would by hand, in a pool of `concurrent.futures`."""

    def contender(_folder: Path, _count: int) -> None:
        with pool() as executor:
            futures = [executor.submit(square_of, number) for number in range(_ITEMS)]
            for future in futures:
                future.result()

    return contender


def map_over(where: Mapping[str, Path], *, quick: bool) -> Iterator[Line]:
    """Yield what an item of a mapped task costs in threads and in processes, against pools of `concurrent.futures`."""
    rounds = 3 if quick else 7
    spawn = multiprocessing.get_context("spawn")
    threads = partial(ThreadPoolExecutor, max_workers=min(32, (os.cpu_count() or 1) + 4))
    processes = partial(ProcessPoolExecutor, mp_context=spawn)
    inline, process = mapped("inline"), mapped("process")
    for what, place, limit, ours, pool in (
        ("map_over of plain functions / thread pool", "memory", 2.0, in_memory(inline), threads),
        ("map_over in processes / process pool", "memory", 1.3, in_memory(process), processes),
        ("map_over in processes under a run / process pool", "disk", 1.6, under_a_run(process), processes),
    ):
        found = take_turns({"molexp": ours, "futures": pooled(pool)}, where=where["disk"], count=_ITEMS, rounds=rounds)
        detail = ", ".join(f"{who} {micros:.1f} us an item" for who, micros in found.micros.items())
        yield Line(what, place, found.ratio("molexp", "futures"), limit, detail)
