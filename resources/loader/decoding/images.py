"""Owns the decoder of images: JPEG, PNG and WebP to RGB of one size, by Pillow.

The orientation that a camera noted in the file is not applied, and transparency is dropped: the colours are those that
are stored. Of an animation the first frame is taken.
"""

from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import Any, Literal

from resources.errors import LoaderError
from resources.loader.decoding.decoder import Broken, Decoder

Fit = Literal["stretch", "crop"]
FITS: tuple[Fit, ...] = ("stretch", "crop")
FORMATS = ("JPEG", "PNG", "WEBP")
MOST_PIXELS = 2**26
"""Of one image, as it is decoded: a small file may claim to hold any number."""
_DEEP = ("I", "F")  # grey of more than 8 bits, of which Pillow would make white


def images(*, height: int, width: int, fit: Fit = "stretch", broken: Broken = "raise") -> Decoder:
    """Return a decoder of JPEG, PNG and WebP to `uint8` of the shape ``(height, width, 3)``, red, green, blue.

    A JPEG is decoded at the smallest of 1/8, 1/4, 1/2 and 1 of its size that is not below the target, then resized.

    Args:
        height: Of every array, in pixels.
        width: Likewise.
        fit: `stretch` resizes both sides; `crop` keeps the ratio of the sides and cuts off both ends of the longer one.
        broken: What becomes of a value that is no such image, or a part of one: see `Decoder`.

    Raises:
        LoaderError: If Pillow is not installed, or an argument is out of range.
    """
    try:
        import_module("PIL")
    except ImportError as error:
        raise LoaderError(
            "Pillow is not installed: install the extra `images` (penstock[images]) to decode images"
        ) from error
    for name, value in (("height", height), ("width", width)):
        if type(value) is not int or not 1 <= value <= 2**14:
            raise LoaderError(f"{name} of images is {value!r}: give an integer from 1 to {2**14:,}")
    if fit not in FITS:
        raise LoaderError(f"fit of images is {fit!r}: choose one of {', '.join(FITS)}")
    return Decoder(
        function=_Decode(height=height, width=width, fit=fit), shape=(height, width, 3), dtype="uint8", broken=broken
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decode:
    height: int
    width: int
    fit: Fit

    def __call__(self, data: memoryview) -> object:
        """Return the pixels of one image.

        Raises:
            ValueError: If it is none.
        """
        import numpy as np
        from PIL import Image  # pyright: ignore[reportMissingImports]

        try:
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                return np.asarray(self._resized(image))
        except ValueError:
            raise
        except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to, SyntaxError too
            raise ValueError(_told(error, data)) from None

    def _resized(self, image: Any) -> Any:  # Any: Pillow is optional and has no part in our types
        from PIL import Image, ImageOps  # pyright: ignore[reportMissingImports]

        size = (self.width, self.height)
        image.draft(None, size)
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width:,} x {image.height:,} pixels, at most {MOST_PIXELS:,} are decoded")
        if image.mode.startswith(_DEEP):
            raise ValueError(f"an image of mode {image.mode} has more than 8 bits a pixel, which RGB has no place for")
        plain = _rgb(image)
        if self.fit == "crop":
            return ImageOps.fit(plain, size, Image.Resampling.BILINEAR)
        return plain.resize(size, Image.Resampling.BILINEAR)


def _rgb(image: Any) -> Any:  # Any: as above
    if image.mode == "P" and "transparency" in image.info:  # Pillow warns of a straight way to RGB
        return image.convert("RGBA").convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _told(error: Exception, data: memoryview) -> str:
    if type(error).__name__ == "UnidentifiedImageError":
        return f"no JPEG, PNG or WebP in {len(data):,} bytes that begin with {bytes(data[:8])!r}"
    return f"{error} ({len(data):,} bytes)"
