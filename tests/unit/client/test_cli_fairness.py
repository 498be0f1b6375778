"""``sightline fairness`` and the client's call for it."""

from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner

from sightline.ranker.v1 import exposure_report_pb2 as pb
from sightline_client import SightlineClient
from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway


def report() -> pb.ExposureReport:
    return pb.ExposureReport(
        from_impressions=True,
        start_time=Timestamp(seconds=0),
        end_time=Timestamp(seconds=86_400),
        answer_count=1_234,
        groups=[
            pb.ExposureGroup(
                value="Aurora",
                product_count=7,
                share=0.4,
                share_low=0.35,
                share_high=0.45,
                outcomes_per_exposure=0.1,
            ),
            pb.ExposureGroup(product_count=1, share=0.6, outcomes_per_exposure=0.0),
        ],
        shoppers=[
            pb.ShopperOpportunity(
                value="25-34",
                shopper_count=40,
                answer_count=90,
                success_share=0.2,
                success_low=0.1,
                success_high=0.3,
            )
        ],
    )


def test_the_report_is_shown_with_its_intervals(gateway: FakeGateway) -> None:
    gateway.exposure_report = report()
    words = ("fairness", "report", "--by", "attribute.seller", "--scene", "home", "--days", "28")
    where = ("--target", gateway.target, "--catalog", "shop")
    result = CliRunner().invoke(app, [*words, "--shoppers-by", "age_band", *where])
    assert result.exit_code == 0, result.output
    (asked,) = gateway.requests["GetExposureReport"]
    assert (asked.by, asked.scene, asked.days) == ("attribute.seller", "home", 28)
    assert asked.shoppers_by == "age_band"
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["Aurora", "7", "40.0%", "35.0%", "to", "45.0%", "0.100"] in lines
    assert any(line[:2] == ["(none)", "1"] for line in lines)
    assert ["25-34", "40", "90", "20.0%", "10.0%", "to", "30.0%"] in lines
    assert "1,234 answers, 1970-01-01 to 1970-01-02, as shown." in result.stdout
    assert "unknown" not in result.stdout


def test_unknown_outcomes_are_shown_as_such_and_not_as_zero(gateway: FakeGateway) -> None:
    gateway.exposure_report = pb.ExposureReport(
        groups=[pb.ExposureGroup(value="Aurora", product_count=7, share=1.0, share_high=1.0)],
        shoppers=[pb.ShopperOpportunity(value="25-34", shopper_count=40, answer_count=90)],
    )
    where = ("--target", gateway.target, "--catalog", "shop")
    result = CliRunner().invoke(app, ["fairness", "report", *where])
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["Aurora", "7", "100.0%", "0.0%", "to", "100.0%", "–"] in lines
    assert ["25-34", "40", "90", "–", "–"] in lines
    text = " ".join(result.stdout.split())
    assert "no impressions were reported" in text
    assert "– = unknown, since they are counted for products with a reported impression" in text


async def test_programs_read_plain_values(gateway: FakeGateway) -> None:
    gateway.exposure_report = report()
    async with SightlineClient(gateway.target, catalog="shop") as client:
        found = await client.exposure_report()
    assert (found.groups[0].value, found.groups[0].share) == ("Aurora", 0.4)
    assert gateway.requests["GetExposureReport"][0].by == "brand"
