"""Draw PNG images in terminals that can: by the graphics protocol of kitty, or the inline images of iTerm2.

The sequences are described at https://sw.kovidgoyal.net/kitty/graphics-protocol and https://iterm2.com/documentation-images.html.
"""

from __future__ import annotations

import os
import sys
from base64 import b64encode

from molexp_cli._output import on_terminal, write_bytes

_PIECE = 4096  # characters of an image that kitty takes at once
_LARGEST = 16 << 20  # bytes of an image that is sent to a terminal
_KITTY = ("ghostty", "xterm-ghostty", "xterm-kitty")
_ITERM = ("iTerm.app", "WezTerm", "mintty")


def draw(png: bytes) -> bool:
    """Draw an image below what was printed, and tell whether the terminal can."""
    if not png or len(png) > _LARGEST or not on_terminal():
        return False
    sequence = _sequence(b64encode(png), len(png))
    if sequence:
        sys.stdout.flush()
        write_bytes(sequence + b"\n", now=True)
    return bool(sequence)


def _sequence(text: bytes, size: int) -> bytes:
    """Return what draws an image in this terminal; b"" if nothing does."""
    terminal, program = os.environ.get("TERM", ""), os.environ.get("TERM_PROGRAM", "")
    if os.environ.get("TMUX") or terminal.startswith(("screen", "tmux")):
        return b""  # they pass on no images
    if (
        {terminal, program}.intersection(_KITTY)
        or os.environ.get("KITTY_WINDOW_ID")
        or os.environ.get("KONSOLE_VERSION")
    ):
        pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
        heads = [b"a=T,f=100,", *[b""] * (len(pieces) - 1)]
        more = [*[b"m=1"] * (len(pieces) - 1), b"m=0"]
        return b"".join(b"\x1b_G%s%s;%s\x1b\\" % parts for parts in zip(heads, more, pieces, strict=True))
    if program in _ITERM:
        return b"\x1b]1337;File=inline=1;size=%d:%s\a" % (size, text)
    return b""
