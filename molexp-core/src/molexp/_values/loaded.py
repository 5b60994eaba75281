"""Types of libraries that are not imported here: a value can be of one only where somebody has imported its library."""

from __future__ import annotations

import sys
from typing import Any


def loaded_types(module: str, *names: str) -> tuple[type[Any], ...]:
    """Return the types of those names in a module; none if it is not imported."""
    found = sys.modules.get(module)
    return tuple(getattr(found, name) for name in names if hasattr(found, name))
