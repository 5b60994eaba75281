"""Check the name and the text of a log, and write the records of a standard logger to one."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from molexp.errors import InvalidNameError, MolexpError

if TYPE_CHECKING:
    from molexp._assets.streams import LogHandle

_MARKS = frozenset(" \t\n=")


def check_text(given: Any) -> None:
    """Refuse what is no text.

    Raises:
        TypeError: it is not; says how to make it one.
    """
    if not isinstance(given, str):
        how = "data.decode()" if isinstance(given, bytes | bytearray | memoryview) else "str(value)"
        raise TypeError(f"A log takes text, not {type(given).__name__}. Pass {how}.")


def check_log_name(name: str) -> None:
    """Refuse what looks like a line rather than a name.

    Raises:
        InvalidNameError: it has blanks or ``=``.
    """
    if isinstance(name, str) and not _MARKS.isdisjoint(name):
        raise InvalidNameError(
            "log name",
            name,
            "a log's name has no blanks and no '='; did you mean ctx.logger.info(...)? Or ctx.log(NAME).append(...)",
        )


class LogStreamHandler(logging.Handler):
    """Feeds a standard logger into a log."""

    def __init__(self, handle: LogHandle) -> None:
        super().__init__()
        self._handle = handle
        self._told = False
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            self._handle.append(self.format(record))
        except MolexpError as error:  # the run has ended, say: a sentence is enough, once
            if not self._told and logging.raiseExceptions and sys.stderr is not None:
                self._told = True
                sys.stderr.write(f"molexp: {error} A log record was dropped: {record.getMessage()}\n")
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)
