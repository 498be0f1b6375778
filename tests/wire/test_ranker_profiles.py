"""Profiles over real gRPC, from real events and a real training."""

from collections.abc import AsyncIterator

import grpc
import pytest

from servicekit.errors import Code
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import user_event_service_pb2 as gateway_pb
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.ranker.v1 import (
    model_service_pb2,
    ranking_service_pb2,
)
from sightline.ranker.v1 import profile_service_pb2 as pb
from tests.peer_stubs import peer_stub
from tests.wire.ranker_suite import ANN, HOUR, USER, Suite, crowd, event, refusal, suite
from tests.wire.test_ranker_events import followed, purging

__all__ = ["purging", "suite"]

COOKIE = event_pb2.Shopper(visitor_id="cookie-of-ann")
CATEGORY = pb.Affinity.KIND_CATEGORY
AGE = pb.ShopperAttribute(key="age_band", text="25-34")


@pytest.fixture
async def profiles(suite: Suite) -> AsyncIterator[AdminServiceStub]:
    async with grpc.aio.insecure_channel(suite.target) as channel:
        yield peer_stub("ranker", channel)


def asking(shopper: event_pb2.Shopper = ANN, **fields) -> pb.GetShopperProfileRequest:
    return pb.GetShopperProfileRequest(shopper=shopper, **fields)


def telling(*attributes: pb.ShopperAttribute, consent: bool = True, shopper=ANN, **fields):
    return pb.SetShopperAttributesRequest(
        shopper=shopper, attributes=attributes, consent=consent, **fields
    )


@pytest.mark.full
async def test_a_profile_follows_the_events_and_is_gone_with_them(
    suite: Suite, purging: Suite, profiles
) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    empty = await profiles.GetShopperProfile(asking())
    assert empty.model_version
    assert (empty.event_count, list(empty.affinities), empty.HasField("activity")) == (0, [], False)

    await suite.append(
        event("r0", ago=3 * HOUR),
        event("r1", "PURCHASE", ago=HOUR),
        event("w0", "HIDE", ago=HOUR),
    )
    profile = await profiles.GetShopperProfile(asking())
    (category,) = [one for one in profile.affinities if one.kind == CATEGORY]
    assert (category.value, category.event_count) == ("Red", 2)
    assert list(category.product_ids) == ["r1", "r0"]
    assert category.text == "You often choose from Red"
    assert 0 < category.strength < category.share <= 1
    assert list(profile.disliked_product_ids) == ["w0"]
    assert (profile.activity.visit_count, profile.activity.purchase_count) == (2, 1)
    assert not profile.robot
    chinese = await profiles.GetShopperProfile(asking(language_code="zh-CN"))
    assert "您常选Red类商品" in {one.text for one in chinese.affinities}

    purge = gateway_pb.PurgeEventsRequest(shopper=ANN, force=True)
    await followed(purging, (await suite.events.PurgeEvents(purge)).job.job_id)
    purged = await profiles.GetShopperProfile(asking())
    assert (purged.event_count, list(purged.affinities)) == (0, [])
    assert not purged.HasField("segment")


async def test_products_and_segments_are_shown_by_the_serving_model(
    suite: Suite, profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = await profiles.ListSegments(pb.ListSegmentsRequest())
    assert (nothing.model_version, list(nothing.segments)) == ("", [])
    request = pb.GetProductProfileRequest(product_id="r0")
    error = await refusal(profiles.GetProductProfile(request))
    assert (error.code, error.reason) == (Code.NOT_FOUND, "PRODUCT_NOT_FOUND")

    more = [event(f"w{n % 5}", shopper=event_pb2.Shopper(user_id=f"m-{n}")) for n in range(10)]
    bot = event_pb2.Shopper(user_id="bot")
    looks = [event("w0", "CLICK", ago=n, shopper=bot) for n in range(9)]
    await suite.append(*crowd(), *more, *looks)
    monkeypatch.setenv("RANKER_SIGNAL_ROBOT_VIEWS_A_MINUTE", "8")
    version = await suite.learn()
    (trained,) = (await suite.models.ListModels(model_service_pb2.ListModelsRequest())).models
    robots = {one.name: (one.value, one.sample_count) for one in trained.metrics}["robots"]
    assert robots == (1, 27)
    await suite.promote(version)
    product = await profiles.GetProductProfile(request)
    assert (product.category_path, product.brand, product.model_version) == ("Red", "A", version)
    assert product.price_band.least.currency_code == "EUR"
    assert product.price_band.least.units <= 10 < product.price_band.below.units
    assert 0 < product.popularity <= 1
    assert "It is by A" in product.texts
    missing = pb.GetProductProfileRequest(product_id="new")
    assert (await refusal(profiles.GetProductProfile(missing))).reason == "PRODUCT_NOT_FOUND"

    found = await profiles.ListSegments(pb.ListSegmentsRequest())
    assert {one.affinities[0].value for one in found.segments[:2]} <= {"Red", "White", "A", "B"}
    assert sum(one.share for one in found.segments) == pytest.approx(1)
    shares = [one.share for one in found.segments]
    assert shares == sorted(shares, reverse=True)
    await suite.append(event("w3"))
    profile = await profiles.GetShopperProfile(asking())
    assert profile.segment.segment_id in {one.segment_id for one in found.segments}
    assert profile.segment.text.startswith("People who like ")


async def test_attributes_are_kept_with_consent_alone_and_go_with_it(
    suite: Suite, profiles
) -> None:
    error = await refusal(profiles.SetShopperAttributes(telling(AGE, consent=False)))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "CONSENT_REQUIRED")
    for _ in range(2):
        kept = await profiles.SetShopperAttributes(telling(AGE))
    assert (kept.kept_count, kept.former_count) == (1, 1)
    assert list((await profiles.GetShopperProfile(asking())).attributes) == [AGE]
    assert not (await profiles.GetShopperProfile(asking(COOKIE))).attributes
    assert not (await profiles.GetShopperProfile(asking(catalog_id="other"))).attributes
    gone = await profiles.SetShopperAttributes(telling(consent=False))
    assert (gone.kept_count, gone.former_count) == (0, 1)
    assert not (await profiles.GetShopperProfile(asking())).attributes


async def test_somebody_is_served_by_what_they_shown_of_themselves_alone(
    suite: Suite, profiles
) -> None:
    await suite.append(*crowd())
    for person in range(8):
        for kind, age in (("r", "60+"), ("w", "18-24")):
            who = event_pb2.Shopper(user_id=f"{kind}-{person}")
            reported = pb.ShopperAttribute(key="age_band", text=age)
            await profiles.SetShopperAttributes(telling(reported, shopper=who))
    await suite.promote(await suite.learn())
    first = {}
    for age in ("60+", "18-24"):
        reported = pb.ShopperAttribute(key="age_band", text=age)
        await profiles.SetShopperAttributes(telling(reported))
        answer = await suite.generate(shopper=ANN, top_k=3)
        assert answer.basis == ranking_service_pb2.NominateResponse.BASIS_LONG_TERM
        first[age] = {item[0] for item in answer.product_ids}
    assert first == {"60+": {"r"}, "18-24": {"w"}}
    await profiles.SetShopperAttributes(telling(consent=False))
    answer = await suite.generate(shopper=ANN, top_k=3)
    assert answer.basis == ranking_service_pb2.NominateResponse.BASIS_POPULARITY


async def test_a_visitors_attributes_become_the_users(suite: Suite, profiles) -> None:
    await profiles.SetShopperAttributes(telling(AGE, shopper=COOKIE))
    merge = {"from": COOKIE, "to": ANN}
    await suite.events.MergeShopper(gateway_pb.MergeShopperRequest(**merge))
    for who in (ANN, COOKIE):
        assert list((await profiles.GetShopperProfile(asking(who))).attributes) == [AGE]


async def test_who_it_is_stands_nowhere(suite: Suite, profiles, capfd) -> None:
    secret = pb.ShopperAttribute(key="age_band", text="said-in-confidence")
    await profiles.SetShopperAttributes(telling(secret))
    twice = telling(secret, secret)
    error = await refusal(profiles.SetShopperAttributes(twice))
    assert error.reason == "REQUEST_INVALID"
    assert "said-in-confidence" not in str(error)
    content = b"".join(file.read_bytes() for file in suite.folder.glob("ranker.db*"))
    assert USER.encode() not in content
    logged = "".join(capfd.readouterr())
    assert USER not in logged
    assert "said-in-confidence" not in logged


@pytest.mark.parametrize(
    ("attribute", "path"),
    [
        (pb.ShopperAttribute(key="Age", text="x"), "attributes[0].key"),
        (pb.ShopperAttribute(key="", text="x"), "attributes[0].key"),
        (pb.ShopperAttribute(key="a" * 65, text="x"), "attributes[0].key"),
        (pb.ShopperAttribute(key="a", text=""), "attributes[0].text"),
        (pb.ShopperAttribute(key="a", text="ü" * 65), "attributes[0].text"),
        (pb.ShopperAttribute(key="a", text="a\nb"), "attributes[0].text"),
    ],
)
async def test_a_bad_attribute_is_named(suite: Suite, profiles, attribute, path: str) -> None:
    error = await refusal(profiles.SetShopperAttributes(telling(attribute)))
    assert [one.field for one in error.violations] == [path]


async def test_bad_requests_are_refused_before_anything_is_read(suite: Suite, profiles) -> None:
    many = [pb.ShopperAttribute(key=f"k{n}", text="x") for n in range(21)]
    nobody = pb.GetShopperProfileRequest()
    for call, request, reason in (
        (profiles.SetShopperAttributes, telling(*many), "REQUEST_INVALID"),
        (profiles.SetShopperAttributes, pb.SetShopperAttributesRequest(), "REQUEST_INVALID"),
        (profiles.GetShopperProfile, nobody, "REQUEST_INVALID"),
        (profiles.GetProductProfile, pb.GetProductProfileRequest(), "REQUEST_INVALID"),
        (profiles.GetShopperProfile, asking(catalog_id="nope"), "CATALOG_NOT_FOUND"),
        (profiles.ListSegments, pb.ListSegmentsRequest(catalog_id="nope"), "CATALOG_NOT_FOUND"),
    ):
        assert (await refusal(call(request))).reason == reason
