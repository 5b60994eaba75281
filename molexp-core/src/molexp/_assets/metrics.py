"""Metrics: the numbers that a run logs by step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molexp._assets.builtin_kinds import MetricsKind
from molexp._assets.naming import AttemptAssets, Slot
from molexp._assets.streams import Growing, grow
from molexp._record.metrics import BATCH, LONGEST_NAME, OWN, Summary, check_names
from molexp._values.documents import encode_line
from molexp._values.numbers import whole
from molexp._values.plain import plain
from molexp.contracts import Appender

if TYPE_CHECKING:
    from molexp._assets.metric_blocks_file import BlocksFile

_WORD = 64  # bits of an integer that is recorded without a second look
_MOMENT = 0.1  # seconds


class MetricsFile(Growing):
    """The points of one writer, and of one task where it is a task's."""

    def __init__(self, assets: AttemptAssets, slot: Slot) -> None:
        super().__init__(assets, slot)
        if slot.summary is None:
            slot.summary = Summary()
        self.summary: Summary = slot.summary  # an earlier retry of the task logged into the same file
        self._divides = slot.version == 0
        self._blocks: BlocksFile | None = None  # made when points are taken in before the end: most files are shorter
        self._room = BATCH
        self._line = b""
        self._logging = False
        self._is_sure = True

    def log(self, point: dict[str, Any]) -> None:
        """Append a point.

        Raises:
            ContextClosedError: the attempt has ended, or belongs to another process.
        """
        line = encode_line(point)
        with self._lock:
            if self._logging:  # a handler of a signal logs within this, or Ctrl-C left it
                self._stop_dividing()
            self._logging = True
            try:
                self.write(line)
                self._line = line
                self.summary.waiting.append(point)
                if len(self.summary.waiting) >= self._room:
                    self._settle()
            except BaseException:  # a full disk, Ctrl-C: the point may be in one of both only, and not whole
                self._is_sure, self._torn = False, True
                raise
            self._logging = False

    def _settle(self) -> None:
        if self._divides and self._blocks is None:
            from molexp._assets.metric_blocks_file import BlocksFile

            self._blocks = BlocksFile(self._assets.writer, self._slot)
        if (blocks := self._blocks) is None:
            self.summary.settle()
            return
        parts, size = self.summary.settle(blocks.divide)
        if size:
            blocks.take(parts, size, self._size + len(self._unhashed), self._line)
            self._room = blocks.room()

    def _stop_dividing(self) -> None:
        self._divides = False
        if self._blocks is not None:
            self._blocks.stop()

    def _open(self) -> Appender:
        appender = super()._open()
        self._assets.writer.contents.logged[self._slot.key] = self
        return appender

    def summarised(self) -> dict[str, Any]:
        """Return the summary as a document, up to now; while somebody logs for long, up to a moment ago."""
        if self._lock.acquire(timeout=_MOMENT):  # a thread that logs may be waiting for the one that asks
            try:
                if self._logging:
                    self._stop_dividing()
                self._settle()
            finally:
                self._lock.release()
        return self.summary.to_document()

    def close(self) -> None:
        """Take no more, and make the asset's record final."""
        with self._lock:
            if self._blocks is None or not self._blocks.begun:
                self._divides, self._blocks = False, None
            super().close()
            if self._blocks is not None:
                self._blocks.close(self._size, self._line)
            self._divides, self._blocks = False, None

    def _facts(self) -> dict[str, Any]:
        facts = super()._facts()
        if not self._is_sure:
            from molexp._record.metrics import read_summary

            read = read_summary(self._assets.writer.store, {"key": self._slot.key, **facts})
            self._slot.summary = self.summary = read if read.names else self.summary
        return {**facts, "summary": self.summarised()}


class Metrics:
    """Numbers by step, ``ctx.metrics``: one line each in ``logs/metrics.jsonl``. Without a run they are dropped.

    The attempt's end has a summary of them, which `Run.metrics` and the catalog answer with.

    Example:
        >>> with exp.Run().start() as ctx:
        ...     ctx.metrics.log(step=1, loss=0.5)
        ...     ctx.metrics.log({"val/loss": 0.6}, step=1)
    """

    def __init__(self, assets: AttemptAssets | None, task: str | None) -> None:
        self._growing: MetricsFile | None = None
        self._step: int = -1
        if assets is None:
            self._summary = Summary()
        else:
            name = f"tasks/{task}/metrics" if task else "metrics"
            self._growing = grow(assets, MetricsKind.name, name, task, MetricsFile)
            self._summary = self._growing.summary

    def log(self, values: Mapping[str, Any] | None = None, /, *, step: int | None = None, **more: Any) -> None:
        """Log values at a step.

        Args:
            values: names to numbers; for names that are no Python identifiers. A ``step`` among them is the step.
            step: the step; one more than the last if it is not given.
            more: further names to numbers.

        Raises:
            SerializationError: a value that is no number, text, bool or None, nor a list or dict of them.
            TypeError: a step that is no whole number, or a value that is given twice.
            ValueError: a metric called ``step`` or ``time``, which every point has.
            InvalidNameError: a name that is empty, or longer than 400 bytes in UTF-8.
        """
        if values is not None:
            if not isinstance(values, Mapping):
                raise TypeError(f"Metrics have names: log(NAME={values!r:.80}), or a mapping of names to numbers.")
            if not more.keys().isdisjoint(values):
                twice = next(name for name in values if name in more)
                raise TypeError(f"The metric {twice!r} is given twice.")
            if "step" in values and step is None:
                step, values = values["step"], {name: values[name] for name in values if name != "step"}
            more = {**values, **more}
        if not more.keys().isdisjoint(OWN):
            taken = next(name for name in OWN if name in more)
            raise ValueError(f"No metric can be called {taken!r}, which every point has. Use another name.")
        self._step = step = self._step + 1 if step is None else step if type(step) is int else _whole(step)
        if self._growing is None:
            return
        point = {"step": step, "time": time.time(), **more}
        for name, value in point.items():
            if (
                type(name) is not str
                or not 0 < len(name) <= LONGEST_NAME
                or not name.isascii()
                or (
                    (type(value) is not int or value.bit_length() > _WORD)
                    and (type(value) is not float or value - value != 0.0)
                )
            ):
                check_names(point)
                point = plain(point, where="metrics", nan=True)
                break
        self._growing.log(point)

    def flush(self) -> None:
        """Let the store see what was logged."""
        if self._growing is not None:
            self._growing.flush()


def _whole(step: Any) -> int:
    """Return a step that is an integer of another type, numpy's for one."""
    if (found := whole(step)) is None:
        raise TypeError(f"A step is a whole number, not {step!r}.")
    return found
