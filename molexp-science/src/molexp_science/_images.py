"""Images as PNG, which keeps every pixel."""

from __future__ import annotations

import io
from typing import IO, Any

from msgspec import Struct

from molexp import Asset
from molexp.contracts import AssetKind, Preview, Sink, Source
from molexp_science._libraries import class_name, imported, library

_SHOWN = 800  # pixels of the longer side of a preview
_MOST_PIXELS = 1 << 27  # of an image that is made smaller: all of them are in memory for that
_LARGEST = 1 << 24  # bytes of a file that is shown as it is


class ImageFields(Struct, frozen=True):
    """The fields of an image.

    Attributes:
        width: in pixels.
        height: in pixels.
        mode: as Pillow calls it: ``RGB``, ``RGBA``, ``L`` (grey), ``P`` (with a palette), ``1`` (black and white), ``I;16`` ...
        package: ``pillow`` or ``numpy``: the library whose object was saved, and is loaded.
    """

    width: int
    height: int
    mode: str
    package: str


class ImageKind(AssetKind[Any, ImageFields]):
    """Images of Pillow, and arrays of numpy that are images, as PNG.

    Every pixel is kept, and so are palette, transparency and colour profile. Other notes of the file that an image came from are
    not. An array has the shape (height, width), (height, width, 3) or (height, width, 4) and the type uint8, or uint16 if it is
    grey. ``ctx.save`` takes it for an array; ``ctx.image.save`` makes an image of it.
    """

    name = "image"
    suffix = ".png"
    types = ("PIL.Image",)

    def accepts(self, obj: object, /) -> bool:
        """Tell whether it is an image of Pillow, or an array that is one."""
        return isinstance(obj, imported("PIL.Image", "Image") + imported("numpy", "ndarray"))

    def validate(self, obj: Any, /) -> None:
        """Raise `ValueError` for an array that is no image, and for an image with several frames."""
        if isinstance(obj, imported("numpy", "ndarray")):
            is_grey = obj.ndim == 2
            is_colour = obj.ndim == 3 and obj.shape[2] in (3, 4)
            if not (obj.size and (is_grey or is_colour) and obj.dtype.name in ("uint8", *["uint16"] * is_grey)):
                raise ValueError(
                    f"An array of shape {obj.shape} and type {obj.dtype} is no image: that is (height, width), uint8 or "
                    "uint16, or (height, width, 3 or 4), uint8. Convert it, or use ctx.array.save(...)."
                )
        elif getattr(obj, "n_frames", 1) > 1:
            raise ValueError(f"An image of {obj.n_frames} frames is saved frame by frame: image.seek(0), image.copy().")

    def save(self, obj: Any, sink: Sink) -> ImageFields:
        """Write PNG, and compare what it gives back."""
        pil = library("PIL.Image", sink.name, package="pillow")
        is_array = isinstance(obj, imported("numpy", "ndarray"))
        image = pil.fromarray(obj) if is_array else obj
        if not image.width or not image.height:
            raise ValueError("An image without pixels cannot be saved.")
        stream = io.BytesIO()
        try:
            image.save(stream, format="PNG")
            again = _read(io.BytesIO(stream.getvalue()), image.size)
            is_same = again.mode == image.mode and _pixels(again) == _pixels(image)
        except OSError as error:  # Pillow knows no way to write it
            raise ValueError(_other_mode(image)) from error
        if not is_same:
            raise ValueError(_other_mode(image))
        sink.write(stream.getvalue())
        return ImageFields(image.width, image.height, image.mode, "numpy" if is_array else "pillow")

    def load(self, source: Source[ImageFields]) -> Any:
        """Read the image, or the array."""
        image = _opened(source)
        if source.fields.package == "numpy":
            return library("numpy", source.name).array(image)
        return image

    def restores(self, obj: Any, /) -> bool:
        """Tell whether it is an image without notes that are not kept."""
        return isinstance(obj, imported("PIL.Image", "Image")) and obj.info.keys() <= {"transparency", "icc_profile"}

    def describe(self, asset: Asset[Any, ImageFields], /) -> str:
        """Return one line: size and mode."""
        fields = asset.fields
        return f"image, {fields.width} x {fields.height}, {fields.mode}"

    def preview(self, source: Source[ImageFields], /) -> Preview:
        """Show the image, a large one smaller."""
        fields = source.fields
        text = f"{fields.width} x {fields.height}, {fields.mode}"
        if fields.width * fields.height > _MOST_PIXELS:
            return Preview(text=text)
        if max(fields.width, fields.height) <= _SHOWN:
            with source.open() as stream:
                data = stream.read(_LARGEST + 1)
            return Preview(text=text, png=data if len(data) <= _LARGEST else b"")
        image = _opened(source)
        if image.mode in ("P", "1"):
            image = image.convert("RGBA")
        image.thumbnail((_SHOWN, _SHOWN))
        stream = io.BytesIO()
        image.save(stream, format="PNG")
        return Preview(text=text, png=stream.getvalue())


def _opened(source: Source[ImageFields]) -> Any:
    library("PIL.Image", source.name, package="pillow")
    with source.open() as stream, _read(stream, (source.fields.width, source.fields.height)) as image:
        return image.copy()


def _read(stream: IO[bytes], size: tuple[int, int]) -> Any:
    """Return an image that has the size that is known. Pillow's `open` refuses each one that is large, ours too."""
    from PIL.PngImagePlugin import PngImageFile

    image = PngImageFile(stream)
    if image.size != size:
        raise ValueError(
            f"The image is of {image.width} x {image.height} pixels, and {size[0]} x {size[1]} were saved."
        )
    return image


def _pixels(image: Any) -> tuple[bytes, bytes]:
    """Return the pixels of an image, and the colours that its palette has for them."""
    return image.tobytes(), image.convert("RGBA").tobytes() if image.mode == "P" else b""


def _other_mode(image: Any) -> str:
    return (
        f"An image of the mode {image.mode!r} ({class_name(image)}) is not the same as PNG: convert it, as by "
        "image.convert('RGB'), or save numpy.asarray(image) with ctx.array.save(...)."
    )
