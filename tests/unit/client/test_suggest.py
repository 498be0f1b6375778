"""Suggestions through the client and the command line."""

import json

from typer.testing import CliRunner

from sightline_client import SightlineClient, SuggestionKind, parse_filter
from sightline_client.cli.app import app
from tests.fakes.gateway import FakeGateway


async def test_highlights_are_slices_of_the_text(gateway: FakeGateway) -> None:
    async with SightlineClient(gateway.target, catalog="shop") as client:
        found = await client.suggest("re", top=5, language="fr")
    value, product = found.suggestions
    assert [value.text[part] for part in value.highlights] == ["Re"]
    assert (value.kind, value.product_count) == (SuggestionKind.FACET_VALUE, 7)
    assert value.filter == parse_filter('brand = "Red"')
    assert (product.kind, product.product_id, product.filter) == (
        SuggestionKind.PRODUCT,
        "wine-1",
        None,
    )
    assert found.corrected
    (request,) = gateway.requests["Suggest"]
    asked = (request.catalog_id, request.prefix, request.page_size, request.language_code)
    assert asked == ("shop", "re", 5, "fr")


def test_the_command_shows_what_to_do_with_each_suggestion(gateway: FakeGateway) -> None:
    call = ["suggest", "re", "--target", gateway.target]
    shown = CliRunner().invoke(app, call, env={"COLUMNS": "120"})
    assert shown.exit_code == 0, shown.output
    assert "facet value" in shown.stdout
    assert "--filter 'brand = \"Red\"'" in shown.stdout
    assert "corrected" in shown.stdout
    assert "\x1b[2J" not in shown.stdout
    printed = CliRunner().invoke(app, [*call, "--json"])
    assert json.loads(printed.stdout)["suggestions"][0]["kind"] == "KIND_FACET_VALUE"


async def test_top_searches_are_values(gateway: FakeGateway) -> None:
    async with SightlineClient(gateway.target) as client:
        found = await client.top_searches(top=7, nothing_found=True)
    assert [(each.text[:2], each.shopper_count, each.product_count) for each in found.searches] == [
        ("me", 1234, 12),
        ("sa", 20, 0),
    ]
    assert found.least_shoppers == 20
    (request,) = gateway.requests["ListTopSearches"]
    assert (request.page_size, request.nothing_found) == (7, True)


def test_the_command_shows_top_searches(gateway: FakeGateway) -> None:
    call = ["events", "searches", "--nothing-found", "--top", "5", "--target", gateway.target]
    shown = CliRunner().invoke(app, call)
    assert shown.exit_code == 0, shown.output
    assert "1,234" in shown.stdout
    assert "at least 20 shoppers" in shown.stdout
    assert "\x1b[2J" not in shown.stdout
