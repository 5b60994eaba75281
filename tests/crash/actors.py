"""Act as the processes of these tests. Run as ``actors.py NAME ARGUMENT...``; they report JSON lines on stdout."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import molexp as me
from molexp.errors import ConflictError, MolexpError, RunBusyError, RunCancelledError, RunFinishedError
from tests.crash.ledger_actors import everything, report, settle  # noqa: F401 - chosen by name
from tests.crash.rank_actors import rank_alone, rank_runs, rank_shared  # noqa: F401 - chosen by name
from tests.crash.storage_actors import as_nobody, change_nothing, fill, on_full_disk, verify_full_disk  # noqa: F401 - chosen by name
from tests.crash.talking import tell, wait
from tests.crash.user_actors import users  # noqa: F401 - chosen by name

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
    """Tell whether a status went back."""
    order = {"pending": 0, "running": 1}
    return row is not None and order.get(str(row.status), 2) < order.get(before, 2)


def look(folder: str) -> None:
    """Return what a process sees that comes afterwards, by the files and by the catalog."""
    ws = me.Workspace.load(folder, read_only=True)
    runs = ws.project("metals").experiment("cu").runs
    tell(
        files={run.path: [str(run.status), len(run.assets), run.results["number"]] for run in runs},
        catalog={row.path: [str(row.status), row.results["number"]] for row in ws.catalog.runs()},
        assets=sorted(asset.id for asset in ws.catalog.assets()),
        file_assets=sorted(asset.id for run in runs for asset in run.assets),
    )


# --------------------------------------------------------------------------------------------------------------- races


def race(_folder: str, number: str) -> None:
    """Race again and again, as the lines say: in which workspace, and for what."""
    while line := wait():
        given = json.loads(line)
        race_once(given["folder"], int(number), given["what"], given["gates"])


def race_once(folder: str, mine: int, what: str, gates: list[str]) -> None:
    """Do `what` once for every gate, a pipe, when nobody holds its other end any more."""
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
        with open(gate, "rb", buffering=0) as closing:
            tell(ready=turn)
            closing.read(1)
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
    return {"token": run._defined()["token"], "created_at": run.created_at}


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
                awake, woken = os.pipe()
                os.set_blocking(woken, False)
                signal.set_wakeup_fd(woken)  # signal.pause() would sleep through one that came right before it
                tell(blocking=True)
                os.read(awake, 1)
            case ["compute", limit]:  # without recording anything, and without a blocking call
                tell(blocking=True)
                end = time.monotonic() + float(limit)
                while time.monotonic() < end:
                    pass
            case ["command"]:
                tell(blocking=True)
                ctx.shell(["sleep", "600"])
            case ["look", name]:
                run = me.Workspace.load(ctx.run._session.store.url).run(f"metals/cu/{name}")
                return {"status": str(run.status)}
            case ["neighbour"]:  # another process in the same namespaces
                command = [sys.executable, __file__, "status", ctx.run._session.store.url.removeprefix("file://")]
                done = subprocess.run(command, input="go\n", capture_output=True, text=True, check=True)
                return dict(json.loads(done.stdout))
            case ["neighbour-dies"]:  # and what this process then sees of its run
                url = ctx.run._session.store.url
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


def report_of(_: str, folder: str) -> None:
    """`report` of another workspace."""
    report(folder)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
