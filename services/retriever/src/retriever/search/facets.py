"""Facets: how many of the products that pass a filter have each value of some fields."""

from collections.abc import Sequence

from retriever.columns.column import AskedFacet
from retriever.columns.column_cache import Columns
from retriever.columns.facets import Counting, Facet
from retriever.domain.errors import ColumnsUnavailable
from servicekit.tasks.off_loop import off_loop
from sightline_rules.filters import Filter


async def count(
    catalog_id: str, condition: Filter, asked: Sequence[AskedFacet], columns: Columns
) -> tuple[int, list[Facet]]:
    """Return how many products pass, and the facets in the requested order; variants of a parent
    count as one product.

    Raises ColumnsUnavailable, and DeadlineExceeded when the call is abandoned.
    """
    view = await columns.view(catalog_id)
    if view is None:
        raise ColumnsUnavailable
    counting = Counting(view.table, await view.conditions.every(condition), asked)
    return await off_loop(counting.steps, counting.count())
