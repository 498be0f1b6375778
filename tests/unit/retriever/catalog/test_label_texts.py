"""Labels on photos: read after the import, stored beside the photo, searched in memory."""

from __future__ import annotations

import pytest

from retriever.catalog.label_texts import read_label_texts
from retriever.columns.column_cache import Columns
from retriever.domain.errors import EmbedderUnavailable
from retriever.record import Record
from retriever.search.keywords import KeywordQuery, search
from servicekit.errors import Internal, ServiceError
from servicekit.sql.database import Database
from sightline_rules.photos import image_id
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.photo_store import FakePhotos
from tests.unit.retriever.conftest import write
from tests.unit.retriever.workers.conftest import Bench
from tests.waiting import until

MERLOT, TAWNY, BLANK = b"merlot", b"tawny", b"blank"
PHOTOS = {("default", image_id(each)): each for each in (MERLOT, TAWNY, BLANK)}


async def filled(record: Record) -> None:
    await record.write(
        "default",
        [write("a", MERLOT, title="A red one"), write("b", TAWNY, BLANK), write("c")],
    )


def embedder() -> FakeEmbedder:
    return FakeEmbedder(
        labels={MERLOT: "CASA VALDUGA\nMERLOT 750 ml", TAWNY: "DONA ANTONIA\nRESERVA TAWNY"}
    )


async def found(record: Record, columns: Columns, text: str) -> dict[str, float]:
    answer = await search(KeywordQuery("default", text, labelled=True), record, columns=columns)
    names = answer.candidates.product_ids
    return dict(zip(names, answer.candidates.similarities, strict=True))


async def test_labels_are_read_a_few_at_a_time_and_once(record: Record) -> None:
    await filled(record)
    photos, reader = FakePhotos(PHOTOS), embedder()
    counts = [await read_label_texts("default", 2, record, photos, reader) for _ in range(3)]
    assert counts == [2, 1, 0]


async def test_a_product_is_found_by_the_words_of_its_labels(record: Record) -> None:
    await filled(record)
    columns = Columns(record, patience=None)
    await columns.words("default", wait=True)
    assert await found(record, columns, "MERLOT") == {}
    await read_label_texts("default", 9, record, FakePhotos(PHOTOS), embedder())
    assert list(await found(record, columns, "casa vaiduga\nMerlot")) == ["a"]
    answer = await search(
        KeywordQuery("default", "Reserva\nred\nxyzzy", labelled=True), record, columns=columns
    )
    assert dict(answer.read) == {"a": ["red"], "b": ["reserva"]}


async def test_words_of_labels_are_no_words_of_texts(record: Record) -> None:
    await filled(record)
    await read_label_texts("default", 9, record, FakePhotos(PHOTOS), embedder())
    columns = Columns(record, patience=None)
    await columns.words("default", wait=True)
    answer = await search(KeywordQuery("default", "merlot"), record, columns=columns)
    assert not answer.candidates.product_ids
    held = await columns.words("default")
    assert held is not None
    assert "merlot" not in held[1].vocabulary().words


async def test_a_word_of_the_title_counts_more_than_one_of_a_label(record: Record) -> None:
    await filled(record)
    await record.write("default", [write("d", title="Merlot")])
    await read_label_texts("default", 9, record, FakePhotos(PHOTOS), embedder())
    columns = Columns(record, patience=None)
    await columns.words("default", wait=True)
    matches = await found(record, columns, "MERLOT")
    assert list(matches) == ["d", "a"]
    assert 0 < matches["a"] < matches["d"] < 1


async def test_a_label_goes_with_its_photo(record: Record) -> None:
    await filled(record)
    await read_label_texts("default", 9, record, FakePhotos(PHOTOS), embedder())
    columns = Columns(record, patience=None)
    await columns.words("default", wait=True)
    await record.take_down("default", image_id(MERLOT), "REASON")
    assert await found(record, columns, "MERLOT") == {}


async def test_a_photo_that_cannot_be_read_is_not_tried_again(record: Record) -> None:
    await filled(record)
    reader = embedder()
    reader.labels[MERLOT] = Internal("failed", reason="MODEL_FAILED")
    photos = FakePhotos({key: data for key, data in PHOTOS.items() if data != TAWNY})
    assert await read_label_texts("default", 9, record, photos, reader) == 3
    assert await record.unread("default", 9) == []


@pytest.mark.parametrize(
    "error", [EmbedderUnavailable(), Internal("unknown call", reason="UNIMPLEMENTED")]
)
async def test_an_embedder_that_does_not_read_is_asked_again(
    record: Record, error: ServiceError
) -> None:
    await filled(record)
    reader = embedder()
    last = max((MERLOT, TAWNY, BLANK), key=image_id)
    reader.labels[last] = error
    with pytest.raises(type(error)):
        await read_label_texts("default", 9, record, FakePhotos(PHOTOS), reader)
    assert await record.unread("default", 9) == [image_id(last)]


async def test_the_worker_reads_labels_where_the_settings_ask_for_it(db: Database) -> None:
    bench = Bench(db)
    bench.photos = FakePhotos(PHOTOS)
    bench.embedder.labels = embedder().labels
    bench.settings = bench.settings.model_copy(update={"read_labels": ("*",)})
    await filled(bench.record)

    async def done() -> bool:
        return await bench.record.unread("default", 9) == []

    async with bench.working():
        await until(done)
