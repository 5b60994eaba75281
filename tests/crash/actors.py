"""What the processes of these tests do. Run as ``actors.py NAME ARGUMENT...``; they report JSON lines on stdout."""

from __future__ import annotations

import importlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import molexp as me
from molexp.errors import ConflictError, MolexpError, RunBusyError, RunCancelledError, RunFinishedError
from tests.crash import checks


def tell(**facts: Any) -> None:
    """Report."""
    print(json.dumps(facts), flush=True)


def wait() -> str:
    """Wait for a line from the test; "" at the end of the input."""
    return sys.stdin.readline().strip()


# ------------------------------------------------------------------------------------------------------------- writers


def track(folder: str, writer: str, count: str) -> None:
    """Track runs: two artifacts and a log each."""
    experiment = me.Workspace(folder).Project("metals").Experiment("cu", params={"a": 3.6})
    for number in range(int(count)):
        run = experiment.Run({"writer": int(writer), "number": number})
        with run.start() as ctx:
            ctx.set_result("number", number)
            ctx.artifact.save("cell.json", {"number": number})
            ctx.artifact.save("notes.txt", f"run {number} of {writer}")
            ctx.log("relax").append(f"{number} done")
        tell(run=run.path)


def poll(folder: str, gate: str) -> None:
    """Ask the catalog over and over until the gate closes; tell what was wrong with the answers."""
    ws = me.Workspace(folder)
    seen: dict[str, str] = {}
    assets: set[str] = set()
    wrong: list[str] = []
    rounds, last = 0, False
    while not last:
        last = bool(select.select([int(gate)], [], [], 0)[0])  # before asking: the last round sees all
        rows = {row.path: row for row in ws.catalog.runs()}
        wrong += [f"{path} vanished" for path in seen.keys() - rows.keys()]
        finished = {path for path, row in rows.items() if row.status.finished}
        wrong += [
            f"{path} was {seen[path]}, is {rows[path].status}" for path in seen if backwards(seen[path], rows.get(path))
        ]
        wrong += [f"{path} has no result" for path in finished if "number" not in rows[path].results]
        found = ws.catalog.assets()
        ids = {asset.id for asset in found}
        wrong += [f"{asset} vanished" for asset in assets - ids]
        by_run: dict[str, int] = {}
        for asset in found:
            by_run[asset.scope] = by_run.get(asset.scope, 0) + 1
        wrong += [f"{path} finished with {by_run.get(path)} assets" for path in finished if by_run.get(path) != 3]
        seen |= {path: str(row.status) for path, row in rows.items()}
        assets = ids
        rounds += 1
        if rounds == 1:
            tell(ready=True)
    tell(rounds=rounds, wrong=wrong[:20], statuses=seen, assets=len(assets))


def backwards(before: str, row: Any) -> bool:
    """Whether a status went back."""
    order = {"pending": 0, "running": 1}
    return row is not None and order.get(str(row.status), 2) < order.get(before, 2)


def look(folder: str) -> None:
    """What a process sees that comes afterwards, by the files and by the catalog."""
    ws = me.Workspace.load(folder, read_only=True)
    runs = ws.project("metals").experiment("cu").runs
    tell(
        files={run.path: [str(run.status), len(run.assets), run.results["number"]] for run in runs},
        catalog={row.path: [str(row.status), row.results["number"]] for row in ws.catalog.runs()},
        assets=sorted(asset.id for asset in ws.catalog.assets()),
        file_assets=sorted(asset.id for run in runs for asset in run.assets),
    )


# --------------------------------------------------------------------------------------------------------------- races


def race(folder: str, number: str, what: str, *gates: str) -> None:
    """Do `what` once for every gate, when it closes."""
    mine = int(number)
    act = {
        "start": race_start,
        "create": race_create,
        "define": race_define,
        "revise": race_revise,
        "import": race_import,
        "import-equal": race_import_equal,
        "annotate": race_annotate,
    }[what]
    for turn, gate in enumerate(gates):
        experiment = None
        if what not in ("create", "define"):
            experiment = (
                me.Workspace(folder).Project("metals").Experiment("cu", params=None if what == "revise" else {"a": 1})
            )
        tell(ready=turn)
        os.read(int(gate), 1)
        try:
            tell(**act(folder, experiment, mine, turn))
        except MolexpError as error:
            tell(error=type(error).__name__, text=str(error))


def race_start(_folder: str, experiment: Any, mine: int, turn: int) -> dict[str, Any]:
    """Start one run that is not to be repeated."""
    run = experiment.Run({"turn": turn}, id=f"turn-{turn}")
    try:
        with run.start(if_succeeded="error") as ctx:
            ctx.set_result("by", mine)
            ctx.artifact.save("who.json", {"by": mine})
    except RunBusyError as error:
        return {"error": "RunBusyError" if error.pid and error.host else f"names nobody: {error}"}
    except RunFinishedError:
        return {"error": "RunFinishedError"}
    return {"executed": mine}


def race_create(folder: str, _experiment: Any, mine: int, turn: int) -> dict[str, Any]:
    """Create everything from the workspace down."""
    run = me.Workspace(f"{folder}-{turn}").Project("metals").Experiment("cu", params={"a": 1}).Run({"b": 2}, id="x")
    return {"token": run.definition()["token"], "created_at": run.created_at}


def race_define(folder: str, _experiment: Any, mine: int, turn: int) -> dict[str, Any]:
    """Define one experiment differently."""
    try:
        experiment = me.Workspace(folder).Project("metals").Experiment(f"turn-{turn}", params={"a": mine})
    except ConflictError as error:
        return {"conflict": error.stored["a"]}
    return {"defined": experiment.params["a"]}


def race_revise(_folder: str, experiment: Any, mine: int, turn: int) -> dict[str, Any]:
    """Update one experiment's definition, each to another."""
    revised = experiment.project.Experiment("cu", params={"by": mine, "turn": turn}, update=True)
    return {"revision": revised.revision}


def race_import(folder: str, experiment: Any, mine: int, turn: int) -> dict[str, Any]:
    """Import different content under one name."""
    source = Path(f"{folder}-source-{turn}-{mine}")
    source.write_text(f"content {turn} of {mine}")
    asset = experiment.data_assets.import_asset(f"ref-{turn}", source, action=("copy", "move")[mine % 2])
    return {"version": asset.version, "content": asset.read_bytes().decode(), "mine": f"content {turn} of {mine}"}


def race_import_equal(folder: str, experiment: Any, mine: int, turn: int) -> dict[str, Any]:
    """Import equal content under one name."""
    source = Path(f"{folder}-source-{turn}-{mine}")
    source.write_text(f"content {turn}")
    asset = experiment.data_assets.import_asset(f"ref-{turn}", source)
    return {"version": asset.version, "key": asset.key, "content": asset.read_bytes().decode()}


def race_annotate(_folder: str, experiment: Any, mine: int, turn: int) -> dict[str, Any]:
    """Tag and note one run."""
    experiment.Run({}, id=f"turn-{turn}").annotate(tags=[f"tag-{mine}"], note=f"note of {mine}")
    return {"tagged": mine}


# -------------------------------------------------------------------------------------------------------------- owners


def own(folder: str, name: str = "one") -> None:
    """Start a run and do what the lines say, until ``leave``."""
    run = me.Workspace(folder).Project("metals").Experiment("cu").Run({}, id=name)
    try:
        with run.start() as ctx:
            ctx.set_result("energy", 1.0)
            ctx.artifact.save("a.json", {"attempt": ctx.attempt})
            ctx.log("relax").append("begun")
            tell(attempt=ctx.attempt, pid=os.getpid())
            while (line := wait()) != "leave":
                tell(line=line, **obey(ctx, line))
    except MolexpError as error:
        tell(error=type(error).__name__, text=str(error))
    else:
        tell(left=True)


def obey(ctx: Any, line: str) -> dict[str, Any]:
    """Do what a line says; tell how it went."""
    try:
        match line.split():
            case ["result", name, value]:
                ctx.set_result(name, json.loads(value))
            case ["artifact", name, text]:
                ctx.artifact.save(name, text)
            case ["log", text]:
                ctx.log("relax").append(text)
            case ["metrics", value]:
                ctx.metrics.log(loss=float(value))
            case ["block"]:  # in one call, and in the main thread, until something interrupts it
                tell(blocking=True)
                signal.pause()
            case ["compute", limit]:  # without recording anything, and without a blocking call
                tell(blocking=True)
                end = time.monotonic() + float(limit)
                while time.monotonic() < end:
                    pass
            case ["command"]:
                tell(blocking=True)
                ctx.shell(["sleep", "600"])
            case ["look", name]:
                run = me.Workspace.load(ctx.run.home.store.url).run(f"metals/cu/{name}")
                return {"status": str(run.status)}
            case ["neighbour"]:  # another process in the same namespaces
                command = [sys.executable, __file__, "status", ctx.run.home.store.url.removeprefix("file://")]
                done = subprocess.run(command, input="go\n", capture_output=True, text=True, check=True)
                return dict(json.loads(done.stdout))
            case ["neighbour-dies"]:  # and what this process then sees of its run
                url = ctx.run.home.store.url
                command = [sys.executable, __file__, "own", url.removeprefix("file://")]
                with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as neighbour:
                    assert neighbour.stdout is not None
                    neighbour.stdout.readline()
                    neighbour.kill()
                run = me.Workspace.load(url).run("metals/cu/one")
                return {"status": str(run.status), "history": [dict(entry) for entry in run.execution_history]}
            case _:
                raise ValueError(line)
    except MolexpError as error:
        return {"refused": type(error).__name__}
    return {"done": True}


def track_one(folder: str) -> None:
    """Track the run ``one``."""
    with me.Workspace(folder).Project("metals").Experiment("cu").Run({}, id="one").start() as ctx:
        ctx.set_result("energy", 1.0)
        ctx.artifact.save("a.json", {"attempt": ctx.attempt})
        ctx.log("relax").append("begun")


def take_over(folder: str, wait_for: str) -> None:
    """Start the run ``one`` again, as soon as that can be done."""
    run = me.Workspace.load(folder).run("metals/cu/one")
    with run.start(wait=float(wait_for)) as ctx:
        ctx.set_result("energy", 2.0)
        ctx.artifact.save("a.json", {"attempt": ctx.attempt})
        ctx.log("relax").append(f"attempt {ctx.attempt}")
        tell(attempt=ctx.attempt)
    tell(left=True)


def own_in_thread(folder: str) -> None:
    """Own the run ``one`` outside of the main thread, recording until that is refused."""

    def work() -> None:
        run = me.Workspace(folder).Project("metals").Experiment("cu").Run({}, id="one")
        try:
            with run.start() as ctx:
                tell(attempt=ctx.attempt)
                while True:
                    ctx.set_result("energy", 1.0)
        except MolexpError as error:
            tell(error=type(error).__name__, text=str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def own_many(folder: str, count: str) -> None:
    """Own many short runs, each of which is asked to stop while it goes on."""
    experiment = me.Workspace(folder).Project("metals").Experiment("cu")
    for number in range(int(count)):
        run = experiment.Run({}, id=f"r{number}")
        try:
            with run.start():
                run.cancel()
                for _ in range(number * 2000):  # so that the beat finds it at different places
                    pass
        except RunCancelledError:
            pass
        tell(end=str(run.status))
    tell(left=True)


def cancel(folder: str) -> None:
    """Ask the run ``one`` to stop."""
    me.Workspace.load(folder).run("metals/cu/one").cancel("enough of it")
    tell(asked=True)


def status(folder: str, read_only: str = "") -> None:
    """Tell what is known of the run ``one``, whenever a line asks."""
    ws = me.Workspace.load(folder, read_only=bool(read_only))
    while wait():
        run = ws.run("metals/cu/one")
        tell(
            status=str(run.status),
            catalog=[str(row.status) for row in ws.catalog.runs()],
            history=[dict(entry) for entry in run.execution_history],
            pid=os.getpid(),
        )


# -------------------------------------------------------------------------------------------------------------- storage


def fill(ballast: Path) -> None:
    """Leave no byte free."""
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def on_full_disk(folder: str, last: str) -> None:
    """Meet a full disk with every kind of change, go on when there is space again, and be killed or leave."""
    ballast, elsewhere = Path(folder, "ballast"), Path(os.environ["TMPDIR"], "source.bin")
    elsewhere.write_bytes(b"y" * 9000)
    ws = me.Workspace(folder)
    experiment = ws.Project("metals").Experiment("cu")
    with experiment.Run({}, id="before").start() as ctx:
        ctx.set_result("energy", 1.0)
        ctx.artifact.save("a.txt", "a" * 9000)
        ctx.log("relax").append("begun")
    run = experiment.Run({}, id="one")
    try:
        with run.start() as ctx:
            changes = {
                "result": lambda n: ctx.set_result(f"r{n}", "x" * 9000),
                "artifact": lambda n: ctx.artifact.save(f"a{n}.txt", "x" * 9000),
                "replaced": lambda n: ctx.artifact.save("same.txt", f"{n}" * 9000),
                "large": lambda n: ctx.artifact.save(f"l{n}.bin", b"x" * (1 << 21)),
                "log": lambda n: ctx.log("relax").append(f"{n} " + "x" * 9000),
                "metrics": lambda n: ctx.metrics.log(step=n, text="x" * 9000),
                "data": lambda n: experiment.data_assets.import_asset(f"d{n}", elsewhere),
                "tag": lambda n: run.annotate(tags=[f"tag{n}"], note="x" * 9000),
                "run": lambda n: experiment.Run({"text": "x" * 9000}, id=f"run-{n}"),
                "new log": lambda n: ctx.log(f"log{n}").append("x" * 9000),
            }
            for name, change in changes.items():
                done, refused = [], ""
                for number in range(3):
                    change(number)
                    done.append(number)
                    if number == 1:
                        fill(ballast)
                        for spare in range(100, 200):
                            try:
                                change(spare)
                                done.append(spare)  # there was room in a page
                            except MolexpError as error:
                                refused = f"{type(error).__name__}: {error}"
                                break
                        ballast.unlink()
                tell(change=name, done=done, refused=refused)
            if last == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if last == "full":
                fill(ballast)
    except MolexpError as error:
        tell(error=type(error).__name__, text=str(error), status=str(run.status))
        ballast.unlink()
        ctx.finish()
    tell(status=str(run.status))


def verify_full_disk(folder: str) -> None:
    """Afterwards, and in another process: all that was done is there, and hangs together."""
    told = json.loads(wait())
    done = {report["change"]: report["done"] for report in told if "change" in report}
    lab = Path(folder)
    ws = me.Workspace.load(folder)
    checks.check_record(ws, lab, fragments=True, late=True)
    before, run = ws.run("metals/cu/before"), ws.run("metals/cu/one")
    assert before.status == "succeeded"
    assert before.results == {"energy": 1.0}
    assert {f"r{n}" for n in done["result"]} <= run.results.keys()
    assert all(run.asset(f"a{n}.txt").load() == "x" * 9000 for n in done["artifact"])
    assert run.asset("same.txt").load() == f"{done['replaced'][-1]}" * 9000
    assert all(run.asset(f"l{n}.bin").size == 1 << 21 for n in done["large"])
    assert set(done["log"]) <= {
        int(line.split()[0]) for line in run.logs["relax"].text().splitlines() if len(line) > 9000
    }
    assert set(done["metrics"]) <= {point["step"] for point in run.asset("metrics").load()}
    assert {f"d{n}" for n in done["data"]} <= set(run.experiment.data_assets)
    assert {f"tag{n}" for n in done["tag"]} <= run.tags
    assert {f"run-{n}" for n in done["run"]} <= {other.id for other in run.experiment.runs}
    assert all(run.logs[f"log{n}"].text() == "x" * 9000 + "\n" for n in done["new log"])
    caches = Path(os.environ["TMPDIR"])
    checks.check_catalog(lab, {"shared": Path(os.environ["MOLEXP_CACHE_DIR"])}, caches / "rebuilt")
    tell(status=str(run.status))


def change_nothing(folder: str) -> None:
    """Read all there is, and fail to change any of it; tell how."""
    ws = me.Workspace.load(folder)
    run = ws.run("metals/cu/one")
    experiment = run.experiment
    told: dict[str, Any] = {
        "status": str(run.status),
        "results": run.results,
        "artifact": run.asset("a.json").load(),
        "rows": {row.path: str(row.status) for row in ws.catalog.runs()},
        "assets": len(ws.catalog.assets()),
        "findings": [finding.what for finding in ws.fsck().findings],
    }
    source = Path(os.environ["TMPDIR"], f"source-{os.getpid()}.txt")
    source.write_text("content")
    changes = {
        "project": lambda: ws.Project("other"),
        "run": lambda: experiment.Run({"x": 1}),
        "start": lambda: ws.run("metals/cu/two").start(),
        "annotate": lambda: run.annotate(tags=["x"]),
        "delete": lambda: ws.run("metals/cu/two").delete(),
        "import": lambda: experiment.data_assets.import_asset("x", source),
        "configure": lambda: ws.configure(durability="never"),
    }
    refused = {}
    for name, change in changes.items():
        try:
            change()
        except MolexpError as error:
            refused[name] = type(error).__name__ if str(error) else "says nothing"
    tell(**told, refused=refused)


def as_nobody(folder: str) -> None:
    """The same, as a user who may read and not write, the interpreter's own files perhaps not even read."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:  # what it takes is found out by a child that may, on a copy
        os.close(1)
        os.open(os.devnull, os.O_WRONLY)
        trial = Path(os.environ["TMPDIR"], "trial")
        os.environ["MOLEXP_CACHE_DIR"] = str(trial / "cache")
        shutil.copytree(folder, trial / "lab")
        change_nothing(str(trial / "lab"))
        os.write(writer, "\n".join(sys.modules).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as names:
        for name in names.read().split("\n"):
            importlib.import_module(name)
    os.waitpid(pid, 0)
    shutil.rmtree(Path(os.environ["TMPDIR"], "trial"))
    os.setgid(65534)
    os.setuid(65534)
    change_nothing(folder)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
