"""Names of a module that are imported when they are first asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def late_names(asked: str, homes: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """Return the function ``__getattr__`` of a module, which takes these names from the modules that have them."""
    known = {name: home for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name not in known:
            raise AttributeError(f"module {asked!r} has no attribute {name!r}")
        found = vars(sys.modules[asked])[name] = getattr(import_module(known[name]), name)  # asked once
        return found

    return find
