"""A process that has built the workspace once, and forks a case for each line that it is sent."""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # this is a script

from molexp.plugins import default_manager
from tests.fuzz import playing
from tests.fuzz.building import Entry, Places, build, take
from tests.fuzz.playing import PATIENCE
from tests.warm.server import build_commands, compile_patterns


def in_a_fork(act: Callable[[Callable[[dict[str, Any]], None]], None]) -> tuple[list[dict[str, Any]], str]:
    """Run it in a process of its own; what it said, and why it did not come to its end, if so."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.setpgid(0, 0)
        code = 1
        try:
            act(lambda said: _all(writer, json.dumps(said).encode() + b"\n"))
            code = 0
        except BaseException:  # noqa: BLE001 - nothing may unwind into the code of the parent
            _all(writer, json.dumps({"error": traceback.format_exc()}).encode() + b"\n")
        finally:
            os._exit(code)
    os.close(writer)
    data, problem = b"", ""
    while True:
        if not select.select([reader], [], [], PATIENCE)[0]:
            problem = f"it hangs: nothing for {PATIENCE:.0f} s"
            os.kill(pid, signal.SIGKILL)
            break
        if not (chunk := os.read(reader, 1 << 16)):
            break
        data += chunk
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    if status and not problem:
        problem = f"it ended with {os.waitstatus_to_exitcode(status)}"
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()], problem


def _all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def prepare(places: Places) -> tuple[list[Entry], playing.Rows]:
    """Build it, and take it down; what lay there, and what was true."""
    os.environ["MOLEXP_CACHE_DIR"] = str(places.cache)
    os.environ["MOLEXP_CONFIG_DIR"] = str(places.config)
    os.environ.pop("MOLEXP_WORKSPACE", None)

    def make(tell: Callable[[dict[str, Any]], None]) -> None:
        build(places)
        places.here.mkdir()

    said, problem = in_a_fork(make)
    assert not problem, said
    taken = [entry for root in sorted(places.base.iterdir()) for entry in take(root)]

    def ask(tell: Callable[[dict[str, Any]], None]) -> None:
        case = playing.Case(places, Random(0), lambda _: None, {})
        case.before = playing.rows(case) or {}
        tell({"rows": case.before})
        for act in playing.commands(case):
            act(case)
        tell({"wrong": case.wrong, "modules": [*sys.modules]})

    said, problem = in_a_fork(ask)
    assert not problem, said
    assert not said[1]["wrong"], said[1]
    for name in said[1]["modules"]:
        importlib.import_module(name)
    default_manager().storage_backend("file")
    build_commands()  # for all cases
    compile_patterns()
    playing.clear(places)
    return taken, said[0]["rows"]


def main() -> None:
    """Serve requests, a line each, until the end of the input."""
    places = Places(Path(sys.argv[1]))
    taken, before = prepare(places)
    print(json.dumps(sorted(before)), flush=True)
    for line in sys.stdin:
        request = json.loads(line)

        def act(tell: Callable[[dict[str, Any]], None], request: dict[str, Any] = request) -> None:
            tell(playing.play(request, places, taken, before, lambda step: tell({"step": step})))

        said, problem = in_a_fork(act)
        steps = [one["step"] for one in said if "step" in one]
        unheard: dict[str, Any] = {"what": ["?", "?"], "wrong": [], "said": {}}
        answer = next((one for one in said if "wrong" in one), unheard)
        answer["wrong"] += [one["error"] for one in said if "error" in one]
        if problem:
            answer["wrong"].append(f"{problem}, after: {' | '.join(steps)}")
        playing.clear(places)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
