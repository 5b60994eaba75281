"""Hash the code of a task: one hash of everything that decides what it does, or "unknown", never a guess.

Counted are the normalised source (no comments, no formatting, not the task's own name and decorators; docstrings do
count); default values, closure variables, arguments of partials and attributes of instances; and, transitively, what
the code names: functions and classes by their source, other module-level names by the statements that bind them, by
the code that they hold, and by their values, unless those follow from the clock or the like, or the code itself
changes them. That goes for all code but what is installed: of the standard library, site-packages and MolExp a name
counts by module and name only, and objects by what they hold. A local module that is imported when the task runs, or
handed around as a whole, counts with all its text. A decorator's text does not count, but a wrapper that it left
around the function does: it is code that runs.

A live code object is what a file says only if compiling that file gives the same code again. Nothing of the user's is
executed: no property, no ``__getattr__``, no ``__repr__``. Ask when the task's module is complete: a helper that is
not defined yet counts by its statement.
"""

from __future__ import annotations

from msgspec import Struct

from molexp._code.locations import is_molexp
from molexp._code.objects import innermost, origin_of
from molexp._code.syntax import UnknownSourceError
from molexp._code.walk import Walk, digest

__all__ = ["UNKNOWN", "Code", "code_of"]

UNKNOWN = "unknown"
"""The code of what has no source, or whose source is not what runs. It never equals anything."""


class Code(Struct, frozen=True):
    """The code of a task.

    Attributes:
        hash: "sha256:...", or "unknown", which is to be taken for changed.
        why: the reason if it is unknown.
    """

    hash: str
    why: str = ""


def code_of(obj: object) -> Code:
    """Return the code of a task.

    Args:
        obj: a function of any sort, a partial, a bound method, a class or an instance with a method ``execute``.
    """
    try:
        file = origin_of(innermost(obj))
        if file and is_molexp(file):  # a command as a task: another version of MolExp is no other task
            file = None
        return Code("sha256:" + digest(Walk(file, None).all_of(obj)))
    except UnknownSourceError as error:
        return Code(UNKNOWN, str(error))
    except RecursionError:
        return Code(UNKNOWN, "its parts are nested too deep")
