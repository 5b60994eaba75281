"""Types of objects: their names, and those of libraries that are not imported here.

A value can be of such a type only where somebody has imported its library.
"""

from __future__ import annotations

import sys
from typing import Any


def type_name(value: object) -> str:
    """Return the full name of an object's class; that of a built-in one without its module."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def loaded_types(module: str, *names: str) -> tuple[type[Any], ...]:
    """Return the types of those names in a module; none if it is not imported."""
    found = sys.modules.get(module)
    return tuple(getattr(found, name) for name in names if hasattr(found, name))
