"""Import the libraries whose objects are saved, when they are needed, and say how to install one that is missing."""

from __future__ import annotations

import sys
from importlib import import_module
from mmap import mmap
from typing import Any


def library(module: str, asset: str, *, package: str = "") -> Any:
    """Return a module of a library.

    Args:
        module: its name.
        asset: the asset that needs it, for the message.
        package: the name under which it is installed, if it is not that of the top module.

    Raises:
        ModuleNotFoundError: it is not installed; with the command that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise  # something that it needs itself
        name = package or top
        raise ModuleNotFoundError(
            f"{asset!r} needs {name}, which is not installed here: pip install {name}", name=top
        ) from error


def imported(module: str, name: str) -> tuple[type[Any], ...]:
    """Return a class as `isinstance` takes it; nothing if its library is not imported, because no object is of it then."""
    found = getattr(sys.modules.get(module), name, None)
    return (found,) if isinstance(found, type) else ()


def shorten(parts: list[str], most: int = 8) -> str:
    """Return the first of many words, and how many more there are."""
    left = len(parts) - most
    return ", ".join(parts[:most]) + (f" and {left} more" if left > 0 else "")


def class_name(obj: object) -> str:
    """Return the full name of an object's class, for messages."""
    cls = type(obj)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def is_in_memory(array: Any) -> bool:
    """Tell whether an array of numpy, and what it is a view of, has no file and no shared memory behind it."""
    above, below = None, array
    while below is not above:
        above, below = below, getattr(below, "obj" if isinstance(below, memoryview) else "base", None)
        if isinstance(below, mmap):
            return False
    return True
