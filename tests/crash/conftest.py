"""Processes: written as functions of a script, told what to do by lines on their standard input."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import warm

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent


class Zygotes:
    """Two warmed processes that run cases; see `zygote`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.processes = [
            subprocess.Popen(
                [sys.executable, str(HERE / "zygote.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=folder,
                env=dict(environment),
            )
            for _ in range(2)
        ]
        self.warmed: set[tuple[int, str]] = set()

    def ask(self, process: subprocess.Popen[str], request: Mapping[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({**request, "folder": str(self.folder)}) + "\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return answer

    def run(self, requests: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Run all cases; returns each with its answer, in no particular order."""
        waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        for request in requests:
            waiting.put(request)
        answers: list[tuple[dict[str, Any], dict[str, Any]]] = []

        def drive(process: subprocess.Popen[str]) -> None:
            if (warm := (process.pid, requests[0]["case"])) not in self.warmed:
                self.ask(process, {**requests[0], "warm": True})
                self.warmed.add(warm)
            while True:
                try:
                    request = waiting.get_nowait()
                except queue.Empty:
                    return
                answers.append((request, self.ask(process, request)))

        threads = [threading.Thread(target=drive, args=[process]) for process in self.processes[: len(requests)]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == len(requests), "a zygote died"
        return answers

    def close(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(300)
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture(scope="session")
def crash_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the distribution of the killing backend."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(HERE / "killing.py", folder / "molexp_killing.py")
    info = folder / "molexp_killing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: molexp-killing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[molexp.plugins]\nkilling = molexp_killing\n")
    (info / "RECORD").write_text("molexp_killing.py,,\n")
    return folder


def environment(*paths: Path, **more: str) -> dict[str, str]:
    """The environment of a child, with `paths` to import from."""
    path = os.pathsep.join([*map(str, paths), str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **more}


@pytest.fixture(scope="module")
def zygotes(tmp_path_factory: pytest.TempPathFactory, crash_site: Path) -> Iterator[Zygotes]:
    made = Zygotes(tmp_path_factory.mktemp("cases"), environment(crash_site))
    yield made
    made.close()


class Actor:
    """A process that does one thing of `actors`, reports by lines, and is told by lines what to do."""

    def __init__(
        self, command: list[str], environ: Mapping[str, str], folder: Path, gates: tuple[int, ...] = ()
    ) -> None:
        self.process = warm.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=dict(environ),
            pass_fds=gates,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def say(self, line: str = "go") -> None:
        """Tell it something."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Its next report; waits for it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the process ended with {self.process.wait(300)} instead of reporting"
        report: dict[str, Any] = json.loads(line)
        return report

    def ask(self, line: str = "go") -> dict[str, Any]:
        """Tell it something and wait for its answer."""
        self.say(line)
        return self.hear()

    def rest(self) -> list[dict[str, Any]]:
        """All that it still reports until it ends, which must be well."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        reports = [json.loads(line) for line in self.process.stdout]
        assert self.process.wait(300) == 0
        return reports

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self, *, reap: bool = True) -> None:
        """Kill it, and unless it is to be a zombie, wait until it is gone."""
        self.process.kill()
        if reap:
            self.process.wait(300)
        else:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(300)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass


class Stage:
    """Starts actors, and ends those that are left."""

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder = folder
        self.site = site
        self.lab = folder / "lab"
        self.actors: list[Actor] = []

    def start(
        self, name: str, *arguments: object, gates: tuple[int, ...] = (), prefix: tuple[str, ...] = (), **more: str
    ) -> Actor:
        command = [*prefix, sys.executable, str(HERE / "actors.py"), name, str(self.lab), *map(str, arguments)]
        return self._keep(Actor([*command, *map(str, gates)], environment(**more), self.folder, gates))

    def start_paused(self, name: str, suffix: str) -> tuple[Actor, int, int]:
        """An actor that reads a key ending in `suffix`, says so to the first descriptor, and waits for the second's end."""
        (heard, tell), (wait, release) = os.pipe(), os.pipe()
        more = {"PAUSE_AFTER": suffix, "PAUSE_TELL": str(tell), "PAUSE_WAIT": str(wait)}
        command = [sys.executable, str(HERE / "actors.py"), name, f"killing://{self.lab}"]
        actor = self._keep(Actor(command, environment(self.site, **more), self.folder, (tell, wait)))
        os.close(tell)
        os.close(wait)
        return actor, heard, release

    def script(self, script: str, prefix: tuple[str, ...]) -> Actor:
        """A shell script; its ``$1`` is this Python, its ``$2`` the actors."""
        command = [*prefix, "sh", "-c", script, "sh", sys.executable, str(HERE / "actors.py")]
        return self._keep(Actor(command, environment(), self.folder))

    def close(self) -> None:
        for actor in self.actors:
            actor.close()

    def _keep(self, actor: Actor) -> Actor:
        self.actors.append(actor)
        return actor


@pytest.fixture
def stage(tmp_path: Path, crash_site: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, crash_site)
    yield made
    made.close()
