"""Photos from files, memory, the web, Pillow or NumPy.

Pillow and NumPy are optional (``pip install 'sightline-client[photos]'``): without them files,
bytes and URIs still work.
"""

import asyncio
import io
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sightline_client.values.catalog import ProductImage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Pixels: TypeAlias = Image | NDArray[np.uint8]
    Photo: TypeAlias = "bytes | PathLike[str] | Uri | Pixels"
else:
    Photo = object

MAX_BYTES = 10 * 1024 * 1024
"""Maximum size of one photo in bytes."""


class Uri(str):
    """Address from which the suite fetches a photo: ``Uri("https://shop.example/shelf.jpg")``. The
    suite rejects addresses that its settings do not allow (URI_FORBIDDEN). A plain ``str`` is not
    accepted, because it could be a file or an address."""

    __slots__ = ()


async def load(photo: Photo) -> bytes | Uri:
    """Return the photo as it will be sent: its bytes, or its address.

    A photo is its bytes, its file, a ``Uri``, a Pillow image, or a NumPy array of shape (height,
    width, 3) or (height, width), uint8, RGB or grey. Pixels become a lossless PNG, or, if that
    exceeds the limit, a JPEG of quality 95. OSError for a file that can't be read, TypeError for
    what is no photo.
    """
    return photo if isinstance(photo, bytes | Uri) else await asyncio.to_thread(_content, photo)


def product_image(photo: Photo) -> ProductImage:
    """Return the photo of a product to be written. Reads a file at once."""
    if isinstance(photo, Uri):
        return ProductImage(uri=photo)
    return ProductImage(content=photo if isinstance(photo, bytes) else _content(photo))


def _content(photo: "PathLike[str] | Pixels") -> bytes:
    return Path(photo).read_bytes() if isinstance(photo, PathLike) else encode(photo)


def encode(pixels: "Pixels") -> bytes:
    """Encode a Pillow image or a NumPy array as a file. TypeError for anything else."""
    image = _image(pixels)
    if image.mode not in {"RGB", "L", "RGBA"}:
        image = image.convert("RGB")
    # EXIF says how the pixels of an image that was opened from a file are to be turned.
    exif = image.info.get("exif", b"")
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1, exif=exif)
    if out.tell() > MAX_BYTES:
        out = io.BytesIO()
        image.convert("RGB").save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


def _image(pixels: Any) -> "Image":
    try:
        from PIL import Image
    except ImportError as error:  # pragma: no cover (both are installed for the tests)
        raise TypeError(_not_a_photo(pixels)) from error
    if isinstance(pixels, Image.Image):
        return pixels
    if not hasattr(pixels, "__array_interface__"):
        raise TypeError(_not_a_photo(pixels))
    shape, kind = pixels.shape, pixels.dtype.name
    if kind != "uint8" or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in {3, 4})):
        raise TypeError(
            f"a photo is an array of uint8 of shape (height, width, 3), not {kind} of {shape}"
        )
    return Image.fromarray(pixels)


def _not_a_photo(value: Any) -> str:
    hint = ": write Path(…) for a file, Uri(…) for an address" if isinstance(value, str) else ""
    return (
        f"a photo is bytes, a path, a Uri, a Pillow image or a NumPy array, not"
        f" {type(value).__name__}{hint}"
    )
