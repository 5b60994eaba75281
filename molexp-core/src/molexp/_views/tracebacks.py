"""Tracebacks on record, with the frames of the user's files alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_FRAME = re.compile(r'  File "(.+)", line \d+')
_BETWEEN = re.compile(
    r"\n(During handling of the above exception, another exception occurred:"
    r"|The above exception was the direct cause of the following exception:)\n"
)
_OTHERS = re.compile(
    r"[/\\](?:site-packages|dist-packages)[/\\]|[/\\]lib[/\\]python3[.\d]*[/\\]|^<frozen ", re.IGNORECASE
)


def fold_traceback(text: str) -> str:
    """Return a traceback in which a line stands for frames of MolExp, Python and installed packages.

    If there are no others, it is returned as it is.
    """
    *before, last = [part.strip("\n") for part in _BETWEEN.split(text)]
    if not any(map(_has_users, [*before, last])):
        return text.rstrip()
    # Of errors that were handled before, those without a frame of the user say nothing; what is between two stands with the second.
    kept = [part for part in zip(before[::2], before[1::2], strict=True) if _has_users(part[0])]
    return "\n\n".join(
        [piece for part in kept for piece in ("\n".join(_folded(part[0])), part[1])] + ["\n".join(_folded(last))]
    )


def _has_users(part: str) -> bool:
    return any(_is_users(match[1]) for match in map(_FRAME.match, part.splitlines()) if match)


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
