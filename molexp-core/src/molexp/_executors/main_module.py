"""The script that is being executed: each worker imports it anew, which must not start the work again."""

from __future__ import annotations

import ast
import functools
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

UNGUARDED = 97
"""Exit code of a worker that comes upon the submitting of calls while it imports the script."""

_KNOWS = {"__name__", "current_process", "parent_process"}  # a test of one of these tells a worker from the script


def advice(path: str) -> str:
    """Return the advice for a script that lacks the guard."""
    return (
        f"Worker processes import your script, {path}, which would start its work again in each of them: "
        'put the code that starts it below `if __name__ == "__main__":`.'
    )


def script() -> str:
    """Return the file that workers will import as the main module; "" if there is none."""
    main = sys.modules.get("__main__")
    name = getattr(getattr(main, "__spec__", None), "name", "")
    if name == "__main__" or name.endswith(".__main__"):
        return ""
    return str(getattr(main, "__file__", None) or "")


def unguarded() -> str:
    """Return the script, if its top level is being executed and has no guard; otherwise ""."""
    path = script()
    if not path or not _is_running(path) or _has_guard(path):
        return ""
    return path


def _is_running(path: str) -> bool:
    """Tell whether the main thread is in the top level of the main module, and not, say, at a prompt after it."""
    frame: FrameType | None = sys._current_frames().get(threading.main_thread().ident or 0)
    module = vars(sys.modules["__main__"])
    while frame is not None:
        if frame.f_globals is module and frame.f_code.co_name == "<module>" and frame.f_code.co_filename == path:
            return True
        frame = frame.f_back
    return False


@functools.cache
def _has_guard(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return True  # nobody can tell; a worker will
    return any(_mentions(test) for test in _tests(tree))


def _tests(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the conditions at the top level."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(child, ast.If | ast.IfExp | ast.While):
            yield child.test
        elif isinstance(child, ast.BoolOp):
            yield child
        elif isinstance(child, ast.Match):
            yield child.subject
        yield from _tests(child)


def _mentions(test: ast.AST) -> bool:
    named: list[Any] = [getattr(node, "id", None) or getattr(node, "attr", None) for node in ast.walk(test)]
    return not _KNOWS.isdisjoint(named)
