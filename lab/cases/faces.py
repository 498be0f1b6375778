"""Faces in photos of products: which are found, what is taken for one, and what blurring costs a
search."""

import asyncio
import io
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import grpc
import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.datasets import unique
from bench.harness.machine import ROOT
from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import mean, median_ratio, percentile
from embedder.domain.faces import MAPS, Face, faces
from embedder.domain.fitted import unit
from embedder.domain.photos import Box
from embedder.embedding.find_faces import MODEL
from embedder.preprocessing import preprocess
from lab.datasets import featured, groceries, grocery, people
from lab.datasets.people import Person
from lab.harness import rounds
from lab.harness.rounds import RoundFigures
from lab.peers import embedders
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc
from sightline_rules.blurring import blurred
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photos import PhotoLimits

Say: TypeAlias = Callable[[str], None]
Floats: TypeAlias = npt.NDArray[np.float32]

SHARES = (0.04, 0.06, 0.1, 0.2, 0.4)
"""Heights of faces relative to the photo's shorter side."""
SIDE = 960
"""Pixels of the shorter side of the photos that people are put into."""
SAME = 0.3
"""Least intersection by union of a found face and the real one."""
PHOTOS, CATALOGUE = 600, 1_000
SHOWN = 0.15
"""Height of the faces in the search."""
NEAREST = 5
LEAST_RECALL, MOST_LOSS, MOST_COST = 0.95, 0.02, 4.0
SECONDS = 60.0
FIND, EMBED = "finding faces", "an embedding"
LIMITS = PhotoLimits()


@dataclass(frozen=True, slots=True)
class FaceFigures:
    """Figures of all measurements."""

    found: Mapping[str, Mapping[float, Sequence[bool]]]
    """True for each face that was found, by its source and its height."""
    left: Sequence[bool]
    """True for each blurred face in whose place a face was found."""
    alarms: Mapping[str, Sequence[bool]]
    """True for each photo of a product in which a face was found, by the data set."""
    hits: Mapping[str, Sequence[bool]]
    """True for each query that found its product, by the content of the catalog's photos."""
    blur: Sequence[float]
    """Processor milliseconds of blurring a photo."""
    times: RoundFigures


def run(say: Say) -> BenchResult:
    """Measure on the photos in $SIGHTLINE_DATA and the faces of scikit-image."""
    folder = grocery.find()
    if folder is None or not featured.there(MODEL) or not people.there():
        return _absent()
    clothing = sorted((folder.parent / "clothing").rglob("*.jpg"))
    random.Random(0).shuffle(clothing)
    wines = sorted((ROOT / "examples" / "wines" / "images").glob("*.jpg"))
    shelves = grocery.load(folder)
    say("faces in photos of clothes")
    found, left, blur = _recall(clothing, say)
    say("photos without people")
    data = {
        "clothing": clothing[:PHOTOS],
        "groceries": [*shelves.iconic.paths, *shelves.train.paths][:PHOTOS],
        "wines": wines,
    }
    alarms = {
        name: [bool(_found(path.read_bytes())) for path in paths] for name, paths in data.items()
    }
    say("searches among photos with people")
    hits = _hits(shelves, random.Random(0))
    with embedders.without_cache(say) as served:
        times = asyncio.run(_times(served.port, served.programs, say))
    return _result(FaceFigures(found, left, alarms, hits, blur, times))


def _recall(
    paths: Sequence[Path], say: Say
) -> tuple[dict[str, dict[float, list[bool]]], list[bool], list[float]]:
    """Return whether each face is found, by source and height; whether one is after blurring; and
    the processor milliseconds of blurring."""
    sources: dict[str, list[Person]] = {
        "a portrait": [people.astronaut()] * people.FACES,
        "small crops": people.crops(),
    }
    found: dict[str, dict[float, list[bool]]] = {}
    left, spent = [], []
    for name, persons in sources.items():
        for share in SHARES:
            say(f"{name}, {share:.0%} of the photo's shorter side")
            draw, outcomes = random.Random(0), []
            for path, person in zip(paths, persons, strict=False):
                photo, face = people.shown(_large(path), person, share, draw)
                data = _jpeg(photo)
                outcomes.append(_is_found(data, face))
                if name == "a portrait":
                    since = time.process_time()
                    hidden = blurred(data, LIMITS, [face])
                    spent.append(1e3 * (time.process_time() - since))
                    left.append(_is_found(hidden, face))
            found.setdefault(name, {})[share] = outcomes
    return found, left, spent


def _large(path: Path) -> Image.Image:
    with Image.open(path) as photo:
        scale = SIDE / min(photo.size)
        sides = [round(side * scale) for side in photo.size]
        return photo.convert("RGB").resize((sides[0], sides[1]), Image.Resampling.LANCZOS)


def _jpeg(photo: Image.Image) -> bytes:
    photo.save(file := io.BytesIO(), "JPEG", quality=90)
    return file.getvalue()


def _found(data: bytes) -> list[Face]:
    """Return the faces in a photo, as the embedder finds them, without its server."""
    model = featured.backbone(MODEL)
    pixels, _, ratio = preprocess.pixels(data, LIMITS, model.recipe)
    side = model.recipe.side
    image = np.frombuffer(pixels, np.uint8).reshape(1, side, side, 3)
    maps = featured.opened(MODEL).run(["faces"], {"image": image})[0]
    return faces(maps.reshape(MAPS, side // 4, side // 4), ratio)


def _is_found(data: bytes, face: PhotoArea) -> bool:
    return any(_overlap(each.box, face) >= SAME for each in _found(data))


def _overlap(one: Box, other: PhotoArea) -> float:
    """Return the intersection by union of two boxes."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    both = max(width, 0) * max(height, 0)
    mine = (one.right - one.left) * (one.bottom - one.top)
    its = (other.right - other.left) * (other.bottom - other.top)
    return both / (mine + its - both)


def _hits(shelves: grocery.Grocery, draw: random.Random) -> dict[str, list[bool]]:
    """Return whether each query's product is among the nearest photos, where the photos of the
    catalog show no person, a person, or a blurred one."""
    paths = [*shelves.train.paths, *shelves.validation.paths]
    shown = np.concatenate([shelves.train.products, shelves.validation.products])
    order = draw.sample(range(len(paths)), len(paths))
    chosen, asked = order[:CATALOGUE], order[CATALOGUE:]
    products = shown[chosen]
    queries = _vectors([paths[row] for row in asked])
    persons = people.crops()
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as place:
        files: dict[str, list[Path]] = {"no person": [], "a person": [], "a blurred face": []}
        for number, row in enumerate(chosen):
            plain = _large(paths[row])
            person = people.astronaut() if number % 2 else persons[number % people.FACES]
            with_person, face = people.shown(plain, person, SHOWN, draw)
            data = _jpeg(with_person)
            made = (_jpeg(plain), data, blurred(data, LIMITS, [face]))
            for name, content in zip(files, made, strict=True):
                files[name].append(Path(place) / f"{number} {name}.jpg")
                files[name][-1].write_bytes(content)
        near = {name: queries @ _vectors(made).T for name, made in files.items()}
    return {
        name: [
            bool((products[np.argsort(-row)[:NEAREST]] == product).any())
            for row, product in zip(cosines, shown[asked], strict=True)
        ]
        for name, cosines in near.items()
    }


def _vectors(paths: Sequence[Path]) -> Floats:
    """Return the unit vectors of the default backbone."""
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as keep:
        model = featured.backbone(groceries.BACKBONE)
        made = featured.features(model, paths, model.recipe, 1, Path(keep))
    return unit(np.square(made[:, 0, model.blocks[featured.HEAD]]))


async def _times(port: int, programs: Sequence[int], say: Say) -> RoundFigures:
    source: Iterator[bytes] = unique.unique(unique.photos(unique.SMALL, 40, 2.0))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)

        async def embed() -> None:
            items = [pb.EmbedItem(image=photo) for photo in islice(source, 1)]
            await stub.BatchEmbed(pb.BatchEmbedRequest(items=items), timeout=SECONDS)

        async def find() -> None:
            (photo,) = islice(source, 1)
            await stub.FindFaces(pb.FindFacesRequest(image=photo), timeout=SECONDS)

        return await rounds.alternate({EMBED: embed, FIND: find}, programs, say)


def _result(found: FaceFigures) -> BenchResult:
    of_a_tenth = [
        outcome
        for share, outcomes in found.found["a portrait"].items()
        if share >= 0.06
        for outcome in outcomes
    ]
    pairs = zip(found.hits["a person"], found.hits["a blurred face"], strict=True)
    loss = mean([float(before) - float(after) for before, after in pairs])
    cost = median_ratio(found.times.milliseconds[FIND], found.times.milliseconds[EMBED])
    return BenchResult(
        tables=(_recalls(found), _alarms(found), _searches(found), _costs(found)),
        figures={
            "found": {
                name: {f"{share:g}": np.mean(each) for share, each in shares.items()}
                for name, shares in found.found.items()
            },
            "alarms": {name: np.mean(each) for name, each in found.alarms.items()},
            "hits": {name: np.mean(each) for name, each in found.hits.items()},
            "left": np.mean(found.left),
            "ms": found.times.milliseconds,
            "cpu_ms": found.times.cpu_milliseconds,
        },
        goals=(
            Goal(
                "faces of a portrait found, 6% of the photo's shorter side and more",
                None,
                "",
                mean(of_a_tenth),
                at_least=LEAST_RECALL,
            ),
            Goal("blurred faces that are found again", 0.01, "", mean(found.left)),
            Goal(f"hit@{NEAREST} lost by blurring faces", MOST_LOSS, "", loss),
            Goal(f"{FIND} ÷ {EMBED}, time", MOST_COST, "×", cost),
        ),
    )


def _recalls(found: FaceFigures) -> BenchTable:
    return BenchTable(
        "Faces found in photos of clothes",
        ("height of the face, share of the photo's shorter side", *found.found),
        tuple(
            (f"{share:.0%}", *(mean(each[share]).shown() for each in found.found.values()))
            for share in SHARES
        ),
        f"Share of {people.FACES} faces, each in another photo, with its 95% interval. A portrait:"
        " head and shoulders, sharp and in colour. Small crops: grey faces of 25 × 25 pixels"
        " without hair and chin, enlarged; the hardest case.",
        section=None,
    )


def _alarms(found: FaceFigures) -> BenchTable:
    return BenchTable(
        "Photos without people in which something was found",
        ("photos", "number", "share"),
        tuple((name, f"{len(each):,}", mean(each).shown()) for name, each in found.alarms.items()),
        "Faces printed on shirts, labels and packages among them; of groceries mostly round fruit.",
        section=None,
    )


def _searches(found: FaceFigures) -> BenchTable:
    return BenchTable(
        f"Queries whose product is among the {NEAREST} nearest photos",
        ("the catalog's photos show", "share"),
        tuple((name, mean(each).shown()) for name, each in found.hits.items()),
        f"Phone photos of groceries against {CATALOGUE:,} others with a face of {SHOWN:.0%} of the"
        " photo's shorter side at a random place, by the default model.",
        section=None,
    )


def _costs(found: FaceFigures) -> BenchTable:
    times = found.times
    rows = [
        (
            name,
            percentile(times.milliseconds[name], 0.5).shown(1),
            percentile(times.cpu_milliseconds[name], 0.5).shown(1),
        )
        for name in (EMBED, FIND)
    ]
    blur = percentile(found.blur, 0.5).shown(1)
    return BenchTable(
        "Cost for each photo, one caller",
        ("what", "ms", "ms of processor time"),
        (*rows, ("blurring a photo of a megapixel", "", blur)),
        "Photos of 0.3 megapixels for the first two. Medians with their 95% intervals.",
        section=None,
    )


def _absent() -> BenchResult:
    missing = "needs $SIGHTLINE_DATA with grocery and clothing, the built models, and scikit-image"
    names = ("faces found", "hit@5 lost by blurring faces")
    return BenchResult(
        tables=(),
        figures={},
        goals=tuple(Goal(name, None, "", None, missing=missing) for name in names),
    )
