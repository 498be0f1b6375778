"""Faces in photos of products: they are left, blurred or refused, by catalog, before the photo is
stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import Counter

from retriever.domain.errors import ImageRejected
from retriever.domain.faces import FacePolicy
from retriever.ports.embedder import FaceFinder
from retriever.ports.photos import FaceBlur
from sightline_rules.photo_metadata import has_one_picture

OTHERS = "*"
"""Stands for all catalogs that are not named."""

FOUND = Counter(
    "sightline_photos_with_faces_total",
    "Photos of products in which faces were found, by what was done: blurred or refused.",
    ("outcome",),
)


@dataclass(frozen=True, slots=True)
class FaceRules:
    """Applies the policy of each catalog for faces."""

    finder: FaceFinder
    photos: FaceBlur
    policies: Mapping[str, FacePolicy] = field(default_factory=dict)
    """Policies by catalog, or OTHERS; faces of a catalog without a policy are left."""

    def policy(self, catalog_id: str) -> FacePolicy:
        """Return the policy of a catalog."""
        others = self.policies.get(OTHERS, FacePolicy.LEFT)
        return self.policies.get(catalog_id, others)

    async def applied(self, catalog_id: str, data: bytes) -> bytes:
        """Return a photo as its catalog may store it. Where faces matter, that is its first picture
        alone, in which faces were searched: no further frames, pages or thumbnails.

        Raises ImageRejected, PhotosUnavailable, and EmbedderUnavailable while no face can be
        searched: a photo that was not searched is not stored.
        """
        policy = self.policy(catalog_id)
        if policy is FacePolicy.LEFT:
            return data
        faces = await self.finder.faces(catalog_id, data)
        if not faces:
            alone = has_one_picture(data)
            return data if alone else await self.photos.blurred(catalog_id, data, faces)
        FOUND.labels(policy.value).inc()
        if policy is FacePolicy.REFUSED:
            raise ImageRejected(
                "FACE_IN_PHOTO",
                "shows a face, and this catalog stores no photos of people: send one without",
            )
        return await self.photos.blurred(catalog_id, data, faces)
