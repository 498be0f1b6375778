"""The retriever after calls that are cancelled at any await."""

from retriever.catalog.synonyms import HeldSynonyms
from retriever.record import Record
from retriever.search.sampling import Samples
from tests.cancelling import cancelled_at_each_await


async def test_rules_and_samples_are_read_though_the_first_caller_left(record: Record) -> None:
    synonyms, samples = HeldSynonyms(record), Samples()

    async def call() -> None:
        await synonyms.of("default")
        await samples.of("default", 1, record)

    async def check() -> None:
        assert not await synonyms.of("default")
        assert (await samples.of("default", 1, record)).rows == 0
        for each in (synonyms._rules, samples._kept):
            each.forget("default")

    assert await cancelled_at_each_await(call, check) > 0
