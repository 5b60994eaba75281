"""A progress bar for bytes, drawn only if standard error is a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from molexp_cli._output import printable


@contextmanager
def bytes_bar(what: str, total: int | None = None) -> Iterator[Callable[..., None] | None]:
    """Yield a function that takes ``description``, ``total``, ``completed`` and ``advance``; None without a terminal.

    Args:
        what: the text beside it.
        total: bytes, if known.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    from functools import partial

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")) or None, highlight=False, emoji=False)
    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    # Standard output carries data, which stays unchanged.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as drawn:
        yield partial(drawn.update, drawn.add_task(printable(what), total=total))


@contextmanager
def pieces_bar(what: str, total: int | None) -> Iterator[Callable[[int], None] | None]:
    """Yield a function to call with the bytes of each piece; None without a terminal."""
    with bytes_bar(what, total) as update:
        yield None if update is None else lambda count: update(advance=count)


@contextmanager
def count_bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each of so many things; with 0, or without a terminal, it draws nothing."""
    if not total or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")) or None, highlight=False, emoji=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as drawn:
        task = drawn.add_task(printable(what), total=total)
        yield lambda: drawn.update(task, advance=1)
