"""All documented columns of each known export, with what becomes of them.

A column that is in no table is new or foreign: an import reports it, because it may change the
meaning of the others. In a name, {n} stands for a number and {…} for any text. The tables are in
export_columns.toml.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sightline_client.files.export_headers import magento_form, shopware_form, woocommerce_form
from sightline_client.files.tables import table


@dataclass(frozen=True, slots=True)
class ExportColumns:
    """The columns of one export, by their names in lower case."""

    read: Mapping[str, str]
    """Column → the columns of ours that it decides."""
    ignored: Mapping[str, str]
    """Column → why it is not read."""
    form: Callable[[str], str] = str.lower
    """Returns the name in these tables of a column of a file."""

    def knows(self, name: str) -> bool:
        """Return whether a column of a file, in the form of the tables, is in one of them."""
        if name in self.read or name in self.ignored:
            return True
        patterns = (each for each in (*self.read, *self.ignored) if "{" in each)
        return any(_pattern(each).fullmatch(name) for each in patterns)

    def named(self, name: str) -> str:
        """Return the name by which the tables have a column: itself, or the longest with {n} or
        {…} that fits."""
        if name in self.read or name in self.ignored:
            return name
        patterns = (each for each in (*self.read, *self.ignored) if "{" in each)
        found = (each for each in patterns if _pattern(each).fullmatch(name))
        return max(found, key=len, default=name)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(r"\{n\}", r"\d+").replace(r"\{…\}", ".+"))


_TABLES = table("export_columns")
_REASONS: Mapping[str, str] = _TABLES["reasons"]
_SHOPIFY_TODAY: Mapping[str, str] = _TABLES["shopify_today"]


def _export(name: str, form: Callable[[str], str] = str.lower) -> ExportColumns:
    """Return the columns of an export: those of one reason have semicolons between in the table."""
    given = _TABLES[name]
    ignored = {
        column.strip(): _REASONS.get(why, why)
        for why, columns in given["ignored"].items()
        for column in columns.split(";")
    }
    return ExportColumns(given["read"], ignored, form)


def _shopify_form(name: str) -> str:
    small = name.strip().lower()
    return _SHOPIFY_TODAY.get(small, small)


def merchant_form(name: str) -> str:
    """Return the name of an attribute as the specification writes it: feeds of text also have
    `image link` and `g:image_link`."""
    return name.strip().lower().removeprefix("g:").replace(" ", "_")


SHOPIFY = _export("shopify", _shopify_form)
WOOCOMMERCE = _export("woocommerce", woocommerce_form)
MAGENTO = _export("magento", magento_form)
SHOPWARE = _export("shopware", shopware_form)
SHOPWARE_5 = _export("shopware_5")
AKENEO = _export("akeneo")
RETAIL = _export("retail")
GA4 = _export("ga4")
RETAIL_EVENTS = _export("retail_events")
MERCHANT = _export("merchant", merchant_form)
SCHEMA_ORG = _export("schema_org")
