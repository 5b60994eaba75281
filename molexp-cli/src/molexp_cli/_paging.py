"""Long answers on a terminal go through a pager: PAGER, else less."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from molexp_cli._output import on_terminal, write_drawn


def pager() -> list[str]:
    """Return the command of the pager; nothing if there is none, or nobody could use it."""
    if not (on_terminal() and sys.stdin is not None and sys.stdin.isatty()):
        return []
    wanted = os.environ.get("PAGER", "less")
    try:
        command = shlex.split(wanted)
    except ValueError:
        return []
    return command if command and shutil.which(command[0]) else []


@contextmanager
def paged(command: list[str], *, chop: bool = False) -> Iterator[Callable[[str], bool]]:
    """Yield a function that prints drawn text, and returns False once nobody reads on.

    Args:
        command: the pager; with nothing, the text is printed as it is.
        chop: long lines are for scrolling sideways.
    """
    if not command:

        def printed(text: str) -> bool:
            write_drawn(text)
            return True

        yield printed
        return
    environment = {
        "LESS": "FRSX" if chop else "FRX",
        "LV": "-c",
        **os.environ,
    }  # as git does; less leaves at once if all fits
    reader = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    assert reader.stdin is not None
    pipe = reader.stdin

    def put(text: str) -> bool:
        try:
            pipe.write(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
            pipe.flush()
        except BrokenPipeError:
            return False
        return True

    try:
        yield put
    finally:
        with suppress(BrokenPipeError):
            pipe.close()
        while True:
            try:
                reader.wait()
                break
            except KeyboardInterrupt:  # Ctrl-C is for the pager
                continue
