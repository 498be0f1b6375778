"""Popular and new products read from the record earlier, shown while it can't be read."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, takewhile

from gateway.model.errors import FilterInvalid
from gateway.model.query import AnswerScope
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList
from sightline_core.columns import ProductColumns
from sightline_core.opaque_messages import ProductRow
from sightline_rules import filters, markets, messages
from sightline_rules.evaluation.conditions import judged
from sightline_rules.evaluation.work import Work
from sightline_rules.facts import Facts
from sightline_rules.filter_checks import looks
from sightline_rules.markets import localized

FACT_STEPS = 16
"""Work of reading the facts of one product."""


@dataclass(frozen=True, slots=True)
class CatalogSnapshot:
    """Products of a catalog, read at one time."""

    time_micros: int
    """When they were read, microseconds since 1970 (UTC)."""
    popular: tuple[str, ...]
    """Most popular first."""
    newest: tuple[str, ...]
    """Newest first; products of small categories come last."""
    rows: Mapping[str, ProductRow]
    """All products, by id."""
    columns_of: Callable[[Sequence[ProductRow]], ProductColumns]
    """Converts rows to the columns needed for ranking."""
    _facts: dict[str, Facts | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def steps(self, scope: AnswerScope, products: int) -> int:
        """Return the work of `passing` for a number of products. Raises FilterInvalid."""
        return products * (FACT_STEPS + looks(condition_of(scope)))

    def passing(self, scope: AnswerScope, ids: Iterable[str]) -> Work[list[ProductRow]]:
        """Return those of these products that the snapshot proves to pass, in their order.

        Raises FilterInvalid.
        """
        known, facts = list[ProductRow](), list[Facts]()
        for product_id in ids:
            if (held := self._facts_of(product_id)) is not None:
                known.append(self.rows[product_id])
                facts.append(held)
                yield
        passed = yield from judged(condition_of(scope), facts)
        market_id = scope.market_id
        return [localized(row, market_id) for row in compress(known, passed.tolist())]

    def _facts_of(self, product_id: str) -> Facts | None:
        """Return a product's facts, parsed on first use; None if unknown or invalid."""
        if product_id in self.rows and product_id not in self._facts:
            try:
                self._facts[product_id] = messages.facts(self.rows[product_id])
            except ValueError:  # unknown conditions count as not passed
                self._facts[product_id] = None
        return self._facts.get(product_id)

    def listings(
        self,
        branches: Iterable[Branch],
        scope: AnswerScope,
        *,
        left_out: Collection[str],
        near: Sequence[str],
        most: int,
    ) -> Work[tuple[CandidateList, ...]]:
        """Return a list for each of these branches (POPULAR, NEW) of up to `most` proven products.

        In each list those come first whose categories are nearest to the products `near`. Empty if
        no product is proven to pass. Raises FilterInvalid.
        """
        own = [self.rows[item] for item in near if item in self.rows]
        listings = list[CandidateList]()
        for branch in branches:
            ids = self.popular if branch is Branch.POPULAR else self.newest
            rows = yield from self.passing(scope, [each for each in ids if each not in left_out])
            if own:
                rows.sort(key=lambda row: -max(_shared_levels(row, each) for each in own))
            if found := rows[:most]:
                after = sum(len(item.ids) for item in listings)
                listings.append(CandidateList(branch, 1.0, self.columns_of(found), after=after))
        return tuple(listings)


def _shared_levels(one: ProductRow, other: ProductRow) -> int:
    """Return the number of common levels of two categories."""
    pairs = zip(one.category_path, other.category_path, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def condition_of(scope: AnswerScope) -> filters.Filter:
    """Return the scope's conditions as one filter. Raises FilterInvalid."""
    parts = scope.conditions
    parts += [filters.Not(messages.read(each.message)) for each in scope.without]
    if scope.filter is not None:
        try:
            parts.append(messages.without_market(scope.filter.message))
        except filters.FilterInvalidError as error:
            raise FilterInvalid.at(error.path, error.description) from error
    return markets.within(filters.All(tuple(parts)), scope.market_id)
