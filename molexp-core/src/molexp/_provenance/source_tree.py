"""Find the code that a process executes, and its working tree."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import FrameType

from molexp._values.paths import OWN_FOLDER

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_PROGRAMS = frozenset({"bin", "Scripts"})
_STDLIB = os.path.dirname(os.path.abspath(os.__file__))


def calling_files() -> list[str]:
    """Return the files of the functions that this thread is executing, innermost first."""
    names: dict[str, None] = {}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        names[frame.f_code.co_filename] = None
        frame = frame.f_back
    return [os.path.abspath(name) for name in names if not name.startswith("<")]


def code_folder(callers: Iterable[str]) -> str:
    """Return the folder of the code: of the main script, else of the files that called, the first that is in a working tree.

    A launcher's script, an installed program or a module of the standard library is no main script of the user's. Where
    no file is the user's, as in a notebook, it is the current folder. "" if there is none.
    """
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    files = filter(is_users, [main, *callers] if isinstance(main, str) else callers)
    folders = [os.path.dirname(os.path.abspath(file)) for file in files]
    try:
        return next(filter(repository_of, folders), folders[0] if folders else os.getcwd())
    except OSError:  # the current folder was removed
        return ""


def repository_of(folder: str) -> str:
    """Return the nearest folder, from this one upwards, that git has a working tree in; "" if there is none."""
    while not os.path.lexists(os.path.join(folder, ".git")):
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            return ""
    return folder


def is_users(file: str) -> bool:
    """Tell whether a file is there, and neither installed nor a part of Python or of MolExp."""
    path = os.path.realpath(file)
    folders = path.split(os.sep)[:-1]
    environment = sys.prefix.rstrip(os.sep).split(os.sep)
    is_program = folders[:-1] == environment and folders[-1] in _PROGRAMS
    is_python = path.startswith((_STDLIB + os.sep, OWN_FOLDER + os.sep, os.path.realpath(_STDLIB) + os.sep))
    return not (is_program or is_python) and _INSTALLED.isdisjoint(folders) and os.path.isfile(path)
