"""Images are kept to the pixel."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

import molexp as me
from molexp.testing import AssetKindTests
from molexp_science import ImageFields, ImageKind


@pytest.fixture
def run(tmp_path):
    return me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run(id="r")


def pattern(mode, size=(5, 3)):
    """Return an image whose pixels differ."""
    shape = (size[1], size[0], 4)
    colours = Image.fromarray((np.arange(np.prod(shape)) * 7 % 256).astype("uint8").reshape(shape), "RGBA")
    return colours.convert("RGB").convert(mode) if mode == "P" else colours.convert(mode)


def with_a_transparent_colour():
    image = pattern("P")
    image.info["transparency"] = image.getpixel((0, 0))
    return image


class TestImageKind(AssetKindTests):
    def kind(self):
        return ImageKind

    def objects(self):
        deep = Image.fromarray(np.arange(0, 60_000, 1000, dtype="uint16").reshape(6, 10))
        modes = [pattern(mode) for mode in ("RGB", "RGBA", "L", "LA", "1", "P")]
        return [*modes, with_a_transparent_colour(), deep, Image.new("RGB", (1000, 2))]

    def fields(self, obj):
        return ImageFields(obj.width, obj.height, obj.mode, "pillow")

    def is_same(self, one, other):
        if isinstance(one, ImageFields):
            return one == other
        return [(image.mode, image.size, image.tobytes(), self._colours(image)) for image in (one,)] == [
            (image.mode, image.size, image.tobytes(), self._colours(image)) for image in (other,)
        ]

    def _colours(self, image):
        return image.convert("RGBA").tobytes() if image.mode == "P" else None


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3), (4, 6, 4)])
def test_an_array_is_an_image_if_you_say_so(run, shape):
    array = np.arange(np.prod(shape), dtype="uint8").reshape(shape)
    with run.start() as ctx:
        asset = ctx.image.save("a", array)
        assert ctx.save("b", array).kind == "array"
    found = asset.load()
    assert (found.dtype, found.tolist()) == (array.dtype, array.tolist())
    assert (asset.fields.package, asset.path.name) == ("numpy", "a.png")
    assert np.asarray(Image.open(asset.path)).tolist() == array.tolist()
    found[0] = 0  # it can be changed


@pytest.mark.parametrize(
    "array", [np.ones((4, 6)), np.ones((4, 6, 2), "uint8"), np.ones((4, 6, 3), "uint16"), np.ones((0, 3), "uint8")]
)
def test_other_arrays_are_no_images(run, array):
    with run.start() as ctx, pytest.raises(ValueError, match=r"no image: that is \(height, width\)"):
        ctx.image.save("a", array)


@pytest.mark.parametrize("mode", ["CMYK", "F", "YCbCr", "HSV", "LAB", "I"])
def test_what_png_does_not_keep_is_refused_with_a_remedy(run, mode):
    image = pattern("L").convert(mode) if mode in ("F", "I") else Image.new(mode, (2, 2))
    with run.start() as ctx:
        with pytest.raises(ValueError, match=rf"mode '{mode}' .*image.convert\('RGB'\)"):
            ctx.save("a", image)
        ctx.save("a", pattern("RGB"))
    assert len(run.assets) == 1


def test_several_frames_are_refused(run):
    stream = io.BytesIO()
    pattern("P").save(stream, "GIF", save_all=True, append_images=[Image.new("P", (5, 3))])
    with run.start() as ctx, pytest.raises(ValueError, match=r"2 frames is saved frame by frame"):
        ctx.save("a", Image.open(stream))


def test_a_resume_restores_images_without_notes():
    noted = pattern("RGB")
    noted.info["dpi"] = (300, 300)
    images = (pattern("RGB"), with_a_transparent_colour(), noted)
    assert [ImageKind().restores(image) for image in images] == [True, True, False]


def test_a_colour_profile_is_kept(run):
    image = pattern("RGB")
    image.info["icc_profile"] = b"a profile"
    with run.start() as ctx:
        assert ctx.save("a", image).load().info["icc_profile"] == b"a profile"


def test_a_preview_is_no_larger_than_a_page(run):
    with run.start() as ctx:
        small, large = ctx.save("a", pattern("P")), ctx.save("b", pattern("P", (1600, 10)))
    assert small.preview().png == small.read_bytes()
    assert Image.open(io.BytesIO(large.preview().png)).size == (800, 5)
    assert large.describe() == large.kind + ", 1600 x 10, P"


def test_whoever_lacks_pillow_is_told_how_to_install_it(run, monkeypatch):
    with run.start() as ctx:
        asset = ctx.save("a", pattern("RGB"))
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ModuleNotFoundError, match="'a' needs pillow, which is not installed here: pip install pillow"):
        asset.load()


def test_an_image_of_a_size_that_pillow_takes_for_an_attack_is_loaded(run, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with run.start() as ctx:
        ctx.image.save("large", np.full((20, 900), 7, "uint8"))
    assert run.asset("large").load().tolist() == [[7] * 900] * 20
    assert run.asset("large").preview().png


def test_an_image_of_another_size_than_the_record_says_is_not_read(run, monkeypatch):
    with monkeypatch.context() as stranger:
        stranger.setattr("molexp_science._images.ImageFields", lambda width, *rest: ImageFields(width - 1, *rest))
        with run.start() as ctx:
            ctx.save("a", pattern("RGB"))
    with pytest.raises(ValueError, match="5 x 3 pixels, and 4 x 3"):
        run.asset("a").load()
