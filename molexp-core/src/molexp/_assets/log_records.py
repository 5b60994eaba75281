"""Write the records of a standard logger to a log."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._assets.streams import LogHandle


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
