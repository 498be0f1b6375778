"""Frames are stored without faces, whatever a catalog does with those in photos of products."""

from dataclasses import dataclass

from retriever.ports.embedder import FaceFinder
from retriever.ports.photos import FaceBlur


@dataclass(frozen=True, slots=True)
class BlurredFrames:
    """Blurs all faces in frames; see PrivateFrames in ports/watching.py."""

    finder: FaceFinder
    photos: FaceBlur

    async def without_faces(self, catalog_id: str, data: bytes) -> bytes:
        """Return a photo with blurred faces. A photo that can't be searched is not stored."""
        faces = await self.finder.faces(catalog_id, data)
        return await self.photos.blurred(catalog_id, data, faces) if faces else data
