"""``sightline profiles`` and the client's calls for them: requests and output."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from typer.testing import CliRunner, Result

from sightline.ranker.v1 import profile_service_pb2 as pb
from sightline_client import AffinityKind, SightlineClient
from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway

LIKES_RED = pb.Affinity(
    kind=pb.Affinity.KIND_CATEGORY,
    value="Red",
    strength=0.5,
    share=0.75,
    usual_share=0.25,
    event_count=3,
    product_ids=[f"r{n}" for n in range(7)],
    text="You often choose from Red",
)
SEGMENT = pb.Segment(segment_id=2, affinities=[LIKES_RED], share=0.4, text="People who like Red")


def profiles(gateway: FakeGateway, *words: str) -> Result:
    where = ("--target", gateway.target, "--catalog", "shop")
    return CliRunner().invoke(app, ["profiles", *words, *where])


def flat(text: str) -> str:
    return " ".join(text.split())


def ann() -> pb.ShopperProfile:
    return pb.ShopperProfile(
        attributes=[pb.ShopperAttribute(key="age_band", text="25-34")],
        affinities=[LIKES_RED],
        disliked_product_ids=["w1"],
        activity=pb.Activity(
            first_event_time=Timestamp(seconds=1),
            last_event_time=Timestamp(seconds=2),
            visit_count=2,
            purchase_count=1,
            text="Last here today; 2 visits, 2.0 a week",
        ),
        segment=SEGMENT,
        robot=True,
        event_count=4,
        model_version="m1",
    )


def test_a_shoppers_profile_is_reported_with_what_it_rests_on(gateway: FakeGateway) -> None:
    gateway.shopper_profile = ann()
    printed = flat(profiles(gateway, "show", "ann", "--language", "zh").stdout)
    asked = gateway.requests["GetShopperProfile"][-1]
    assert (asked.shopper.user_id, asked.language_code, asked.catalog_id) == ("ann", "zh", "shop")
    assert "Treated as a robot" in printed
    assert "2 visits, 2.0 a week. From 4 events, 1 purchase among them." in printed
    assert "Group 2: People who like Red (40% of all)." in printed
    assert "Shared with consent: age_band 25-34." in printed
    assert "Hidden or rated low: w1." in printed
    assert "You often choose from Red 0.50 75% 25% 3 r0, r1, r2, r3, r4 and 2 more" in printed
    shown = json.loads(profiles(gateway, "show", "ann", "--json").stdout)
    assert shown["affinities"][0]["kind"] == "KIND_CATEGORY"


def test_an_unknown_shopper_is_shown_as_one_and_a_visitor_is_asked_for(
    gateway: FakeGateway,
) -> None:
    printed = flat(profiles(gateway, "show", "cookie", "--visitor").stdout)
    assert gateway.requests["GetShopperProfile"][-1].shopper.visitor_id == "cookie"
    assert printed == "No events. No model serves: affinities are unknown."


def test_a_products_profile_is_reported_in_sentences(gateway: FakeGateway) -> None:
    gateway.product_profile = pb.ProductProfile(
        product_id="r1", texts=["It belongs to Red", "It is by A"], popularity=0.25, trend=1
    )
    printed = flat(profiles(gateway, "product", "r1").stdout)
    assert gateway.requests["GetProductProfile"][-1].product_id == "r1"
    assert printed.startswith("It belongs to Red. It is by A. Popularity 25%")
    assert "2.00 times the former rate" in printed


def test_attributes_are_sent_with_consent_and_withdrawn_without(gateway: FakeGateway) -> None:
    done = profiles(gateway, "set", "ann", "age_band=25-34", "note=a=b", "--consent")
    assert flat(done.stdout) == "2 attributes are stored, 1 before."
    sent = gateway.requests["SetShopperAttributes"][-1]
    assert sent.consent
    assert {one.key: one.text for one in sent.attributes} == {"age_band": "25-34", "note": "a=b"}
    assert flat(profiles(gateway, "clear", "ann").stdout).startswith("0 attributes are stored")
    withdrawn = gateway.requests["SetShopperAttributes"][-1]
    assert (withdrawn.consent, len(withdrawn.attributes)) == (False, 0)


@pytest.mark.parametrize("words", [("size=M",), ("size", "--consent"), ("--consent",)])
def test_nothing_is_sent_without_consent_or_value(
    gateway: FakeGateway, words: tuple[str, ...]
) -> None:
    assert profiles(gateway, "set", "ann", *words).exit_code == 2
    assert not gateway.requests["SetShopperAttributes"]


def test_groups_are_reported_with_how_clear_they_are(gateway: FakeGateway) -> None:
    assert "No groups are known: no model serves." in profiles(gateway, "segments").stdout
    gateway.segments = pb.ListSegmentsResponse(
        segments=[SEGMENT], silhouette=0.1, model_version="m1"
    )
    printed = flat(profiles(gateway, "segments").stdout)
    assert "Group 2: People who like Red (40% of all)." in printed
    assert "Silhouette 0.10: no clear groups." in printed


async def test_the_client_gives_profiles_as_plain_values(gateway: FakeGateway) -> None:
    gateway.shopper_profile = ann()
    gateway.product_profile = pb.ProductProfile(
        product_id="r1",
        price_band=pb.PriceBand(
            least=Money(currency_code="EUR", units=8),
            below=Money(currency_code="EUR", units=11, nanos=310_000_000),
        ),
        attributes=[pb.ShopperAttribute(key="country", text="Italy")],
        style=[0.5, -0.5],
    )
    gateway.segments = pb.ListSegmentsResponse(segments=[SEGMENT], silhouette=0.3)
    async with SightlineClient(gateway.target) as client:
        shopper = await client.shopper_profile(visitor="cookie")
        product = await client.product_profile("r1")
        kept = await client.set_shopper_attributes(
            {"size": "M", "age_band": "25-34"}, consent=True, user="ann"
        )
        found = await client.list_segments(language="zh")
        gateway.shopper_profile = pb.ShopperProfile(affinities=[pb.Affinity()])
        bare = await client.shopper_profile(user="ann")
    assert shopper.attributes == {"age_band": "25-34"}
    assert shopper.affinities[0].kind is AffinityKind.CATEGORY
    assert shopper.activity is not None
    assert shopper.activity.last_event_time == datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)
    assert shopper.segment is not None
    assert shopper.segment.segment_id == 2
    assert product.price_band is not None
    assert product.price_band[1].amount == Decimal("11.31")
    assert (product.trend, product.style) == (None, (0.5, -0.5))
    assert kept == 2, "stored now, not before"
    assert gateway.requests["ListSegments"][-1].language_code == "zh"
    assert found.segments[0].share == pytest.approx(0.4)
    assert (bare.activity, bare.segment) == (None, None)
    assert bare.affinities[0].kind is AffinityKind.UNKNOWN
