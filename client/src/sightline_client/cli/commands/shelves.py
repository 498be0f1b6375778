"""``sightline values`` and ``sightline shelves``"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf import json_format

from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline_client.cli.base import options
from sightline_client.cli.base.query import RequestGroup, content
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import page
from sightline_client.cli.show import shelves as show
from sightline_client.cli.work import answer_pages
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire, to_wire
from sightline_client.values.answers import Listing, RecommendedValues, Shelves


def values(
    *,
    field: Annotated[str, options.argument("FIELD")],
    asked: RequestGroup,
    each: Annotated[int, options.number("K", 1, 10)] = 4,
    html: options.Html = None,
    verbose: options.Verbose = False,
    suite: Suite,
) -> None:
    """Recommend the values of a field, such as brands, each with its best products.

    Takes the options of `sightline recommend`; --top is the number of values, at most 50.

    sightline values brand --user 1209683 --html brands.html
    sightline values category --image shelf.jpg --top 5 --each 3
    sightline values 'category:Wine' --visitor cookie-7 --json | jq -r '.values[].text'

    Args:
        field: brand, category, tags or attributes.KEY; 'category:Wine > Red' ranks its
            subcategories.
        each: Number of products of each value.
    """
    name, _colon, path = field.partition(":")
    if path and name != "category":
        raise typer.BadParameter(_("{field}: only a category has subcategories", field=field))
    below = tuple(level.strip() for level in path.split(">") if path)
    request = asked.request()
    answer_pages.show(
        suite,
        html,
        lambda client: client.recommend_values(
            name, below=below, products_per_value=each, **request
        ),
        partial(show.values, verbose=verbose),
        head=lambda answer: page.Head(
            _("Values of {field}", field=field),
            answer_pages.request(asked, answer.versions.scene),
            queries=answer_pages.files(asked, request["images"]),
        ),
        sections=_of_values,
        products=asked.product or (),
    )


def _of_values(answer: RecommendedValues) -> list[page.Section]:
    """Return a section for each value; the first one has what is said of the whole answer."""
    whole = Listing(
        results=(),
        product_count=0,
        facets=(),
        next_page_token="",
        etag="",
        not_modified=False,
        degradations=answer.degradations,
        stage_timings=answer.stage_timings,
        quality=answer.quality,
        hidden_count=answer.hidden_count,
        attribution_token=answer.attribution_token,
        control_outcomes=answer.control_outcomes,
        request_id=answer.request_id,
        versions=answer.versions,
        empty_reason=answer.empty_reason,
    )
    if not answer.values:
        return [page.Section(whole)]
    first, *others = answer.values
    rest = replace(whole, degradations=(), stage_timings=(), versions=None)
    return [
        page.Section(replace(whole, results=first.products), first.text),
        *(page.Section(replace(rest, results=each.products), each.text) for each in others),
    ]


def shelves(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    user: Annotated[str | None, options.words(metavar="ID")] = None,
    visitor: Annotated[str | None, options.words(metavar="ID")] = None,
    html: options.Html = None,
    verbose: options.Verbose = False,
    suite: Suite,
) -> None:
    """Show several shelves of a page for one shopper: no product is on two of them.

    Each shelf of the file is a request for recommendations, a search or a list:
    {"shelves": [{"shelfId": "for-you", "recommend": {"pageSize": 5}}]}.

    sightline shelves home.json --user 1209683 --html home.html
    sightline shelves home.json --visitor cookie-7 --json | jq '.shelves[].shelfId'

    Args:
        file: The shelves as JSON: the body of recommendShelves over HTTP.
        user: Known customer.
        visitor: Visitor who is not logged in.
    """
    options.one_shopper(user, visitor)
    request = _request(file)
    request.catalog_id = request.catalog_id or suite.catalog
    shopper = to_wire.shopper(user, visitor)
    if shopper is not None:
        request.shopper.CopyFrom(shopper)

    async def ask(client: SightlineClient) -> Shelves:
        calls = client.calls
        answer = await calls(calls.recommendation.RecommendShelves, request, suite.timeout)
        return from_wire.shelves(answer)

    answer_pages.show(
        suite,
        html,
        ask,
        partial(show.shelves, verbose=verbose),
        head=lambda _answer: page.Head(
            _("Shelves"), [answer_pages.shopper(user, visitor), (_("file"), file.name)]
        ),
        sections=lambda answer: [
            page.Section(each.answer, each.shelf_id, show.problem(each)) for each in answer.shelves
        ],
    )


def _request(file: Path) -> pb.RecommendShelvesRequest:
    """Read a request. A file that holds something else is wrong usage."""
    try:
        return json_format.Parse(content(file, "FILE"), pb.RecommendShelvesRequest())
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="FILE") from None
