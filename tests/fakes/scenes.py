"""The gateway's answer about a changed scene."""

from sightline.gateway.v1 import admin_service_pb2 as admin

BAD = "<script>alert(1)</script>"
"""Script in place of a product's id: a page must show it without running it."""


def scene_difference() -> admin.DiffSceneResponse:
    made = admin.DiffSceneResponse(
        answer_count=4,
        skipped_count=1,
        changed_count=2,
        changed_place_share=0.125,
        replaced_share=0.05,
        version="v1",
        changed_version="v2",
    )
    made.warnings.add(path="branches.text", text="is not used")
    made.changes.add(path="diversity.brand_cap", before="0", after="2", replayed=True)
    made.exposures.add(dimension="brand", name="Château A", before=0.5, after=0.25)
    made.exposures.add(dimension="product", name=BAD, before=0.1, after=0.2)
    made.exposures.add(dimension="category", name="", before=0.1, after=0.1)
    made.figures.add(name="gini_products", before=0.5, after=0.4)
    made.figures.add(name="products", before=20, after=24)
    made.figures.add(name="new_share", before=0.0, after=0.1)
    made.expected.add(
        name="margin",
        currency_code="EUR",
        before={"value": 10, "lower": 9, "upper": 11},
        after={"value": 1212.5, "lower": 11, "upper": 14},
        change={"value": 2.5, "lower": -0.5, "upper": 4},
        answer_count=4,
    )
    made.answers.add(answer_id="a1", before_product_ids=["p1", "p2"], after_product_ids=["p2", BAD])
    return made
