"""One case: a workspace is mutated, commands are run on it, and what they did is judged."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import attrs

import molexp as me
from molexp.errors import MolexpError
from molexp_cli import _failing, _main
from tests.fuzz.building import CANARY, Entry, Places, put, take
from tests.fuzz.mutating import mutate

LARGEST = 64 << 20  # bytes of a file that a command may write: the workspace is small
PROGRAM = Path(sys.executable).with_name("molexp")
PATIENCE = 300.0  # seconds that a command may take
SAMPLE = 0.02  # of the cases, in which the program itself is run, too
MEMORY = 1 << 30  # bytes that a case may take beyond what is imported
_NO_DOCUMENT = re.compile(r"/\.molexp/|/artifacts/|/checkpoints/|/data/[^/]+/[^/]+/")
RUN = "projects/{}/experiments/{}/runs/{}"

Rows = dict[str, Any]
"""Return what `runs list --json` says, by the runs' paths."""


@attrs.define
class Case:
    """Hold what a case plays with, and what it found.

    Attributes:
        places: where.
        choice: decides everything.
        tell: says which command comes next, to whoever waits for its end.
        before: the rows of the workspace as it was.
        what: the mutation, and where it was.
        wrong: what must not be.
        said: what the commands said, by themselves, with their codes.
    """

    places: Places
    choice: random.Random
    tell: Callable[[str], None]
    before: Rows
    what: tuple[str, str] = ("", "")
    wrong: list[str] = attrs.field(factory=list)
    said: dict[str, tuple[int, str, str]] = attrs.field(factory=dict)

    def affected(self, path: str) -> bool:
        """Tell whether the mutation may change what is true of a run."""
        where = self.what[1]
        if not where.startswith("lab"):
            return False
        where = where.removeprefix("lab").lstrip("/")
        if where.startswith(".molexp"):  # derived; but a lease is what a living run lives by
            return where in (".molexp", ".molexp/live") or where.startswith(f".molexp/live/{path.replace('/', '~')}~")
        run = RUN.format(*path.split("/"))
        shared = where in run or (
            where.endswith(".json") and where.rpartition("/")[0] in run
        )  # its own or an upper folder
        return shared or where.startswith(run)

    def is_gone(self, path: str) -> bool:
        """Tell whether nothing is left of a run at its place, or an edit says so: that needs no word."""
        folder = self.places.lab / RUN.format(*path.split("/"))
        deleted = "/edits/" in self.what[1] and b'"delete"' in (self.places.base / self.what[1]).read_bytes()
        linked = (self.places.base / self.what[1]).is_symlink() and not self.what[1].endswith(".json")
        return (
            deleted or linked or not (folder / "run.json").exists()
        )  # what is behind a link is no run: `verify` says so


# -------------------------------------------------------------------------------------------------------------- commands


def _captured(case: Case, name: str, act: Callable[[], int]) -> tuple[int, str, str]:
    """Run something; note what it prints, and whether it failed in a way that nobody foresaw."""
    case.tell(name)
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True) for _ in range(2)]
    code = -1
    try:
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            code = act()
    except (MolexpError, OSError) as error:
        code = 4
        streams[1].write(str(error))
    except BaseException:  # noqa: BLE001 - that is what is looked for
        case.wrong.append(f"{name}: {traceback.format_exc()}")
    out, err = (stream.buffer.getvalue().decode("utf-8", "replace") for stream in streams)
    if CANARY.decode() in out + err:
        case.wrong.append(f"{name} printed what lies outside")
    if "Traceback (most" in err:
        case.wrong.append(f"{name}: {err}")
    case.said[name] = code, out, err
    return code, out, err


def command(case: Case, *arguments: str) -> tuple[int, str, str]:
    """Run a command line in this process."""
    return _captured(case, " ".join(arguments), lambda: _main.run(("-w", str(case.places.lab), *arguments)))


def sync(case: Case, *options: str) -> None:
    """Sync it to elsewhere."""
    arguments = ("sync", str(case.places.lab), str(case.places.here / "mirror"), *options)
    _captured(case, " ".join(("sync", *options)), lambda: _main.run(arguments))


def real(case: Case) -> None:
    """The program itself, in a process of its own."""

    def act() -> int:
        words = [str(PROGRAM), "-w", str(case.places.lab), "runs", "list"]
        done = subprocess.run(words, capture_output=True, check=False, timeout=PATIENCE)
        sys.stdout.buffer.write(done.stdout)
        sys.stderr.buffer.write(done.stderr)
        return done.returncode

    _captured(case, "the program", act)


def track(case: Case) -> None:
    """Track a run; what it acknowledged is there."""

    def act() -> int:
        exp = me.Workspace(case.places.lab).Project("new").Experiment("exp")
        with exp.Run({"n": 1}).start() as ctx:
            ctx.set_result("x", 1)
            asset = ctx.artifact.save("a.json", {"v": 1})
        run = me.Workspace.load(case.places.lab).run(ctx.run.path)
        if (run.status, run.results, run.asset("a.json").load()) != ("succeeded", {"x": 1}, {"v": 1}) or asset is None:
            case.wrong.append(f"a new run was acknowledged, and is {run.status} with {run.results}")
        return 0

    _captured(case, "a new run", act)


def commands(case: Case) -> list[Callable[[Case], object]]:
    """Return the commands that may be run, in some order."""
    runs = [path for path in case.before if case.affected(path)] or list(case.before)
    run = case.choice.choice(runs)
    assets = ("metals:data:tree@1", ".:data:shared@1", "metals/cu/done#1:artifact:a.json@1", f"{run}:a.json")
    asset = case.choice.choice(assets)
    here = str(case.places.here / "got")
    simple = (
        *(("show", run), ("show", run, "--json"), ("show", "@latest"), ("logs", run), ("logs", run, "train")),
        *(
            ("runs", "list", "params.n > 1 or results.x in [1, 2]"),
            ("runs", "list", "-t", "good", "--sort", "-params.n"),
        ),
        *(("assets", "list"), ("assets", "list", "--json"), ("assets", "get", asset, here), ("lineage", run)),
        *(("catalog", "verify"), ("catalog", "rebuild"), ("catalog", "compact"), ("catalog", "unreadable")),
        *(("fsck",), ("fsck", "--read-data"), ("fsck", "--repair"), ("gc",), ("gc", "--yes")),
        ("compare", *case.choice.sample(list(case.before), 2)),
        *(("report", "-o", f"{here}.html", "--overwrite"), ("export", "--format", "jsonl")),
        *(("export", *form, "-o", f"{here}.zip", "--overwrite") for form in ((), ("--format", "ro-crate"))),
    )
    several = (*(lambda case: sync(case, "--dry-run"), sync, lambda case: sync(case, "--check"), track, track),)
    return [*(lambda case, words=words: command(case, *words) for words in simple), *several]


# -------------------------------------------------------------------------------------------------------------- judging


def rows(case: Case, name: str = "runs list --json") -> Rows | None:
    """Return what there is now; None if that is refused."""
    code, out, err = _captured(case, name, lambda: _main.run(("-w", str(case.places.lab), "runs", "list", "--json")))
    if code not in (0, 1):
        if not err.strip():
            case.wrong.append(f"{name}: exit code {code} without a word")
        return None
    try:
        found = json.loads(out)
    except (ValueError, RecursionError) as error:
        case.wrong.append(f"{name}: no JSON ({error}): {out[:200]!r} {err[:200]!r}")
        return None
    found = [dict(row["$dict"]) if "$dict" in row else row for row in found]  # of a run.json with a name like "$x"
    return {f"{row['project']}/{row['experiment']}/{row['id']}": row for row in found}


def compare(case: Case, now: Rows | None, name: str) -> None:
    """Check that what was not touched answers as before, and that what is missing is named."""
    if now is None:
        untouched = all(not case.affected(path) for path in case.before)
        if untouched and case.what[1] not in case.said[name][2]:  # the user's own settings
            case.wrong.append(f"{name}: refused, though nothing of the record changed: {case.said[name][2][:500]}")
        return
    for path, row in case.before.items():
        if not case.affected(path):
            if path not in now:
                case.wrong.append(f"{name}: {path} is missing, which was not touched")
            elif now[path] != row:
                changed = [key for key in row if now[path].get(key) != row[key]]
                case.wrong.append(f"{name}: {path} is changed, which was not touched: {changed}")
        elif path not in now and not case.is_gone(path) and not case.said[name][2].strip():
            case.wrong.append(f"{name}: {path} is missing without a word")


def judge_naming(case: Case) -> None:
    """A document that is none any more is named by `fsck`, and a run that is left out by the catalog."""
    path = case.places.base / case.what[1]
    if not case.what[1].startswith("lab/") or path.suffix != ".json" or _NO_DOCUMENT.search(case.what[1]):
        return
    try:
        if path.is_symlink() or not path.is_file() or isinstance(json.loads(path.read_bytes().strip(b"\0")), dict):
            return
    except (ValueError, RecursionError):
        pass
    code, out, err = command(case, "fsck")
    if code == 0 or case.what[1].removeprefix("lab/") not in out + err:
        case.wrong.append(f"fsck names no {case.what[1]}: {code} {out[:2000]} {err[:500]}")


def judge_files(case: Case, outside: list[Entry]) -> None:
    """Nothing outside was touched, and nothing of it came in."""
    if take(case.places.outside) != outside:
        changed = {entry.path for entry in {*take(case.places.outside)} ^ {*outside}}
        case.wrong.append(f"something outside was changed: {sorted(changed)}")
    for root in (case.places.lab, case.places.here, case.places.cache):
        for at, _, names in os.walk(root):
            for name in names:
                path = os.path.join(at, name)
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                if os.path.getsize(path) > LARGEST:
                    case.wrong.append(f"{path} has {os.path.getsize(path)} bytes")
                    continue
                with contextlib.suppress(OSError), open(path, "rb") as file:
                    if CANARY in file.read():
                        case.wrong.append(f"{path} came from outside")


@contextlib.contextmanager
def _watched(case: Case) -> Iterator[None]:
    """Errors that are no MolExp's and are told as if they were a user's mistake are wrong as well."""
    answer = _failing.answer

    def watching(error: Exception, arguments: Any) -> int | None:
        foreign = isinstance(error, ValueError | TypeError) and not isinstance(error, MolexpError)
        if foreign and type(error).__module__ in ("builtins", "json.decoder", "sqlite3"):
            text = "".join(traceback.format_exception(error))
            case.wrong.append(f"{' '.join(arguments)}: taken for a user's mistake: {text}")
        return answer(error, arguments)

    with patch.object(_main, "answer", watching):
        yield


def play(request: dict[str, Any], places: Places, taken: list[Entry], before: Rows, tell: Callable[[str], None]) -> Any:
    """Play a case, in a process of its own."""
    faulthandler.dump_traceback_later(0.9 * PATIENCE)
    warnings.simplefilter("ignore")
    choice = random.Random(f"{request['seed']}-{request['case']}")
    put(taken)
    outside = [entry for entry in taken if Path(entry.path).is_relative_to(places.outside)]
    case = Case(places, choice, tell, before)
    case.what = mutate(choice, places)
    tell(f"mutated: {case.what[1]}: {case.what[0]}")
    _limit()
    os.chdir(places.here)
    with _watched(case):
        first = choice.random() < 0.7
        if first:
            compare(case, rows(case), "runs list --json")
        for act in choice.sample(commands(case), 4):
            act(case)
        if choice.random() < SAMPLE:
            real(case)
        os.environ["MOLEXP_CACHE_DIR"] = str(places.base / "another")
        now = rows(case, "runs list --json, with a new index")
        if not any(name.startswith(("gc --yes", "fsck --repair", "a new run")) for name in case.said):
            compare(case, now, "runs list --json, with a new index")
            judge_naming(case)
    judge_files(case, outside)
    return {"what": case.what, "wrong": case.wrong, "said": {name: said[0] for name, said in case.said.items()}}


def _limit() -> None:
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * LARGEST, 4 * LARGEST))


def clear(places: Places) -> None:
    """Nothing is left of a case."""
    for path in list(places.base.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
