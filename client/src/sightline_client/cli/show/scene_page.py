"""Self-contained HTML page of the answers that a changed scene would have given."""

from functools import partial
from itertools import zip_longest
from pathlib import Path

from sightline.gateway.v1 import admin_service_pb2 as pb
from sightline_client.cli.show import page, scenes


def write(path: Path, scene: str, value: pb.DiffSceneResponse) -> None:
    """Write the page, its folder too."""
    made = page.environment(photo_of=lambda _: "")
    made.globals.update(words=scenes, zip=partial(zip_longest, fillvalue="–"))
    text = made.get_template("scene_diff.html.j2").render(scene=scene, found=value)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
