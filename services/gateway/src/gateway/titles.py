"""Names products in reasons by their titles."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.model import AnsweredProduct, Result, Scope
from gateway.trail import Run
from gateway.wording import named_products, titled
from servicekit.errors import ServiceError

STAGE = "titles"


async def titles_of(run: Run, order: Sequence[AnsweredProduct]) -> Mapping[str, str]:
    """Titles of the products that reasons name; one that can't be had costs a plainer sentence and
    no more."""
    named = named_products(reason for item in order for reason in item.reasons)
    if not named:
        return {}
    try:
        async with run.trail.stage(STAGE, run.plan.ends.answer):
            rows = await run.house.peers.retriever.products(run.query.catalog_id, named, Scope())
    except ServiceError:
        return {}
    return {row.product_id: row.title for row in rows}


def worded(
    results: tuple[Result, ...], titles: Mapping[str, str], language_code: str
) -> tuple[Result, ...]:
    """The results with their reasons worded with these titles."""
    if not titles:
        return results
    return tuple(
        replace(
            result,
            answered=replace(
                result.answered,
                reasons=tuple(
                    titled(reason, titles, language_code) for reason in result.answered.reasons
                ),
            ),
        )
        for result in results
    )
