"""Synonyms as text: the client reads it as the suite does."""

import pytest

from sightline_client.values.synonym_text import synonym_rules
from sightline_rules.synonyms import read_rules


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a, b\n",
        "# x\r\n\r\n a ,b=>c # d\n",
        "=> c\na =>\n,\na = b => c => d\n",
        "a\u2028b, c\x0bd\n\ufeffe, f",
    ],
)
def test_a_text_is_read_as_the_suite_reads_it(text: str) -> None:
    def plain(rules: list[tuple[int, object]]) -> list[tuple[object, ...]]:
        return [(number, rule.terms, rule.replacements) for number, rule in rules]  # type: ignore[attr-defined]

    assert plain([*synonym_rules(text.split("\n"))]) == plain([*read_rules(text)])
