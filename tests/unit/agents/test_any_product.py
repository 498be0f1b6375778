"""Any product that a catalog may hold is bounded for agents."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from sightline_agents.mcp import convert
from sightline_client import Attribute, Availability, Money, Product
from sightline_client.values.catalog import ProductImage

TEXTS = st.text(max_size=40) | st.text("\u202e\u200b\x00ab", max_size=40)
MONEY = st.builds(
    Money,
    st.decimals(0, 10**9, places=6).map(Decimal),
    st.sampled_from(["EUR", "JPY", "KWD"]),
)
PRODUCTS = st.builds(
    Product,
    product_id=st.text(min_size=1, max_size=20),
    title=TEXTS,
    description=TEXTS | st.just("x" * 9_000),
    category_path=st.lists(TEXTS, max_size=3).map(tuple),
    brand=TEXTS,
    price=MONEY,
    availability=st.sampled_from(Availability),
    tags=st.lists(TEXTS, max_size=100).map(tuple),
    attributes=st.lists(
        st.builds(
            Attribute,
            st.sampled_from(["grape", "vintage"]),
            TEXTS | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(),
        ),
        max_size=100,
    ).map(tuple),
    images=st.lists(
        st.builds(ProductImage, image_id=st.just("a" * 64), width=st.integers(0, 9)), max_size=3
    ).map(tuple),
    uri=TEXTS | st.just("https://shop.example/wine"),
    rating=st.none() | st.floats(0, 5),
    rating_count=st.none() | st.integers(0, 10**6),
    stock=st.none() | st.integers(0, 10**6),
)


@settings(max_examples=150, deadline=None)
@given(PRODUCTS)
def test_agents_read_it_without_hidden_characters(product: Product) -> None:
    found = convert.details(product)
    read = [found.title, found.brand, found.category, found.description, *found.tags]
    assert not [text for text in read if {"\u202e", "\u200b", "\x00"} & set(text)]
    assert len(found.description) <= 4_000
    assert len(found.tags) <= 40
    assert sum(map(len, found.attributes.values())) <= 60
