"""Validated queries and their vectors."""

from collections.abc import Mapping, Sequence

from retriever.domain.errors import ProductNotFound
from retriever.domain.generation import DEFAULT_SPACE, Generation
from retriever.domain.index_values import Collapse
from retriever.domain.vectors import Floats, GivenVector, blended, check_vector
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import RequestInvalid
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.filters import All, Filter

DEFAULT_TOP_K = 100
MAX_TOP_K = 1_000
MAX_EXCLUDED = 1_000
MAX_PARTS = 16
MAX_WEIGHT = 100.0
EVERYTHING = All()


@fast_dataclass(frozen=True, slots=True)
class BlendPart:
    """A part of a blend. Exactly one of vector and product_id is given."""

    weight: float
    """−100 to 100, not 0. A negative weight searches away from it."""
    vector: GivenVector | None = None
    product_id: str = ""


@fast_dataclass(frozen=True, slots=True)
class SearchQuery:
    """A query. Exactly one of vector, product_id and blend is given."""

    catalog_id: str
    vector: GivenVector | None = None
    product_id: str = ""
    blend: tuple[BlendPart, ...] | None = None
    space: str = DEFAULT_SPACE
    condition: Filter = EVERYTHING
    top_k: int = DEFAULT_TOP_K
    excluded: tuple[str, ...] = ()
    include_query_product: bool = False
    min_index_token: str = ""
    generation: str = ""
    collapse: Collapse = Collapse.DROP

    @property
    def product_ids(self) -> list[str]:
        """Products of the query, each once."""
        if self.blend is None:
            return [self.product_id] if self.product_id else []
        parts = (part.product_id for part in self.blend)
        return [*filter(None, dict.fromkeys((self.product_id, *parts)))]

    @property
    def given(self) -> list[tuple[str, GivenVector]]:
        """Vectors of the query, each with the path of its field."""
        if self.vector is not None:
            return [("vector", self.vector)]
        if self.blend is None:
            return []
        return [
            (f"blend.parts[{place}].vector", part.vector)
            for place, part in enumerate(self.blend)
            if part.vector is not None
        ]


def check_query(query: SearchQuery) -> None:
    """Raise RequestInvalid if the query is invalid."""
    wrong = []
    if (query.vector is not None) + bool(query.product_id) + (query.blend is not None) != 1:
        wrong.append(FieldViolation("query", "give a vector, a product_id or a blend"))
    if query.blend is not None:
        wrong += _blend_violations(query.blend)
    check_limits(query.top_k, query.excluded, wrong)


def check_limits(top_k: int, excluded: Sequence[str], wrong: Sequence[FieldViolation] = ()) -> None:
    """Raise RequestInvalid if a limit is out of range, together with other violations."""
    wrong = list(wrong)
    if not 1 <= top_k <= MAX_TOP_K:
        wrong.append(FieldViolation("top_k", f"must be from 1 to {MAX_TOP_K}, or 0"))
    if len(excluded) > MAX_EXCLUDED:
        wrong.append(FieldViolation("exclude_product_ids", f"takes at most {MAX_EXCLUDED} ids"))
    if wrong:
        raise RequestInvalid(*wrong)


def _blend_violations(parts: Sequence[BlendPart]) -> list[FieldViolation]:
    if not 1 <= len(parts) <= MAX_PARTS:
        wrong_size = f"has {len(parts)} entries; 1 to {MAX_PARTS} are taken"
        return [FieldViolation("blend.parts", wrong_size)]
    wrong = []
    for place, part in enumerate(parts):
        path = f"blend.parts[{place}]"
        if (part.vector is None) == (not part.product_id):
            wrong.append(FieldViolation(path, "give a vector or a product_id"))
        if not 0 < abs(part.weight) <= MAX_WEIGHT:  # NaN is neither
            out_of_range = f"must be from −{MAX_WEIGHT:g} to {MAX_WEIGHT:g}, and not 0"
            wrong.append(FieldViolation(f"{path}.weight", out_of_range))
    if not wrong and not any(part.weight > 0 for part in parts):
        wrong.append(FieldViolation("blend.parts", "at least one needs a weight above 0"))
    return wrong


def query_vectors(
    query: SearchQuery, generation: Generation, seeds: Mapping[str, Sequence[Floats]]
) -> list[Floats]:
    """Return the given vector, those of the product's photos, or one blended of several (none =
    nothing is near yet).

    `seeds`: vectors of the query's products that the catalog holds. Raises ProductNotFound with the
    path of each other one.
    """
    if missing := {each for each in query.product_ids if each not in seeds}:
        parts = enumerate(query.blend or ())
        raise ProductNotFound(
            *(f"blend.parts[{place}].product_id" for place, p in parts if p.product_id in missing)
        )
    given = [check_vector(each, generation.dimension, path) for path, each in query.given]
    if query.blend is None:
        return [*given, *[each for vectors in seeds.values() for each in vectors]]
    unused = iter(given)
    parts_of = [
        (part.weight, seeds[part.product_id] if part.product_id else [next(unused)])
        for part in query.blend
    ]
    vector = blended(parts_of)
    return [] if vector is None else [vector]
