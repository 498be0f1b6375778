"""The client's products, filters and files follow from the table of fields."""

from sightline_client.files import products as product_rows
from sightline_client.values.products import FIELDS, F, Product
from sightline_rules import fields as rules


def test_every_field_of_the_table_is_read_filtered_and_imported() -> None:
    named = {field.name: field for field in FIELDS}
    assert set(named) == set(rules.NAMED)
    for field in rules.FIELDS:
        ours = named[field.name]
        assert ours.attribute in Product.__dataclass_fields__
        assert (ours.column in product_rows.COLUMNS) == field.written
        assert ours.filtered == field.filtered
        if field.filtered and field.name != "attributes":
            assert getattr(F, field.name).name == field.name
