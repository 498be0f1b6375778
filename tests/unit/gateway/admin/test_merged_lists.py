"""Several owners' lists as one: no entry repeated or skipped, newest first."""

import base64
import json
import random
from collections.abc import Sequence

import pytest

from gateway.admin.merged_lists import Entry, Fetch, merged
from servicekit.rpc.requests import PageTokenInvalid


class Owner:
    """A list that grows at its head, paged as the services page theirs."""

    def __init__(self, name: str, created: Sequence[int], most: int = 1_000) -> None:
        self.name, self.most = name, most
        self.created = list(created)
        self.calls = 0

    async def fetch(self, token: str, size: int) -> tuple[Sequence[Entry], str]:
        self.calls += 1
        newest = sorted(self.created, reverse=True)
        left = [when for when in newest if not token or when < int(token)]
        page = left[: min(size, self.most)]
        more = len(left) > len(page)
        entries = [Entry(f"{self.name}/{when:09}", when, when) for when in page]
        return entries, str(page[-1]) if more else ""


def fetches(*owners: Owner) -> dict[str, Fetch]:
    return {owner.name: owner.fetch for owner in owners}


async def page(owners: Sequence[Owner], size: int, token: str) -> tuple[list[str], str]:
    entries, token = await merged(fetches(*owners), about=("jobs",), size=size, token=token)
    return [entry.id for entry in entries], token


async def read(owners: Sequence[Owner], size: int) -> list[list[str]]:
    pages, token = [], ""
    while True:
        ids, token = await page(owners, size, token)
        pages.append(ids)
        if not token:
            return pages


def expected(*owners: Owner) -> list[str]:
    every = [(when, f"{owner.name}/{when:09}") for owner in owners for when in owner.created]
    return [name for _, name in sorted(every, reverse=True)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("seed", range(8))
async def test_pages_hold_every_entry_once_and_newest_first(size: int, seed: int) -> None:
    some = random.Random(seed)
    times = some.sample(range(1, 500), 23)
    cut = some.choice([0, 1, 11, 23])
    left, right = Owner("left", times[:cut], most=4), Owner("right", times[cut:])
    pages = await read([left, right], size)
    assert [name for ids in pages for name in ids] == expected(left, right)
    assert {len(ids) for ids in pages[:-1]} <= {size}
    assert len(pages[-1]) > 0


async def test_nothing_at_all_is_one_empty_page() -> None:
    assert await read([Owner("left", []), Owner("right", [])], 5) == [[]]


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_entries_that_come_while_one_reads_repeat_and_skip_nothing(size: int) -> None:
    left, right = Owner("left", range(1, 20, 2)), Owner("right", range(2, 21, 2), most=3)
    before = expected(left, right)
    seen, token, clock = [], "", 100
    while True:
        ids, token = await page([left, right], size, token)
        seen += ids
        for owner in (left, right):
            owner.created += range(clock, clock + 5)
            clock += 5
        if not token:
            break
    assert seen == before


async def test_entries_of_one_moment_are_all_listed() -> None:
    left, right = Owner("left", [5, 4]), Owner("right", [5, 4])
    pages = await read([left, right], 1)
    assert sorted(name for ids in pages for name in ids) == sorted(expected(left, right))


async def test_an_owner_that_is_read_to_its_end_is_not_asked_again() -> None:
    left, right = Owner("left", [9]), Owner("right", [1, 2, 3, 4, 5])
    _, token = await page([left, right], 3, "")
    left.calls = 0
    await page([left, right], 3, token)
    assert left.calls == 0


async def test_a_token_is_good_for_its_own_list_only() -> None:
    owners = [Owner("left", range(9)), Owner("right", range(9))]
    _, token = await page(owners, 3, "")
    with pytest.raises(PageTokenInvalid):
        await merged(fetches(*owners), about=("others",), size=3, token=token)
    with pytest.raises(PageTokenInvalid):
        await page(owners[:1], 3, token)
    parts = json.loads(base64.urlsafe_b64decode(token))
    for place, bad in ((0, 2), (1, "x"), (2, "1"), (3, []), (3, {"left": 1, "right": None})):
        twisted = json.dumps([*parts[:place], bad, *parts[place + 1 :]])
        with pytest.raises(PageTokenInvalid):
            await page(owners, 3, base64.urlsafe_b64encode(twisted.encode()).decode())


@pytest.mark.parametrize("token", ["x", "é", "bnVsbA==", "[" * 5_000, "W10=", "AAAA"])
async def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        await page([Owner("left", [1])], 3, token)
