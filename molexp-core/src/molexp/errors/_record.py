"""Errors about names, values and documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from molexp.errors._base import MolexpError, nearest_names

_BEFORE, _AFTER = 50, 30  # characters of a long line that are shown around a position


class ConflictError(MolexpError):
    """A definition exists under this name and differs from the one given. Nothing was changed.

    Attributes:
        what: the sort of thing ("experiment", "run", ...).
        name: its path.
        stored: the value in the record.
        given: the value that the caller gave.

    Example:
        >>> try:
        ...     exp.Run({"a": 4.0}, id="cu-small")  # exists with a=3.5
        ... except me.ConflictError as error:
        ...     print(error.stored, error.given)
        {'parameters': {'a': 3.5}} {'parameters': {'a': 4.0}}
    """

    def __init__(self, what: str, name: str, *, stored: Any, given: Any, hint: str) -> None:
        self.what = what
        self.name = name
        self.stored = stored
        self.given = given
        self.hint = hint
        if stored == "deleted":
            super().__init__(f"The {what} {name!r} was deleted, and its id is not free yet. {hint}")
            return
        super().__init__(
            f"The {what} {name!r} exists with a different definition.\nstored: {stored}\ngiven: {given}\n{hint}"
        )


class InvalidNameError(MolexpError, ValueError):
    """An id or a name that cannot be used. Nothing was written.

    Attributes:
        what: the sort of name.
        name: the offending name.
        reason: the problem, and the rule.

    Example:
        >>> exp.Run(id="../x")
        Traceback (most recent call last):
            ...
        molexp.errors.InvalidNameError: ...
    """

    def __init__(self, what: str, name: str, reason: str) -> None:
        self.what = what
        self.name = name
        self.reason = reason
        shown = name if len(name) <= 80 else f"{name[:60]}... ({len(name)} characters)"
        super().__init__(f"{shown!r} cannot be used as {what}: {reason}.")


class SerializationError(MolexpError, ValueError):
    """A value that JSON cannot carry.

    Attributes:
        path: its place in the given value, as in ``results.fit[3].matrix``.
        type_name: the offending type.

    Example:
        >>> exp.Run({"a": object()})
        Traceback (most recent call last):
            ...
        molexp.errors.SerializationError: ...
    """

    def __init__(self, path: str, type_name: str, reason: str) -> None:
        self.path = path
        self.type_name = type_name
        super().__init__(f"{path} ({type_name}) cannot be recorded: {reason}.")


class ProfileError(MolexpError, ValueError):
    """A profile file that cannot be read, or a profile or an override that it does not have. Nothing was written.

    Attributes:
        file: the profile file; "" if the problem is in none.
        line: the line in it; 0 if unknown.
        reason: the problem.
        nearest: names that exist and look similar, best first.

    Example:
        >>> exp.Run(profile="gpu")  # there is no molcfg.yaml
        Traceback (most recent call last):
            ...
        molexp.errors.ProfileError: ...
    """

    def __init__(self, file: str, reason: str, *, line: int = 0, nearest: Iterable[str] = (), hint: str = "") -> None:
        self.file = file
        self.line = line
        self.reason = reason
        self.nearest: tuple[str, ...] = tuple(nearest)
        place = f"{file}{f', line {line}' if line else ''}: " if file else ""
        what = reason if file else reason[:1].upper() + reason[1:]
        self.hint = f"{nearest_names(self.nearest)} {hint}".strip()
        super().__init__(f"{place}{what}{'' if what.endswith('?') else '.'} {self.hint}".rstrip())


class StorageSettingsError(MolexpError, ValueError):
    """A ``storage.toml`` that cannot be read, or says something that makes no sense.

    Attributes:
        file: the file.
        reason: the problem; never the value of an option.

    Example:
        >>> try:
        ...     ws = me.Workspace("lab")
        ... except me.StorageSettingsError as error:  # a storage.toml cannot be read
        ...     print(error.file)
    """

    def __init__(self, file: str, reason: str, *, hint: str = "") -> None:
        self.file = file
        self.reason = reason
        self.hint = hint or "Correct the file, or move it away."
        super().__init__(f"{file}: {reason}. {self.hint}")


class QueryError(MolexpError, ValueError):
    """A query that cannot be understood.

    Attributes:
        text: the query.
        position: the position of the problem, counted in characters from 0.
        reason: the problem there.
        nearest: names that exist and look similar, best first.

    Example:
        >>> try:
        ...     ws.catalog.runs("stat == 'failed'")
        ... except me.QueryError as error:
        ...     print(error.position, error.nearest)
        0 ('status',)
    """

    def __init__(self, text: str, position: int, reason: str, *, nearest: Iterable[str] = (), hint: str = "") -> None:
        self.text = text
        self.position = position
        self.reason = reason
        self.nearest: tuple[str, ...] = tuple(nearest)
        self.hint = f"{nearest_names(self.nearest)} {hint}".strip()
        lines = [f"The query cannot be understood: {reason}.", *_pointed(text, position)]
        lines += [self.hint] if self.hint else []
        super().__init__("\n".join(lines))


class RecordError(MolexpError):
    """The record itself is at fault.

    Attributes:
        key: the document's key.

    Example:
        >>> try:
        ...     results = run.results
        ... except me.RecordError as error:  # corrupt, or written by a newer MolExp
        ...     print(error.key)
    """

    def __init__(self, message: str, *, key: str = "") -> None:
        self.key = key
        super().__init__(message)


class CorruptRecordError(RecordError):
    """A document that cannot be read. Others are not affected.

    Attributes:
        reason: the problem.

    Example:
        >>> try:
        ...     parameters = run.parameters
        ... except me.CorruptRecordError as error:  # a file of the record is damaged
        ...     print(error.key)
    """

    ADVICE = "`molexp fsck --repair` mends what the rest of the record repeats; else restore it from a backup."

    def __init__(self, key: str, reason: str) -> None:
        self.reason = reason
        self.hint = self.ADVICE
        super().__init__(f"{key!r} cannot be read: {reason}. {self.ADVICE}", key=key)


class SchemaError(RecordError):
    """A document was written by a newer MolExp. It may be read; nothing is written to it.

    Attributes:
        found: the document's schema number.
        known: the newest one that this version knows.

    Example:
        >>> try:
        ...     run.annotate(tags=["checked"])
        ... except me.SchemaError as error:  # a newer MolExp wrote the run
        ...     print(error.found, error.known)
    """

    def __init__(self, key: str, *, found: int, known: int) -> None:
        self.found = found
        self.known = known
        super().__init__(
            f"{key!r} has schema {found}; this molexp-core knows schemas up to {known} and writes nothing there. "
            "Upgrade molexp-core.",
            key=key,
        )


def _pointed(text: str, position: int) -> tuple[str, str]:
    """Return the line of a text that a position is in, shortened, and below it a caret under the position."""
    from unicodedata import combining, east_asian_width

    start = text.rfind("\n", 0, position) + 1
    line, column = text[start:].partition("\n")[0], position - start
    first = max(0, column - _BEFORE)
    left, right = (f"{'...' if first else ''}{line[first:column]}", line[column : column + _AFTER])
    more = "..." if len(line) > column + _AFTER else ""
    shown = "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in f"{left}{right}{more}")
    width = sum(2 if east_asian_width(c) in "WF" else not combining(c) for c in left)
    return f"  {shown}", f"  {' ' * width}^"
