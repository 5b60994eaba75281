"""The marks of a walk over code: the things that it has met, and which of them read files or differ each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Marks:
    """The things that a walk has met, and what is to be known of each when it is met again."""

    def __init__(self) -> None:
        self.met: dict[object, tuple[int, object]] = {}
        self.passing = False  # something was met that says something else each time
        self.reading = False  # code was met that looks as if it read a file
        self._marked: dict[object, tuple[bool, bool]] = {}

    def again(self, key: object, keep: object) -> Any:
        """Return the form of a thing that was met before; None for a new one, which is kept, so that its id stays its own."""
        if key not in self.met:
            self.met[key] = (len(self.met), keep)
            return None
        passing, reading = self._marked.get(key, (False, False))
        self.passing, self.reading = self.passing or passing, self.reading or reading
        return ["again", self.met[key][0]]

    @contextmanager
    def marking(self, key: object) -> Iterator[None]:
        """Note at `key` what is found inside; it goes for what is around as well."""
        before = self.passing, self.reading
        self.passing = self.reading = False
        yield
        self._marked[key] = self.passing, self.reading
        self.passing, self.reading = self.passing or before[0], self.reading or before[1]
