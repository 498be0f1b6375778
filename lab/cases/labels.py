"""Labels on photos: what reading them adds to a search by photo, and what it costs."""

import asyncio
import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import grpc
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from bench.datasets import unique
from bench.harness.machine import ROOT
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import percentile, ratio
from embedder.domain.fitted import CATALOGUE, Labelled, unit
from embedder.fitting import folds
from embedder.fitting.components import Rows
from embedder.fitting.fit import FitOptions, fit_rows
from embedder.fitting.measuring import FOLDS
from examples.wines.catalogue import load_wines
from lab.cases.accuracy import JUDGE
from lab.datasets import featured, groceries, grocery, labels
from lab.harness import rounds
from lab.harness.rounds import RoundFigures
from lab.peers import embedders
from retriever.columns.word_index import WordIndex
from retriever.domain.words import Words, label_words, labels_of
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc
from sightline_rules.evaluation.work import finish
from sightline_rules.words import words_of

Say: TypeAlias = Callable[[str], None]
Floats: TypeAlias = npt.NDArray[np.float32]
Flags: TypeAlias = npt.NDArray[np.bool_]
Integers: TypeAlias = npt.NDArray[np.int64]

WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
WEIGHT = 0.3
"""Default weight of the part `labels`."""
READ_PHOTOS = 4
"""Photos of a grocery whose labels are read, besides the iconic one."""
SEED = 23
FIT_SEED = 0
RESAMPLES = 2_000
KEPT_SIDES, TURNED, DARKENED = 0.8, 10.0, (0.35, 0.7)
"""Changes of a wine's photo: share of the sides that is kept, degrees, brightness."""
LINES = range(9, 12)
"""Lines of the photos of a label of about ten."""
LEAST_GAIN, MOST_TEN, MOST_BLANK = 0.03, 350.0, 150.0
SECONDS = 60.0
TEN, BLANK = "ten lines", "no text"
PACKAGES, LOOSE, ALL = "groceries in packages", "loose groceries", "all groceries"
CROSSED = "groceries in packages, cross-validation"
WINES = "wines, cropped, turned and darkened"


@dataclass(frozen=True, slots=True)
class _Catalog:
    """Products and queries, with what both searches say of each pair."""

    cosines: Floats
    """[queries, products]."""
    matches: Floats
    """[queries, products]: how well a label's words match, 0 to 1."""
    right: npt.NDArray[np.int64]
    """[queries]: the product."""
    scenes: Integers
    """[queries]: the scene, as photos of one scene depend on one another."""

    @property
    def everything(self) -> Flags:
        """All queries."""
        return np.ones(len(self.right), np.bool_)

    def hits(self, weight: float, chosen: Flags) -> Flags:
        """Return whether the best product of each chosen query is the right one."""
        best = (self.cosines + weight * self.matches).argmax(axis=1)
        return np.asarray(best == self.right, np.bool_)[chosen]


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """Figures of all measurements."""

    hits: Mapping[str, Mapping[float, Flags]]
    """Hits of the queries, true or false, by photos, then by the weight of labels."""
    unread: Mapping[str, float]
    """Share of queries without a word that a product has."""
    scenes: Mapping[str, Integers]
    """Scene of each query, as in _Catalog."""
    times: RoundFigures


def run(say: Say) -> BenchResult:
    """Measure on the groceries in $SIGHTLINE_DATA and the example wines."""
    folder = grocery.find()
    models = (groceries.BACKBONE, JUDGE)
    if folder is None or not labels.there() or not all(map(featured.there, models)):
        return _absent()
    with embedders.without_cache(say) as served:
        say("groceries")
        shelves, packed = _groceries(folder, served.port, say)
        say("groceries: cross-validation")
        crossed = _crossed(folder, served.port, say)
        say("wines")
        bottles = _wines(served.port, served.folder, say)
        parts = {
            PACKAGES: (shelves, packed),
            CROSSED: (crossed, crossed.everything),
            LOOSE: (shelves, ~packed),
            ALL: (shelves, shelves.everything),
            WINES: (bottles, bottles.everything),
        }
        times = asyncio.run(_times(served.port, served.programs, folder, say))
    return _result(
        LabelFigures(
            {
                name: {weight: catalog.hits(weight, chosen) for weight in WEIGHTS}
                for name, (catalog, chosen) in parts.items()
            },
            {
                name: float((catalog.matches[chosen].max(axis=1) == 0).mean())
                for name, (catalog, chosen) in parts.items()
            },
            {name: catalog.scenes[chosen] for name, (catalog, chosen) in parts.items()},
            times,
        )
    )


def _groceries(folder: Path, port: int, say: Say) -> tuple[_Catalog, Flags]:
    """Return the validation photos against products with the train photos, and which of them show
    packages."""
    data, asked = grocery.load(folder), groceries.photos(folder, "validation")
    train = _train(folder, data)
    cosines = _cosines(train, np.arange(len(train.products)), asked.features)
    matches, packed = grocery_labels(folder, port, say)
    right = data.validation.products
    return _Catalog(cosines, matches, right, np.arange(len(right))), packed


def _crossed(folder: Path, port: int, say: Say) -> _Catalog:
    """Return the train photos of packages against products with the train photos of other
    scenes."""
    data = grocery.load(folder)
    train, packed = _train(folder, data), _packages(data.train.paths)
    scenes, right = np.array(folds.numbered(train.groups)), data.train.products
    fold_of = folds.dealt(scenes, right, FOLDS, SEED)
    found = []
    for fold in range(FOLDS):
        shown = np.flatnonzero(fold_of != fold)
        asked = np.flatnonzero((fold_of == fold) & packed)
        files = [data.train.paths[int(row)].read_bytes() for row in asked]
        index = _grocery_words(folder, shown, port, say)
        matches = _matches(index, labels.texts(port, files, say))
        cosines = _cosines(train, shown, train.features[asked, 0])
        found.append((cosines, matches, right[asked], scenes[asked]))
    return _Catalog(*(np.concatenate(each) for each in zip(*found, strict=True)))


def _train(folder: Path, data: grocery.Grocery) -> Labelled:
    """Return the train photos of groceries, in groups by scene."""
    photos = groceries.photos(folder, "train")
    judged = featured.heads(featured.backbone(JUDGE), data.train.paths)
    return Labelled(
        features=photos.features[:, None],
        kinds=np.full(len(photos.names), CATALOGUE, np.int8),
        products=[str(product) for product in data.train.products],
        groups=[str(scene) for scene in grocery.scenes(judged, data.train.products)],
        categories=photos.categories,
        sentences=None,
    )


def _cosines(train: Labelled, rows: Rows, queries: Floats) -> Floats:
    """Return the cosine of each query and the nearest of some train photos of each product,
    [queries, products], in a space that is fitted to these photos; -1 for a product without any."""
    space = fit_rows(train, rows, FitOptions(), FIT_SEED, texts=False)
    held = space.embed(train.features[rows, 0], train.kinds[rows])
    near = space.embed(queries, np.full(len(queries), CATALOGUE, np.int8)) @ held.T
    products = np.array(train.products, np.int64)
    shown, every = products[rows], range(int(products.max()) + 1)
    return np.stack([near[:, shown == each].max(axis=1, initial=-1.0) for each in every], axis=1)


def grocery_labels(folder: Path, port: int, say: Say) -> tuple[Floats, Flags]:
    """Return how well the labels of the validation photos match each product, [photos, products], 0
    to 1, and which of the photos show packages."""
    data = grocery.load(folder)
    index = _grocery_words(folder, np.arange(len(data.train.paths)), port, say)
    read = labels.texts(port, [path.read_bytes() for path in data.validation.paths], say)
    return _matches(index, read), _packages(data.validation.paths)


def _grocery_words(folder: Path, rows: Rows, port: int, say: Say) -> WordIndex:
    """Return the words of the groceries, with the labels of their iconic photos and of up to
    READ_PHOTOS of these train photos each."""
    data, classes = grocery.load(folder), grocery.classes(folder)
    draw, shown = random.Random(SEED), set(rows.tolist())
    chosen = []
    for number in range(len(classes)):
        mine = np.flatnonzero(data.train.products == number).tolist()
        drawn = draw.sample(mine, min(len(mine), READ_PHOTOS))
        chosen.append([data.train.paths[row] for row in drawn if row in shown])
    words = [
        Words(
            _words(row["Class Name (str)"].replace("-", " ")),
            _words(row["Coarse Class Name (str)"]),
            "",
        )
        for row in classes
    ]
    paths = [[iconic, *some] for iconic, some in zip(data.iconic.paths, chosen, strict=True)]
    return _index(words, [[path.read_bytes() for path in each] for each in paths], port, say)


def _wines(port: int, place: Path, say: Say) -> _Catalog:
    """Return changed photos of the example wines against the wines."""
    wines = load_wines()
    paths = [wine.image for wine in wines]
    draw, changed = random.Random(SEED), []
    for number, path in enumerate(paths):
        changed.append(place / f"{number}.jpg")
        changed[-1].write_bytes(_changed(path, draw))
    model = featured.backbone(groceries.BACKBONE)

    def vectors(of: Sequence[Path]) -> Floats:
        made = featured.features(model, of, model.recipe, 1, place)
        return unit(np.square(made[:, 0, model.blocks[featured.HEAD]]))

    words = [
        Words(
            _words(wine.title),
            _words(" ".join((wine.brand, *wine.category_path, *wine.tags))),
            _words(" ".join((wine.attributes.region, *wine.attributes.grapes))),
        )
        for wine in wines
    ]
    index = _index(words, [[path.read_bytes()] for path in paths], port, say)
    read = labels.texts(port, [path.read_bytes() for path in changed], say)
    cosines = vectors(changed) @ vectors(paths).T
    every = np.arange(len(wines))
    return _Catalog(cosines, _matches(index, read), right=every, scenes=every)


def _changed(path: Path, draw: random.Random) -> bytes:
    """Return a photo cropped at a random place, turned and darkened."""
    with Image.open(path) as photo:
        width, height = photo.size
        wide, high = KEPT_SIDES * width, KEPT_SIDES * height
        left, top = draw.uniform(0, width - wide), draw.uniform(0, height - high)
        turned = photo.convert("RGB").rotate(
            draw.uniform(-TURNED, TURNED), Image.Resampling.BICUBIC, fillcolor=(200, 200, 200)
        )
        cut = turned.crop((round(left), round(top), round(left + wide), round(top + high)))
    dark = ImageEnhance.Brightness(cut).enhance(draw.uniform(*DARKENED))
    dark.save(file := io.BytesIO(), "JPEG", quality=85)
    return file.getvalue()


def _packages(paths: Sequence[Path]) -> Flags:
    """Return which photos show packages."""
    return np.array(["Packages" in path.parts for path in paths])


def _words(text: str) -> str:
    return " ".join(words_of(text))


def _index(
    words: Sequence[Words], photos: Sequence[Sequence[bytes]], port: int, say: Say
) -> WordIndex:
    """Return the words of products and of the labels on their photos, as the retriever has them."""
    read = iter(labels.texts(port, [photo for each in photos for photo in each], say))
    index = WordIndex()
    for place, (held, mine) in enumerate(zip(words, photos, strict=True)):
        texts = map("\n".join, islice(read, len(mine)))
        index.put(place, held._replace(labels=labels_of(texts)))
    return index


def _matches(index: WordIndex, read: Sequence[Sequence[str]]) -> Floats:
    """Return how well the words of each query's label match each product."""
    found = np.zeros((len(read), len(index)), np.float32)
    for row, lines in enumerate(read):
        asked = index.of_label(label_words("\n".join(lines)))
        if asked.words:
            each = finish(index.asked(asked.words, asked.others).matching())
            found[row, each.places] = each.matches
    return found


async def _times(port: int, programs: Sequence[int], folder: Path, say: Say) -> RoundFigures:
    wines = sorted((ROOT / "examples/wines/images").glob("*.jpg"))
    photos = grocery.load(folder).validation.paths
    loose = [path for path, packed in zip(photos, _packages(photos), strict=True) if not packed]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)

        async def lines(photo: bytes) -> int:
            request = pb.ReadLabelsRequest(image=photo)
            return len((await stub.ReadLabels(request, timeout=SECONDS)).lines)

        async def chosen(paths: Sequence[Path], counts: range) -> Iterator[bytes]:
            files = [path.read_bytes() for path in paths[:60]]
            return unique.unique([each for each in files if await lines(each) in counts])

        ten, blank = await chosen(wines, LINES), await chosen(loose, range(1))

        async def read_ten() -> None:
            await lines(next(ten))

        async def read_blank() -> None:
            await lines(next(blank))

        return await rounds.alternate({TEN: read_ten, BLANK: read_blank}, programs, say)


def _gain(found: LabelFigures, name: str) -> Interval:
    """Return what labels at the default weight add to the share of right first products."""
    with_labels, without = (found.hits[name][weight].astype(float) for weight in (WEIGHT, 0.0))
    scenes = folds.numbered(found.scenes[name].tolist())
    gained = np.bincount(scenes, with_labels - without)
    return ratio(list(zip(gained, np.bincount(scenes), strict=True)), resamples=RESAMPLES)


def _result(found: LabelFigures) -> BenchResult:
    ten, blank = (percentile(found.times.cpu_milliseconds[name], 0.5) for name in (TEN, BLANK))
    gains = {name: _gain(found, name) for name in found.hits}
    packages, crossed = gains[PACKAGES], gains[CROSSED]
    again = "top-1 gained, packages, cross-validation"
    return BenchResult(
        tables=(_accuracy(found, gains), _costs(found.times)),
        figures={
            "top_1": {
                name: {f"{weight:g}": float(hits.mean()) for weight, hits in each.items()}
                for name, each in found.hits.items()
            },
            "unread": found.unread,
            "ms": found.times.milliseconds,
            "cpu_ms": found.times.cpu_milliseconds,
        },
        goals=(
            Goal("top-1 gained, packages", None, "", packages, LEAST_GAIN, by_figure=True),
            Goal("top-1 gained, packages: all of its interval above 0", None, "", packages, 1e-9),
            Goal(again, None, "", crossed, LEAST_GAIN, by_figure=True),
            Goal(f"{again}: all of its interval above 0", None, "", crossed, 1e-9),
            Goal("top-1 gained, wines", None, "", gains[WINES], LEAST_GAIN, by_figure=True),
            Goal("top-1 gained, loose groceries", None, "", gains[LOOSE], 0.0, by_figure=True),
            Goal("processor time of a photo with ten lines", MOST_TEN, "ms", ten),
            Goal("processor time of a photo without text", MOST_BLANK, "ms", blank),
        ),
    )


def _accuracy(found: LabelFigures, gains: Mapping[str, Interval]) -> BenchTable:
    headers = ("photos", "number", "without a known word", *(f"{w:g}" for w in WEIGHTS))
    return BenchTable(
        "Queries whose first product is the right one",
        (*headers, f"gain at {WEIGHT:g}"),
        tuple(
            (
                name,
                f"{len(each[0.0]):,}",
                f"{found.unread[name]:.0%}",
                *(f"{hits.mean():.3f}" for hits in each.values()),
                _shown(gains[name], 3),
            )
            for name, each in found.hits.items()
        ),
        "By the cosine of photos plus the weight in the head of the column × the match of the"
        " label's words. Groceries: phone photos of the validation part against 81 products with"
        f" the photos of the train part, in a fitted space; labels of {READ_PHOTOS} of these photos"
        " and of the iconic one were read. Cross-validation: photos of packages of the train part"
        f" against products with the photos and labels of the other {FOLDS - 1} of {FOLDS} folds,"
        " with scenes kept together. Wines: the example wines, by the built-in space against"
        " the photos that the queries were made of. Gains are paired, with 95% intervals,"
        " by the bootstrap over scenes for the cross-validation, by which the weight was chosen.",
        section=None,
    )


def _costs(times: RoundFigures) -> BenchTable:
    return BenchTable(
        "Cost of reading a photo, one caller",
        ("photo", "ms", "ms of processor time"),
        tuple(
            (
                name,
                _shown(percentile(times.milliseconds[name], 0.5), 0),
                _shown(percentile(times.cpu_milliseconds[name], 0.5), 0),
            )
            for name in (TEN, BLANK)
        ),
        "Embedder and Triton together. Ten lines: wines of which 9 to 11 lines were read; no text:"
        " loose groceries of which none was read. Medians with their 95% intervals.",
        section=None,
    )


def _shown(found: Interval, digits: int) -> str:
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def _absent() -> BenchResult:
    missing = "needs $SIGHTLINE_DATA with grocery, and the built models"
    names = ("top-1 gained by labels", "processor time of reading a photo")
    return BenchResult(
        tables=(),
        figures={},
        goals=tuple(Goal(name, None, "", None, missing=missing) for name in names),
    )
