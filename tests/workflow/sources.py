"""Sources for the tests of what the code of a task is."""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from molexp._code import hashing

ROOT = Path(__file__).parents[2]
counter = itertools.count()


def code_of(obj):
    """The hash of the code of a task."""
    return hashing.code_of(obj).hash


TELL = f"from {hashing.__name__} import code_of; print(code_of(task).hash)\n"
"""Lines of a script that tell the hash of its function `task`."""


def load(folder, text, **others):
    folder.mkdir(parents=True)
    for name, content in {"flow": text, **others}.items():
        path = folder / (name.replace("__", "/", 1) + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(content))
    for name in [name for name in sys.modules if name.partition(".")[0] in {"flow", *others, "sub"}]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        return importlib.import_module("flow")
    finally:
        sys.path.remove(str(folder))


def fresh(text, subject, folder, seed="random", cwd=None):
    """The hash that another process finds."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "flow.py").exists():  # a file that is written again just after it was compiled is not believed
        (folder / "flow.py").write_text(textwrap.dedent(text))
    code = f"import flow; from tests.workflow.sources import code_of; print(code_of({subject}))"
    return printed(code, cwd or folder, seed, f"{folder}{os.pathsep}{ROOT}").strip()


def all_fresh(forms, folder, seed):
    """The hashes that one other process finds of the objects of several texts."""
    folder.mkdir()
    code = f"""
from pathlib import Path
from tests.workflow.sources import code_of, load
for number, (text, subject) in enumerate({forms!r}):
    print(code_of(eval(subject, vars(load(Path.cwd() / str(number), text)))))
"""
    return printed(code, folder, seed, str(ROOT)).split()


def printed(code, cwd, seed, path):
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=True).stdout


TASK = """
import functools, math, time
CUTOFF = 5.0
START = time.time()
TABLE = {"a": 1}
def mark(retries=1):
    return lambda function: function
def helper(x):
    return x * CUTOFF
@mark(retries=1)
def task(ctx):
    "Relax."
    return helper(2) + START + TABLE["a"] + math.pi
"""


def changed(old, new):
    assert old in TASK
    return TASK.replace(old, new)
