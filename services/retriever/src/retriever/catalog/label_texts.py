"""Reading of the labels on photos, after the import."""

from retriever.domain.errors import ImageDamaged, ImageNotFound, ImageRejected
from retriever.domain.words import MOST_LABEL
from retriever.ports.embedder import LabelReader
from retriever.ports.photos import Photos
from retriever.record import Record
from servicekit.errors import ServiceError

_FAILED = "MODEL_FAILED"
"""Reason of the embedder for a photo that its models can't read."""


async def read_label_texts(
    catalog_id: str, limit: int, record: Record, photos: Photos, reader: LabelReader
) -> int:
    """Read the labels of up to `limit` photos. Return their number.

    Raises PhotosUnavailable, EmbedderUnavailable or another ServiceError; what was read until then
    is stored. A photo that is lost or can't be read has no text, and is not tried again.
    """
    texts: dict[str, str] = {}
    try:
        for image_id in await record.unread(catalog_id, limit):
            try:
                data = await photos.get(catalog_id, image_id)
                texts[image_id] = (await reader.label_text(catalog_id, data))[:MOST_LABEL]
            except (ImageNotFound, ImageDamaged, ImageRejected):
                texts[image_id] = ""
            except ServiceError as error:
                if error.reason != _FAILED:
                    raise
                texts[image_id] = ""
    finally:
        if texts:
            await record.save_label_texts(catalog_id, texts)
    return len(texts)
