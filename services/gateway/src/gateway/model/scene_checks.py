"""What is wrong with a whole scene, where each of its entries is fine. Pure."""

from collections.abc import Iterator

from gateway.model.branch import SIMILARITY_BRANCHES
from gateway.model.scene import Scene


def problems(scene: Scene) -> Iterator[str]:
    """Why the scene can't be used. Each begins with the entry."""
    if not any((*scene.parts_with_signals.values(), *scene.parts_without_signals.values())):
        yield "parts_with_signals and parts_without_signals: all scores would be 0"


def warnings(scene: Scene) -> Iterator[str]:
    """What of a scene that can be used has no effect. Each begins with the entry."""
    for part in SIMILARITY_BRANCHES:
        if scene.parts_with_signals.get(part) and not scene.branches[part]:
            yield f"parts_with_signals.{part}: the branch {part} is not used"
