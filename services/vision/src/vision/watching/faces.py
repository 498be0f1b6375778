"""Frames are stored without faces, whatever a catalog does with those in photos of products."""

from dataclasses import dataclass

from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_metadata import has_one_picture
from vision.ports.watching import FaceBlur, FaceFinder


@dataclass(frozen=True, slots=True)
class BlurredFrames:
    """Blurs all faces in frames."""

    finder: FaceFinder
    photos: FaceBlur

    async def without_faces(
        self, catalog_id: str, data: bytes, box: PhotoArea | None = None
    ) -> bytes:
        """Return a photo with blurred faces, or a part of it. A photo that can't be searched is not
        stored. Faces are searched in the whole one, as a part may cut them, and in its first
        picture, which is stored alone. `data`: without metadata. Raises ImageRejected,
        PhotosUnavailable, EmbedderUnavailable."""
        faces = await self.finder.faces(catalog_id, data)
        if not faces and box is None and has_one_picture(data):
            return data
        return await self.photos.blurred(catalog_id, data, faces, box)
