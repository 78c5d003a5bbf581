"""Images: what Pillow decodes in the loader is what Pillow decodes alone; what is no image is named."""

import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.errors import LoaderError
from resources.loader import Loader
from resources.loader.decoding.images import images

HEIGHT, WIDTH = 24, 32
NO_PILLOW = "not here: Pillow (penstock[images])"


def picture(seed: int, *, size=(WIDTH, HEIGHT), mode="RGB"):
    image = pytest.importorskip("PIL.Image", reason=NO_PILLOW)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return image.fromarray(pixels).convert(mode)


def encoded(image, form="PNG", **arguments) -> bytes:
    written = BytesIO()
    image.save(written, form, **arguments)
    return written.getvalue()


def write_images(path: Path, data: list[bytes]) -> Path:
    batch = pa.record_batch({"id": pa.array(range(len(data)), pa.int64()), "image": pa.array(data, pa.binary())})
    with pa.ipc.new_file(path, batch.schema) as writer:
        writer.write_batch(batch)
    return path


def test_images_of_the_size_come_as_they_were(tmp_path):
    pictures = [picture(seed) for seed in range(20)]
    file = write_images(tmp_path / "images.arrow", [encoded(one) for one in pictures])
    decode = {"image": images(height=HEIGHT, width=WIDTH)}
    for batch in Loader(file, 6, seed=1, decode=decode, threads=2).numpy():
        assert batch["image"].shape == (len(batch["id"]), HEIGHT, WIDTH, 3)
        for number, pixels in zip(batch["id"].tolist(), batch["image"], strict=True):
            assert (pixels == np.asarray(pictures[number])).all()


@pytest.mark.parametrize(
    ("mode", "form", "arguments"),
    [
        ("RGB", "JPEG", {"progressive": True}),
        ("L", "JPEG", {}),
        ("CMYK", "JPEG", {}),
        ("P", "PNG", {"transparency": b"\0" * 9}),
        ("RGBA", "PNG", {}),
        ("LA", "PNG", {}),
        ("1", "PNG", {}),
        ("RGB", "WEBP", {}),
    ],
)
@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_every_mode_becomes_rgb_of_the_size(mode, form, arguments, fit):
    data = encoded(picture(1, size=(90, 50), mode=mode), form, **arguments)
    pixels = images(height=HEIGHT, width=WIDTH, fit=fit).function(memoryview(data))
    assert isinstance(pixels, np.ndarray)
    assert (pixels.shape, pixels.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)


def test_a_large_jpeg_is_decoded_small_and_looks_the_same():
    soft = picture(2, size=(6, 4)).resize((1200, 800))
    pixels = images(height=HEIGHT, width=WIDTH).function(memoryview(encoded(soft, "JPEG", quality=95)))
    wanted = np.asarray(soft.resize((WIDTH, HEIGHT)), np.int16)
    assert np.abs(np.asarray(pixels, np.int16) - wanted).mean() < 5


def test_a_crop_keeps_the_middle():
    image = pytest.importorskip("PIL.Image", reason=NO_PILLOW)
    wide = image.new("RGB", (60, 20))
    wide.paste((255, 255, 255), (20, 0, 40, 20))
    pixels = images(height=20, width=20, fit="crop").function(memoryview(encoded(wide)))
    assert np.asarray(pixels).min() == 255


@given(cut=st.integers(0, 2_000), form=st.sampled_from(["PNG", "JPEG", "WEBP"]))
def test_a_part_of_an_image_is_broken(cut, form):
    data = encoded(picture(3), form)
    with pytest.raises(ValueError):
        images(height=HEIGHT, width=WIDTH).function(memoryview(data[: min(cut, len(data) * 9 // 10)]))


@given(places=st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 255)), min_size=1, max_size=9))
def test_a_damaged_image_is_broken_or_of_the_size(places):
    data = bytearray(encoded(picture(4)))
    for place, change in places:
        data[place % len(data)] ^= change
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a damaged header may claim a size of which Pillow warns
        try:
            pixels = images(height=HEIGHT, width=WIDTH).function(memoryview(data))
        except ValueError:
            return
    assert np.asarray(pixels).shape == (HEIGHT, WIDTH, 3)


def test_what_is_no_image_is_named_or_becomes_zeros(tmp_path):
    deep = pytest.importorskip("PIL.Image", reason=NO_PILLOW).fromarray(np.zeros((9, 9), np.uint16))
    bad = {"no JPEG, PNG or WebP in 3 bytes": b"abc", "mode I;16 has more than 8 bits a pixel": encoded(deep)}
    for number, (reason, data) in enumerate(bad.items()):
        file = write_images(tmp_path / f"{number}.arrow", [encoded(picture(5)), data])
        with pytest.raises(LoaderError, match=rf"column 'image' of row 1 of .*{number}\.arrow cannot be .*{reason}"):
            list(Loader(file, 2, decode={"image": images(height=HEIGHT, width=WIDTH)}))
        loader = Loader(
            file, 2, order="sequential", decode={"image": images(height=HEIGHT, width=WIDTH, broken="zeros")}
        )
        (batch,) = list(loader.numpy())
        assert (batch["image"][1] == 0).all()
        assert loader.stats().broken_rows == 1


def test_a_small_file_that_claims_many_pixels_is_broken():
    vast = pytest.importorskip("PIL.Image", reason=NO_PILLOW).new("1", (9_000, 9_000))
    with pytest.raises(ValueError, match="9,000 x 9,000 pixels, at most 67,108,864 are decoded"):
        images(height=HEIGHT, width=WIDTH).function(memoryview(encoded(vast)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": 0}, "height of images is 0: give an integer from 1"),
        ({"width": 2.5}, "width of images is 2.5"),
        ({"fit": "pad"}, "fit of images is 'pad': choose one of stretch, crop"),
        ({"broken": "skip"}, "broken of a decoder is 'skip'"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    pytest.importorskip("PIL", reason=NO_PILLOW)
    with pytest.raises(LoaderError, match=message):
        images(**{"height": 8, "width": 8, **arguments})


def test_without_pillow_the_extra_is_named_and_the_loader_works():
    code = """
import sys
sys.modules["PIL"] = None
import resources.loader.decoding.images
from resources.errors import LoaderError
try:
    resources.loader.decoding.images.images(height=8, width=8)
except LoaderError as error:
    assert "install the extra `images`" in str(error), error
else:
    raise SystemExit("no error")
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
