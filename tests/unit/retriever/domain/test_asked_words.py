"""Words of a query, with the other forms that products have."""

from retriever.domain.synonyms import MOST_FORMS, AskedWords
from sightline_rules.lexicon import Lexicon


def test_a_word_has_a_bounded_number_of_forms() -> None:
    vocabulary = Lexicon(sorted(f"wander{end}" for end in map(chr, range(97, 123))))
    asked = AskedWords.of("wanders wandern").with_forms(vocabulary, lambda word: word[:6])
    assert list(asked.others) == ["wanders", "wandern"]
    for word, terms in asked.others.items():
        assert MOST_FORMS - 1 <= len(terms) <= MOST_FORMS
        assert (word,) not in terms
