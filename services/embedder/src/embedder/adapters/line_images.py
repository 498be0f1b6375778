"""Lines of text in pixels, by OpenCV; it is imported with the first photo."""

from collections.abc import Sequence

from embedder.domain.items import Vectors
from embedder.domain.labels import Corners
from embedder.domain.photos import Pixels


class OpenCvLines:
    """See ports.LineImages."""

    def found(self, chances: Vectors) -> list[Corners]:
        from embedder.adapters import opencv

        return opencv.text_lines(chances)

    def cut(self, pixels: Pixels, lines: Sequence[Corners]) -> list[Pixels]:
        from embedder.adapters import opencv

        return [opencv.straightened(pixels, line) for line in lines]
