"""Photos of one request that have too many pixels together."""

from embedder.domain.items import Item
from embedder.domain.photos import Camera
from servicekit.errors import ServiceError
from tests.fakes.embedding import FakeIntake, embedder_of
from tests.fakes.triton import FakeFetch, FakeInference
from tests.unit.embedder.embedding.conftest import reasons, run

MOST = 40_000_000


def of(*megapixels: int, camera: Camera = Camera.SHOPPER) -> list[Item]:
    return [Item(photo=bytes([each]), camera=camera) for each in megapixels]


async def embedded(
    *items: Item, fetch: FakeFetch | None = None
) -> tuple[list[str], FakeIntake, list[object]]:
    """Return the reasons of the outcomes, the intake with the decoded photos, and the outcomes."""
    intake = FakeIntake()
    embedder = embedder_of(FakeInference(), intake=intake, fetch=fetch, most_pixels=MOST)
    outcomes = await run(embedder, items)
    return reasons(outcomes), intake, list(outcomes)


async def test_photos_within_the_budget_are_embedded_and_one_pixel_more_decodes_none() -> None:
    assert (await embedded(*of(12, 12, 16)))[0] == [""] * 3
    found, intake, outcomes = await embedded(*of(12, 12, 17))
    assert found == ["IMAGES_TOO_LARGE"] * 3
    assert not intake.decoded
    error = outcomes[0]
    assert isinstance(error, ServiceError)
    assert "41,000,000 pixels together; at most 40,000,000" in error.message


async def test_of_a_single_photo_no_header_is_read() -> None:
    found, intake, _ = await embedded(*of(41), Item(text="red wine"))
    assert found[0] == ""
    assert not intake.measured


async def test_one_photo_counts_as_often_as_it_is_asked_for_and_its_header_is_read_once() -> None:
    found, intake, _ = await embedded(*of(14, 14, 14))
    assert found == ["IMAGES_TOO_LARGE"] * 3
    assert intake.measured == [bytes([14])]


async def test_photos_of_the_catalog_have_no_budget() -> None:
    found, intake, _ = await embedded(*of(30, 30, 30, camera=Camera.CATALOGUE))
    assert found == [""] * 3
    assert not intake.measured


async def test_a_photo_with_a_damaged_header_counts_nothing_and_says_so_itself() -> None:
    found, intake, _ = await embedded(*of(20, 19), Item(photo=b"header"))
    assert found == ["", "", "IMAGE_UNDECODABLE"]
    assert len(intake.decoded) == 2


async def test_fetched_photos_count_with_those_that_were_sent() -> None:
    web = FakeFetch({"https://a": bytes([20]), "https://b": bytes([15])})
    found, intake, _ = await embedded(
        *of(10), Item(uri="https://a"), Item(uri="https://b"), fetch=web
    )
    assert sorted(found) == ["", "", "IMAGES_TOO_LARGE"]
    assert len(intake.decoded) == 2
