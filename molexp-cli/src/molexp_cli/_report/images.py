"""Images of assets, small enough for a page."""

from __future__ import annotations

import io
import re
import warnings
from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import molexp

SUFFIXES = (".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp")
"""Assets whose names end in one of these are images."""

LARGEST = 20 << 20
"""Bytes of an image that is read."""

_WIDTH = 480  # pixels of a thumbnail
_AS_IT_IS = 64 << 10  # bytes of an image that is taken without making it smaller
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_MAGIC = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}
_ACTIVE = re.compile(
    rb"<\s*(?:\w+:)?(?:script|foreignobject|iframe|embed|object)|\son\w+\s*=|javascript:|<!entity", re.IGNORECASE
)


class NotShownError(Exception):
    """An image is not shown; the text says why, after "because"."""


def thumbnail(asset: molexp.Asset) -> str:
    """Return an image as a data URL, at most 480 pixels wide.

    Raises:
        NotShownError: it is no image, too large, or a drawing with scripts.
        MolexpError: it cannot be read.
    """
    if asset.size is not None and asset.size > LARGEST:
        raise NotShownError("they are larger than 20 MiB")
    data = asset.read_bytes()
    if asset.name.lower().endswith(".svg"):
        return _drawing(data)
    try:
        from PIL import Image
    except ModuleNotFoundError:
        return _as_it_is(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of an image with more pixels than any should have
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return _small(image)
        except (OSError, ValueError, SyntaxError, OverflowError, Warning, Image.DecompressionBombError):
            raise NotShownError("they are no images that can be read") from None


def _small(image: object) -> str:
    from PIL import Image

    assert isinstance(image, Image.Image)
    image.draft("RGB", (_WIDTH * 2, _WIDTH * 2))
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    drawn = image.convert("RGBA" if has_alpha else "RGB")
    drawn.thumbnail((_WIDTH, _WIDTH * 2), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    drawn.save(
        out, "WEBP", quality=80, method=4
    )  # without what else the file says, such as where a photograph was taken
    return _url("webp", out.getvalue())


def _as_it_is(data: bytes) -> str:
    kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
    if kind is None:
        raise NotShownError("they are no images that can be read")
    if len(data) > _AS_IT_IS:
        raise NotShownError(
            "they are large, and Pillow, which makes them smaller, is not installed (pip install pillow)"
        )
    return _url(kind, data)


def _drawing(data: bytes) -> str:
    """Return an SVG drawing. A page executes nothing in it, as in any image; one that wants it is left out all the same."""
    if len(data) > _AS_IT_IS:
        raise NotShownError("they are drawings of more than 64 KiB")
    if b"<svg" not in data[:4096] or _ACTIVE.search(data):
        raise NotShownError("they are drawings with scripts, or none")
    return _url("svg+xml", data)


def _url(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode()}"
