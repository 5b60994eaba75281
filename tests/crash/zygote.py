"""A process that has imported everything and made nothing, and forks a case for every line that it is sent.

A case is a process of its own (fork, no exec): 30 ms instead of 250. It forks the writer that is killed, watches it
through its own index, and afterwards checks what is left.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # this is a script

from molexp.plugins import default_manager
from tests.crash.compaction_cases import Onlookers, chosen_instant, compact_for_ever, compaction_case
from tests.crash.sync_cases import sync_case

DEADLINE = 300  # seconds after which a case that hangs is killed


def fork(act: Callable[[], None]) -> int:
    """Run `act` in a forked process, which ends with it; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        act()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may unwind into the code of the parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def play(folder: Path, pipe: int, *, killing: bool) -> None:
    """The writer: tells what it has done through the pipe."""
    from tests.crash import scenario

    def acknowledge(step: str, **facts: Any) -> None:
        os.write(pipe, scenario.encode(step, **facts))

    url = f"killing://{folder}" if killing else str(folder)
    scenario.play(url, folder.parent / "sources", acknowledge)


def watch(folder: Path, pipe: int, cache: Path) -> list[dict[str, Any]]:
    """Read what the writer tells until it is gone, looking into the catalog all the time."""
    from tests.crash import checks

    data = b""
    ws = None
    while True:
        ready, _, _ = select.select([pipe], [], [], DEADLINE)
        chunk = os.read(pipe, 1 << 16) if ready else b""
        if not chunk:
            break
        data += chunk
        if ws is None and (folder / "workspace.json").exists():
            ws = checks.open_with(folder, cache)
        if ws is not None:
            checks.answers(ws)
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def scenario_case(request: dict[str, Any]) -> dict[str, Any]:
    """Kill the scenario's writer at one operation (or not at all), and check what is left."""
    from tests.crash import checks, scenario

    base = Path(tempfile.mkdtemp(dir=request["folder"]))
    folder, caches = base / "lab", {"watching": base / "watching", "fresh": base / "fresh"}
    scenario.prepare(base / "sources")
    os.environ["MOLEXP_CACHE_DIR"] = str(base / "writer")
    os.environ["KILL_AT"], os.environ["KILL_SIDE"] = str(request["k"]), request["side"]
    count = base / "operations"
    if request.get("count"):
        os.environ["COUNT_TO"] = str(count)
    reader, writer = os.pipe()
    pid = fork(lambda: play(folder, writer, killing=True))
    os.close(writer)
    told = watch(folder, reader, caches["watching"])
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status)
    assert killed or status == 0, "the writer failed"
    scenario.verify(folder, base / "sources", told, torn=request["side"] == "torn")
    if (folder / "workspace.json").exists():
        checks.check_catalog(folder, caches, base / "rebuilt")
        again(folder, caches, base / "rebuilt")
        scenario_after(folder, base / "sources", told)
    answer: dict[str, Any] = {"killed": killed, "told": len(told)}
    if request.get("count"):
        answer["operations"] = count.read_text().split()
    shutil.rmtree(base)
    return answer


def scenario_after(folder: Path, sources: Path, told: list[dict[str, Any]]) -> None:
    """After the next attempt, what was acknowledged is still there."""
    from tests.crash import checks, scenario

    ws = checks.open_with(folder, folder.parent / "fresh")
    if any(fact["step"] == "one" for fact in told):
        values = [fact["value"] for fact in told if fact["step"] == "artifact"]
        run = ws.run(scenario.PATH)
        assert not values or run.asset("a.json").load()["v"].startswith(values[-1]["v"])


def again(folder: Path, caches: dict[str, Path], scratch: Path) -> None:
    """Every run that is there can be started again, and succeeds; every index learns of it."""
    from tests.crash import checks

    ws = checks.open_with(folder, caches["fresh"])
    for run in checks.all_runs(ws):
        with run.start() as ctx:
            ctx.set_result("again", True)
            ctx.artifact.save("again.json", {"again": True})
        assert run.status == "succeeded"
        assert run.results["again"] is True
    truth = checks.check_catalog(folder, caches, scratch)
    assert {document["status"] for document in truth["runs"].values()} <= {"succeeded"}


def loop(folder: Path, pipe: int, writer: int) -> None:
    """A writer that tracks runs until it is killed."""
    import molexp as me
    from tests.crash import scenario

    experiment = me.Workspace(folder).Project("metals").Experiment("cu")
    number = 0
    while True:
        name = f"w{writer}-{number}"
        run = experiment.Run({"writer": writer, "number": number}, id=name)
        os.write(pipe, scenario.encode("created", run=name))
        with run.start() as ctx:
            os.write(pipe, scenario.encode("started", run=name))
            ctx.set_result("number", number)
            ctx.artifact.save("a.json", {"number": number})
            os.write(pipe, scenario.encode("saved", run=name, number=number))
            with ctx.artifact.writing("big.bin") as path:
                path.write_bytes(scenario.BIG)
            ctx.log("relax").append(f"{number} volumes")
            os.write(pipe, scenario.encode("logged", run=name, number=number))
        os.write(pipe, scenario.encode("finished", run=name))
        number += 1


def random_case(request: dict[str, Any]) -> dict[str, Any]:
    """Kill several writers at random instants, each replaced by a new one; check what is left after each."""
    from tests.crash import checks

    base = Path(tempfile.mkdtemp(dir=request["folder"]))
    folder, caches = base / "lab", {"watching": base / "watching", "fresh": base / "fresh"}
    choice = random.Random(request["seed"])
    os.environ["MOLEXP_CACHE_DIR"] = str(base / "writer")
    told: list[dict[str, Any]] = []
    kills = 0
    number = 0
    onlookers = Onlookers(folder, [base / "first", base / "second"], fork)
    while kills < request["kills"]:
        reader, writer = os.pipe()
        pids = []
        for _ in range(request["writers"]):
            number += 1
            pids.append(fork(lambda pipe=writer, number=number: loop(folder, pipe, number)))  # type: ignore[misc]
        pids += [
            fork(lambda cache=base / name: compact_for_ever(folder, cache))  # type: ignore[misc]
            for name in ("one", "other")
        ]
        os.close(writer)
        data = b""
        while data.count(b"\n") < choice.randrange(1, 12):  # an instant is chosen by what was heard, and the clock
            data += os.read(reader, 1 << 12)
        chosen_instant(choice)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            kills += 1
        while chunk := os.read(reader, 1 << 16):
            data += chunk
        for pid in pids:
            os.waitpid(pid, 0)
        told += [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]
        if choice.random() < 0.5:
            checks.answers(checks.open_with(folder, caches["watching"]))
    reports = onlookers.done()
    assert not [report for report in reports if report["wrong"] or report["rounds"] < 2], reports
    caches |= {name: base / name for name in ("first", "second", "one", "other")}
    verify_loop(folder, caches["watching"], told)
    truth = checks.check_catalog(folder, caches, base / "rebuilt")
    again(folder, caches, base / "rebuilt")
    shutil.rmtree(base, ignore_errors=True)  # a compactor may still write to it
    return {"kills": kills, "runs": len(truth["runs"]), "told": len(told)}


def verify_loop(folder: Path, cache: Path, told: list[dict[str, Any]]) -> None:
    """Nothing that the looping writers acknowledged is lost."""
    from tests.crash import checks

    ws = checks.open_with(folder, cache)
    statuses = checks.check_record(ws, folder)
    experiment = ws.project("metals").experiment("cu")
    last = {fact["run"]: fact["step"] for fact in told}
    for fact in told:
        if fact["step"] == "saved":
            run = experiment.run(fact["run"])
            assert run.results["number"] == fact["number"]
            assert run.asset("a.json").load() == {"number": fact["number"]}
        if fact["step"] == "logged":
            assert experiment.run(fact["run"]).logs["relax"].text() == f"{fact['number']} volumes\n"
    for name, step in last.items():
        allowed = {
            "created": {"pending", "interrupted"},
            "finished": {"succeeded"},
            "logged": {"succeeded", "interrupted"},
        }
        assert statuses[f"metals/cu/{name}"] in allowed.get(step, {"interrupted"}), (name, step)


CASES = {
    "scenario": scenario_case,
    "random": random_case,
    "compaction": lambda request: compaction_case(request, fork),
    "sync": lambda request: sync_case(request, fork),
}


def modules_of_a_case(request: dict[str, Any]) -> list[str]:
    """Return the modules that a case and its writers import, found by running one and by writing."""
    reader, writer = os.pipe()

    def act() -> None:
        import molexp as me

        CASES[request["case"]](request)
        with (
            me.Workspace(Path(request["folder"]) / f"warm-{os.getpid()}")
            .Project("p")
            .Experiment("e")
            .Run()
            .start() as ctx
        ):
            ctx.set_result("x", 1)
            ctx.artifact.save("a.json", [1])
            ctx.log("relax").append("a line")
        os.write(writer, "\n".join(sys.modules).encode())

    pid = fork(act)
    os.close(writer)
    data = b""
    while chunk := os.read(reader, 1 << 16):
        data += chunk
    os.close(reader)
    os.waitpid(pid, 0)
    return data.decode().split("\n") if data else []


def case(request: dict[str, Any]) -> dict[str, Any]:
    """Run a case in a process of its own."""
    reader, writer = os.pipe()

    def act() -> None:
        signal.alarm(DEADLINE)
        try:
            answer: dict[str, Any] = {"ok": True, **CASES[request["case"]](request)}
        except BaseException:  # noqa: BLE001 - reported
            answer = {"ok": False, "error": traceback.format_exc()}
        os.write(writer, json.dumps(answer).encode())

    pid = fork(act)
    os.close(writer)
    data = b""
    while chunk := os.read(reader, 1 << 16):
        data += chunk
    os.close(reader)
    os.waitpid(pid, 0)
    return json.loads(data) if data else {"ok": False, "error": "the case was killed: did it hang?"}


def main() -> None:
    """Serve requests, a line each, until the end of the input."""
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("warm"):
            for name in modules_of_a_case(request):
                if name != "__main__":
                    importlib.import_module(name)
            for scheme in ("file", "killing"):
                default_manager().storage_backend(scheme)  # plugins are found once
            print("{}", flush=True)
        else:
            print(json.dumps(case(request)), flush=True)


if __name__ == "__main__":
    main()
