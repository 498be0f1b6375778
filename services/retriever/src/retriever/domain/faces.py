"""What a catalog does about faces in photos."""

from enum import StrEnum


class FacePolicy(StrEnum):
    """Treatment of a photo with faces before it is stored."""

    LEFT = "left"
    """It is stored as it is; faces are not searched."""
    BLURRED = "blurred"
    """Its faces are blurred."""
    REFUSED = "refused"
    """It is rejected with FACE_IN_PHOTO."""
