"""Regular expressions that are compiled when they are first used: a short process uses few of those that there are."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

__all__ = ["late"]


class _Late:
    def __init__(self, pattern: Any, flags: int) -> None:
        self._given = pattern, flags

    def __reduce__(self) -> tuple[Any, ...]:
        """Be copied and pickled as the compiled pattern: who sends functions by their code sends their globals, too."""
        return re.compile, self._given

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(*self._given), name)
        setattr(self, name, found)  # asked once
        return found


def late(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what is used like the compiled pattern, and is compiled when a method is first asked for."""
    return cast("re.Pattern[AnyStr]", _Late(pattern, flags))
