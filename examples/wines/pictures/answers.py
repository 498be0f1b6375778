"""Pictures of answers: the demo's page, every scene, and heat maps of two photos."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from PIL import Image

from examples.wines.demo import page
from examples.wines.demo import scenes as demo
from examples.wines.demo.model import Scene
from examples.wines.loading import Wine
from examples.wines.pictures.camera import Camera
from sightline_client import SightlineClient

PAGE_STYLE = """
main { padding: 1.4rem 1.25rem 1.2rem; max-width: none; }
footer, h3, .scroll, .finding, main > p ~ p { display: none; }
main > p { font-size: 1.05rem; max-width: none; }
section { display: grid; grid-template-columns: 10.5rem 1fr; gap: 0 1.6rem; align-items: start; }
section > * { grid-column: 1 / -1; max-width: none; }
section > .queries { grid-column: 1; margin: .4rem 0 0; }
section > .queries ~ .cards { grid-column: 2; }
section > small { display: none; }
section > p:has(small), details small, details > .soft { display: none; }
h2 { margin-top: 1.4rem; padding-top: .9rem; }
.cards { grid-template-columns: repeat(5, minmax(0, 1fr)); margin-top: .4rem; }
.cards img { height: 9rem; }
.part > span:first-child { overflow: hidden; text-overflow: ellipsis; min-width: 0; }
.part { grid-template-columns: minmax(0, 1fr) auto; }
"""
"""Style: the request is shown on the left of the answer."""
SCENE_STYLE = f"""{PAGE_STYLE}
main {{ padding: 0; }}
details {{ display: none; }}
section {{ padding: .2rem 1.1rem 1.1rem; }}
h2 {{ margin-top: 0; padding-top: .8rem; border: 0; }}
"""
HEAT_WINE = "101847"
"""The wine whose changed photo is compared."""
HEAT_PLACES = (1, 2, 3)
SIDE = 224
"""Pixels of a square of a heat map."""


@dataclass(frozen=True, slots=True)
class Heat:
    """One product beside the query photo."""

    title: str
    similarity: float
    photo: bytes
    sent: bytes
    """The query photo, with the regions that make the two similar."""
    found: bytes
    """The product's photo, with the regions that make the two similar."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Answers of the suite that the pictures show."""

    demo: Sequence[Scene]
    scenes: Sequence[Scene]
    photos: Mapping[str, bytes]
    sent: bytes
    heats: Sequence[Heat]


async def ask(
    client: SightlineClient,
    wines: Sequence[Wine],
    scenes: Sequence[Scene],
    photos: Mapping[str, bytes],
) -> Seen:
    """Send the requests to a filled suite. `scenes`, `photos`: those of `make demo-scenes`."""
    shown = [await demo.photo(client, wines)]
    sent = demo.changed_photo(demo.by_id(wines)[HEAT_WINE])
    answer = await client.recommend(image=sent, page_size=max(HEAT_PLACES))
    heats = []
    for place in HEAT_PLACES:
        product = answer.results[place - 1].product
        drawn = await client.heat_map(sent, product.product_id)
        photo = (await client.get_image(product.images[0].image_id)).content
        heats.append(Heat(product.title, drawn.similarity, photo, *halves(drawn.png)))
    photos = {**photos, **await page.photos(client, shown)}
    return Seen(shown, scenes, photos, sent, heats)


def halves(png: bytes) -> tuple[bytes, bytes]:
    """Return the two squares of a heat map as PNG: above the photo, below the product's."""
    parts = []
    with Image.open(io.BytesIO(png)) as image:
        for top in (0, image.height - SIDE):
            out = io.BytesIO()
            image.crop((0, top, image.width, top + SIDE)).save(out, "PNG")
            parts.append(out.getvalue())
    return parts[0], parts[1]


def take(camera: Camera, seen: Seen, folder: Path) -> None:
    """Write the pictures of the demo's page, of each scene and of heat maps. `folder`: for the
    pages, which are not kept."""
    path = folder / "page.html"
    lead = (
        "A shopper's photo, cropped, turned and darkened, finds its wine and those that look like"
        " it. Each score is a sum of named parts.",
    )
    page.write(path, lead=lead, scenes=seen.demo, photos=seen.photos)
    camera.take(path.read_text("utf-8"), "demo", show="main", style=PAGE_STYLE)
    for scene in seen.scenes:
        named = replace(scene, title=scene.title.partition(". ")[2])
        page.write(path, lead=(), scenes=[named], photos=seen.photos)
        name = f"scenes/{named.title.replace(', with ', '-')}"
        html = path.read_text("utf-8")
        camera.take(html, name, show="section", style=SCENE_STYLE, scale=1)
    camera.take(template("heat.html.j2", sent=seen.sent, heats=seen.heats), "heat-map")


def template(name: str, **values: object) -> str:
    """Return a template of this folder, filled."""
    made = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    made.globals["content_policy"] = page.POLICY
    made.filters["uri"] = page.data_uri
    return made.get_template(name).render(**values)
