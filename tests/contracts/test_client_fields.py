"""The client's products, filters and files follow from the table of fields."""

import importlib.util
from pathlib import Path
from types import ModuleType

from sightline_client.files import products as product_rows
from sightline_client.values.products import FIELDS, F, Product
from sightline_rules import fields as rules

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fields", ROOT / "client/generate_fields.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_file_is_that_of_the_table() -> None:
    module = generator()
    assert module.TARGET.read_text() == module.generate(), "run make proto"


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
