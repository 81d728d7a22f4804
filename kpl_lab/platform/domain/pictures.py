"""Pictures of strangers: recognised by content, opened by few decoders, shown only re-encoded."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from kpl_lab.errors import Invalid

# Pillow knows many more, some of which start other programs (EPS) or were written long ago.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 64_000_000
_SHOWN_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
_BROKEN = (OSError, SyntaxError, ValueError, OverflowError, EOFError)


class _TooManyPixels(Exception):
    """More pixels than are decoded here."""


@contextmanager
def _opened(source: Path | io.BytesIO) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(source, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _TooManyPixels
            yield image


def media_type(head: bytes) -> str | None:
    """Return the media type of a picture that begins with ``head``; None for anything else."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith((b"II*\x00", b"MM\x00*")):
        return "image/tiff"
    if head.startswith((b"P5", b"P6")) and head[2:3].isspace():
        return "image/x-portable-anymap"
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "image/bmp"
    return None


def why_no_picture(path: Path) -> str | None:
    """Return in words why a file cannot be shown as a picture; None when it can."""
    try:
        with _opened(path) as image:
            image.verify()
    except UnidentifiedImageError:
        with path.open("rb") as file:
            begins_like_one = media_type(file.read(16)) is not None
        return "is a broken picture" if begins_like_one else "is not a picture"
    except (_TooManyPixels, Image.DecompressionBombError):
        return "has more pixels than is safe to open"
    except _BROKEN as error:
        return f"is a broken picture ({error})"
    return None


def as_png(data: bytes, size: int) -> bytes:
    """Return a picture re-encoded as PNG, at most ``size`` pixels wide and high.

    A browser never gets the bytes of a stranger's picture, so a hostile one (an SVG, HTML with a
    picture's name) cannot run.

    Raises
    ------
    Invalid
        It is not a picture, a broken one, or one with more pixels than is safe to open.
    """
    try:
        with _opened(io.BytesIO(data)) as image:
            image.draft("RGB", (size, size))
            image.thumbnail((size, size))
            shown = image if image.mode in _SHOWN_MODES else _with_shown_mode(image)
            out = io.BytesIO()
            shown.save(out, "PNG")
            return out.getvalue()
    except (UnidentifiedImageError, _TooManyPixels, Image.DecompressionBombError) as error:
        raise Invalid(
            "This field cannot be shown as a picture; download it instead.", code="no_picture"
        ) from error
    except _BROKEN as error:
        raise Invalid(
            f"This picture is broken and cannot be shown ({error}).", code="no_picture"
        ) from error


def _with_shown_mode(image: Image.Image) -> Image.Image:
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image.convert("RGBA")
    # More than eight bits a pixel: spread what is there over black to white.
    values = image.convert("F")
    low, high = (float(v) for v in values.getextrema())  # type: ignore[arg-type]  # one band
    scale = 255.0 / (high - low) if high > low else 0.0
    return values.point(lambda v: v * scale - low * scale).convert("L")
