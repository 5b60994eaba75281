"""Tracebacks on record, with the frames of the user's files alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_FRAME = re.compile(r'  File "(.+)", line \d+')
_OTHERS = re.compile(
    r"[/\\](?:site-packages|dist-packages)[/\\]|[/\\]lib[/\\]python3[.\d]*[/\\]|^<frozen ", re.IGNORECASE
)


def fold_traceback(text: str) -> str:
    """Return a traceback in which a line stands for frames of MolExp, Python and installed packages.

    If there are no others, it is returned as it is.
    """
    frames = [match[1] for match in map(_FRAME.match, text.splitlines()) if match]
    return "\n".join(_folded(text)) if any(map(_is_users, frames)) else text.rstrip()


def _folded(text: str) -> Iterator[str]:
    hidden = 0
    within = False  # a frame that is not shown
    for line in text.rstrip().splitlines():
        if frame := _FRAME.match(line):
            within = not _is_users(frame[1])
            hidden += within
        elif not line.startswith("    "):
            within = False
        if within:
            continue
        if hidden:
            yield f"  ... {hidden} {'frame' if hidden == 1 else 'frames'} of MolExp or libraries"
            hidden = 0
        yield line


def _is_users(file: str) -> bool:
    return not (file.startswith(_OWN) or _OTHERS.search(file))
