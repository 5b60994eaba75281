"""Capturing standard output and error at file-descriptor level, child processes and C libraries included.

The descriptors point straight at the log files, so what was printed survives ``kill -9``. The terminal goes on showing
it: a thread follows the files.

Where 0, 1 or 2 was closed (``>&-``, some daemons) the null device stands in for it as long as an attempt captures: else
whatever the process opens next would get that number, and what is printed would land in it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, ClassVar, TextIO

from molexp._assets.builtin_kinds import LogKind
from molexp._assets.naming import AttemptAssets
from molexp._assets.streams import Growing, grow
from molexp._values.threads import start_unsignalled
from molexp.errors import RunError

_ECHO = 0.05  # seconds between looks at the files, for the terminal's sake
_STREAMS = ("stdout", "stderr")
_APPEND = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)  # as Python's own are
_LAST = 2  # of the standard descriptors


class Capture:
    """The standard streams of the process, taken by one attempt."""

    _taken = threading.Lock()  # descriptors 1 and 2 belong to the process, so only one attempt at a time can have them
    _stand_ins: ClassVar[set[int]] = set()  # standard descriptors that were closed

    def __init__(self, assets: AttemptAssets) -> None:
        if not Capture._taken.acquire(blocking=False):
            raise RunError(
                "Another run of this process captures stdout and stderr; only one can. Start one of them with "
                "capture=False, or in a process of its own.",
                run=assets.writer.path,
            )
        self._pid = os.getpid()
        self._stopping = threading.Event()
        self._saved: list[int] = []
        self._followed: list[IO[bytes]] = []
        self._replaced: list[tuple[str, Any]] = []
        self._echo = threading.Thread(target=self._follow, name="molexp-echo", daemon=True)
        try:
            _open_stand_ins(Capture._stand_ins)
            self._take([grow(assets, LogKind.name, name, None, Growing).share() for name in _STREAMS])
            start_unsignalled(self._echo)
        except BaseException:
            self._put_back()
            self._release()
            raise

    def stop(self) -> None:
        """Give the streams back."""
        if self._pid != os.getpid() or self._stopping.is_set():
            return
        self._put_back()
        self._stopping.set()
        self._echo.join()
        self._release()

    @classmethod
    @contextlib.contextmanager
    def ahead(cls) -> Iterator[None]:
        """Keep descriptors 0, 1 and 2 from what is opened in the block, before the streams are taken."""
        _open_stand_ins(cls._stand_ins)
        try:
            yield
        finally:
            if cls._taken.acquire(blocking=False):  # else they stand in until the streams are given back
                _close_stand_ins(cls._stand_ins)
                cls._taken.release()

    def _take(self, paths: list[Path]) -> None:
        _flush()
        for number, (name, path) in enumerate(zip(_STREAMS, paths, strict=True), 1):
            self._followed.append(path.open("rb"))
            self._followed[-1].seek(0, os.SEEK_END)
            self._saved.append(os.dup(number))
            target = os.open(path, _APPEND)
            os.dup2(target, number)
            os.close(target)
            stream = getattr(sys, name)
            if not _writes_to(stream, number):  # Jupyter, pytest, an IDE: print() does not reach the descriptor
                self._replaced.append((name, stream))
                setattr(sys, name, _Tee(stream, number) if _is_apart(stream) else _text_to(number))

    def _put_back(self) -> None:
        _flush()
        for name, original in self._replaced:
            setattr(sys, name, original)
        for number, saved in enumerate(self._saved, 1):
            os.dup2(saved, number)

    def _release(self) -> None:
        for file in self._followed:
            file.close()
        for saved in self._saved:
            os.close(saved)
        _close_stand_ins(Capture._stand_ins)
        Capture._taken.release()

    def _follow(self) -> None:
        teed = [name for name, original in self._replaced if _is_apart(original)]
        last = False
        while not last:
            last = self._stopping.wait(_ECHO)
            for name, file, saved in zip(_STREAMS, self._followed, self._saved, strict=True):
                while chunk := file.read(1 << 16):
                    if name not in teed:
                        with contextlib.suppress(OSError):  # the terminal is gone; the log is not
                            _show(saved, chunk)


def _open_stand_ins(stand_ins: set[int]) -> None:
    while (number := os.open(os.devnull, os.O_RDWR)) <= _LAST:
        stand_ins.add(number)
    os.close(number)


def _close_stand_ins(stand_ins: set[int]) -> None:
    while stand_ins:
        os.close(stand_ins.pop())


def _flush() -> None:
    for name in _STREAMS:
        with contextlib.suppress(Exception):  # a closed or strange stream must not fail the run
            getattr(sys, name).flush()


def _writes_to(stream: Any, number: int) -> bool:
    try:
        return bool(stream.fileno() == number) and not _is_console(stream)
    except Exception:  # noqa: BLE001 - it may be anything with a write method
        return False


def _is_console(stream: Any) -> bool:
    """Tell whether a stream uses calls for consoles of Windows, which fail once its descriptor is a file."""
    if sys.platform != "win32":
        return False
    try:
        writer = stream.buffer
        return type(getattr(writer, "raw", writer)).__name__ == "_WindowsConsoleIO"
    except Exception:  # noqa: BLE001 - see `_writes_to`
        return False


def _is_apart(stream: Any) -> bool:
    """Tell whether a stream that does not write to its descriptor shows what it gets, elsewhere."""
    return stream is not None and not _is_console(stream)


def _show(saved: int, chunk: bytes) -> None:
    if sys.platform != "win32":
        os.write(saved, chunk)
        return
    with open(saved, "wb", closefd=False) as shown:  # a console understands UTF-8 if Python writes to it
        shown.write(chunk)


def _text_to(number: int) -> TextIO:
    """Return a stream for ``print`` where Python has none that can be used: the descriptor was closed, or is a console."""
    return open(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


class _Tee:
    """A text stream that also writes to a descriptor; everything else is the original's."""

    def __init__(self, stream: Any, number: int) -> None:
        self._stream = stream
        self._number = number

    def write(self, text: str) -> int:
        os.write(self._number, text.encode("utf-8", "backslashreplace"))
        return int(self._stream.write(text) or len(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
