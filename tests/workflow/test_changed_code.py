"""A resume executes a task again whose code was changed in any way; what is no change, it does not.

Each cell is a small project, with ``VALUE`` where the change is: 1 before, 2 after. What the task returns says that the
change matters, and what the resume returns that it was not missed.
"""

from __future__ import annotations

import itertools
import sys
import textwrap

import pytest

import molexp as me
from molexp.workflow import WorkflowBuilder
from tests.workflow.changes_of_modules import MODULES
from tests.workflow.changes_of_names import NAMES
from tests.workflow.changes_of_tasks import TASKS

CHANGED = "its code changed"
UNKNOWN = "nobody can tell whether it changed"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A function: write files to a new folder, import `flow` from there, and execute its task under one run."""
    run = me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run(id="one")
    number = itertools.count()

    def forget(files):
        made = {part.removesuffix(".py") for name in files for part in name.split("/")}
        for name in [name for name in sys.modules if name.partition(".")[0] in made]:
            del sys.modules[name]

    def execute(files, value, resume):
        forget(files)
        folder = tmp_path / str(next(number))
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = textwrap.dedent(text).strip().replace("VALUE", str(value))
            path.write_text(f"{content}\n" if content else "")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", [str(folder / "site-packages"), str(folder / "src"), str(folder), *sys.path])
            patch.setattr(sys, "path_importer_cache", dict(sys.path_importer_cache))  # forgets these and relative ones
            patch.chdir(folder)
            import flow  # type: ignore[import-not-found]

            workflow = getattr(flow, "wf", None) or WorkflowBuilder("w").add(flow.task, name="task")
            result = workflow.build().execute_sync(run=run, resume=resume, check=True)
            forget(files)
            return result.tasks["task"]

    return execute


CELLS = {**TASKS, **NAMES, **MODULES}

UNFOLLOWED = {
    *("__subclasses__", "__subclasses__ in a method", "exec", "exec in the task", "eval", "string of code"),
    *("globals() of a function", "sys.modules", "from sys import modules", "frame", "runpy", "entry point", "pkgutil"),
    *("import_module of a computed name", "import_module in a helper", "module from a file"),
    *("random numbers in a closure", "numpy's random numbers in a closure", "count in a closure"),
    "array that a helper reads",
}
"""Ways that nothing can follow, so that the task is executed again although nothing changed."""

SAME_OUTPUT = {"shell command", "shell command function", "shell environment"}


def files_of(cell):
    return cell if isinstance(cell, dict) else {"flow.py": cell}


@pytest.mark.parametrize("cell", CELLS)
def test_a_change_is_seen_or_nobody_can_tell(project, cell):
    files = files_of(CELLS[cell])
    first = project(files, 1, False)
    same = project(files, 1, True)
    again = project(files, 2, True)

    assert not again.reused, f"it was taken for unchanged, and the old output {first.output!r} passes for the new one"
    assert again.reason == CHANGED or UNKNOWN in again.reason
    assert cell in SAME_OUTPUT or again.output != first.output, "the cell changes nothing"
    assert same.reused == (cell not in UNFOLLOWED), same.reason


USUAL = """
    import functools, logging, math, threading, time
    import numpy as np
    import helper
    log = logging.getLogger(__name__)
    LOCK = threading.Lock()
    STARTED = time.time()
    RNG = np.random.default_rng()
    LIMIT = 3
    CACHE = {}
    MODEL = None

    def get():
        global MODEL
        MODEL = MODEL or object()
        return MODEL

    def other(): return 1

    def task(ctx):
        log.info("started at %s", STARTED)
        with LOCK:
            CACHE[len(CACHE)] = RNG.random()
        get()
        return helper.f() * LIMIT * float(np.abs(1)) * math.pi
"""

SAME = {
    "comment": ("def other()", "# about it\n    def other()"),
    "formatting": ("LIMIT = 3", "LIMIT  = (3)"),
    "other function": ("def other(): return 1", "def other(): return 2"),
    "new function": ("def other()", "def another(): ...\n    def other()"),
    "new constant": ("LIMIT = 3", "LIMIT = 3\n    OTHER = 4"),
    "new import": ("import functools", "import json, functools"),
    "order": ("LIMIT = 3\n    CACHE = {}", "CACHE = {}\n    LIMIT = 3"),
    "statement that may change a library, below": ("* math.pi", "* math.pi\n\n    import json\n    json.dumps(3)"),
    "statement that changes the process": (
        "LIMIT = 3",
        "LIMIT = 3\n    import asyncio\n    asyncio.set_event_loop(None)",
    ),
    "statement of the script itself": (
        "LIMIT = 3",
        "LIMIT = 3\n    import json\n    if __name__ == '__main__': json.dumps(3)",
    ),
    "name of the function": ("def task(ctx):", "def renamed(ctx):"),
    "decorator": ("def task(ctx):", "def mark(n): return lambda f: f\n    @mark(retries)\n    def task(ctx):"),
    "nothing": ("LIMIT = 3", "LIMIT = 3"),
}


@pytest.mark.parametrize("cell", SAME)
def test_what_is_no_change_is_reused(project, cell):
    old, new = SAME[cell]
    helpers = "def f(): return 1\ndef g(): return VALUE"
    after = USUAL.replace(old, new).replace("retries", "3")
    assert project({"flow.py": USUAL, "helper.py": helpers}, 1, False).succeeded
    ended = "\n    task = renamed" if "renamed" in new else ""
    again = project({"flow.py": after + ended, "helper.py": helpers}, 2, True)
    assert again.reused, again.reason


@pytest.mark.parametrize("option", [{"retries": 2}, {"timeout": 60}, {"executor": "inline"}, {"backoff": 9}], ids=str)
def test_how_a_task_is_executed_does_not_count(tmp_path, option):
    run = me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run(id="one")

    def task(ctx):
        return 1

    WorkflowBuilder("w").add(task).build().execute_sync(run=run)
    result = WorkflowBuilder("w").add(task, **option).build().execute_sync(run=run, resume=True)
    assert result.tasks["task"].reused
