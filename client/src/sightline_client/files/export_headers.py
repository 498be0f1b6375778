"""Headers of exports in other languages, and their names in the tables of `export_columns`.

WooCommerce translates its headers. Shopware and Magento write names of fields, and programs beside
them the labels of their administration, which are here too. Each name in the tables stands with
those in German, French and Chinese, and with other labels. {n} stands for a number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache

from sightline_client.files.tables import table

_TABLES = table("export_headers")
_NUMBER = re.compile(r"\d+")


def _flat(name: str) -> str:
    """Return a header in lower case, with plain signs: `Mis en avant ?`, `有货？`."""
    flat = unicodedata.normalize("NFKC", name).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return re.sub(r"\s+(?=\?)", "", " ".join(flat.lower().split()))


def _form(names: Mapping[str, str], *, underscores: bool = False) -> Callable[[str], str]:
    """Return a function from a header to its name in the tables. `underscores`: the export has
    them between words."""
    flat = {_flat(each): name for name, theirs in names.items() for each in theirs.split(";")}
    blanks = {re.sub(r"\s", "", theirs): name for theirs, name in flat.items()}

    @lru_cache(4_096)
    def form(name: str) -> str:
        bare = _flat(name)
        number = _NUMBER.search(bare)
        pattern = _NUMBER.sub("{n}", bare, count=1)
        found = flat.get(bare) or flat.get(pattern) or blanks.get(re.sub(r"\s", "", pattern))
        if found is None:
            return bare.replace(" ", "_") if underscores else bare
        return found.replace("{n}", number[0]) if number is not None else found

    return form


woocommerce_form = _form(_TABLES["woocommerce"])
magento_form = _form(_TABLES["magento"], underscores=True)
shopware_form = _form(_TABLES["shopware"], underscores=True)
LANGUAGES: Mapping[str, str] = dict.fromkeys(
    ("woocommerce", "magento", "shopware"), "German, French and Chinese"
)
"""Export → languages of its headers beside English."""
