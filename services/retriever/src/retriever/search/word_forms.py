"""Other forms of a query's words: those of the catalog's words that have the same stem."""

import asyncio

from retriever.columns.word_index import WordIndex
from retriever.domain.synonyms import AskedWords
from sightline_rules.stems import stemmer_of


async def with_forms(asked: AskedWords, index: WordIndex, language_code: str) -> AskedWords:
    """Return the words with the other forms that products have, in a language with stems; in others
    they are unchanged. In a thread: up to 5,000 words are compared with each."""
    stem = stemmer_of(language_code)
    if stem is None or not asked.words:
        return asked
    return await asyncio.to_thread(asked.with_forms, index.vocabulary(), stem)
