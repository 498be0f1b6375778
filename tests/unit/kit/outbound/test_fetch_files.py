"""Hosts with unusual, late or missing answers, against a real server on this machine."""

import asyncio
import gzip
import ssl
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from servicekit.admission.memory_budget import ByteBudget, in_flight
from servicekit.errors import Code
from servicekit.outbound.fetch import (
    Fetcher,
    FetchPolicy,
    FetchSettings,
    UriForbidden,
    UriUnreadable,
    resolve,
)
from tests.fakes.web import FakeWeb, Writer, answer
from tests.unit.kit.outbound.fetching import PHOTO, Names, fetch, fetcher, web
from tests.waiting import SECONDS, until

__all__ = ["web"]  # fixtures


async def _endless(writer: Writer) -> None:
    writer.write(answer(content_length=""))
    while True:
        writer.write(bytes(10_000))
        await writer.drain()


async def _slow(writer: Writer) -> None:
    writer.write(answer(content_length="1000"))
    for _ in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _silent(_writer: Writer) -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("stated", "modified"),
    [
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1_445_412_480.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 1_445_412_480.0),
        ("Wed, 21 Oct 2015 07:28:00", 1_445_412_480.0),
        ("Wed, 21 Oct 2015 09:28:00 +0200", 1_445_412_480.0),
        ("", 0.0),
        ("yesterday", 0.0),
        ("Wed, 21 Oct 1915 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", 0.0),
    ],
)
async def test_a_file_has_the_time_that_its_host_states(
    web: FakeWeb, stated: str, modified: float
) -> None:
    web.pages["/a.jpg"] = answer(PHOTO, last_modified=stated)
    async with fetcher(web).fetched_file(web.url("/a.jpg")) as file:
        assert (file.data, file.modified) == (PHOTO, modified)


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("page", "words"),
    [
        (_endless, "more than 100,000 bytes"),
        (answer(bytes(100_001)), "more than 100,000 bytes"),
        (answer(b"x", content_length="9" * 12), "more than 100,000 bytes"),
        (answer(PHOTO, content_length="20000"), "closed the connection"),
        (answer(b"x", content_length="-5"), "closed the connection"),
        (answer(b""), "empty"),
        (answer(gzip.compress(bytes(10_000_000), mtime=0), content_encoding="gzip"), "compressed"),
        (answer(b"x", content_encoding="br"), "compressed"),
        (answer(b"no", status="404 Not Found"), "404"),
        (answer(PHOTO, status="206 Partial Content"), "206"),
        (answer(b"", status="302 Found"), "302"),
        (b"HELO this is mail\r\n\r\n", "closed the connection"),
        (b"", "closed the connection"),
    ],
    ids=lambda part: str(part)[:24],
)
async def test_a_host_that_gives_no_file_is_reported_as_such(
    web: FakeWeb, page: Any, words: str
) -> None:
    web.pages["/bad"] = page
    with pytest.raises(UriUnreadable, match=words) as caught:
        await fetch(fetcher(web), web.url("/bad"))
    assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "URI_UNREADABLE")


@pytest.mark.parametrize("page", [_slow, _silent])
async def test_a_slow_host_is_left_when_the_time_is_up(web: FakeWeb, page: Any) -> None:
    web.pages["/slow"] = page
    with pytest.raises(UriUnreadable, match=r"within 0.3 s"):
        await fetch(fetcher(web, seconds=0.3), web.url("/slow"))


async def test_time_spent_on_redirects_counts(web: FakeWeb) -> None:
    async def late(writer: Writer) -> None:
        await asyncio.sleep(0.2)
        writer.write(answer(status="302 Found", location="/late"))
        await writer.drain()

    web.pages["/late"] = late
    with pytest.raises(UriUnreadable, match="within"):
        await fetch(fetcher(web, seconds=0.5, redirects=20), web.url("/late"))


async def test_a_name_that_nobody_knows_is_unreadable(web: FakeWeb) -> None:
    with pytest.raises(UriUnreadable, match="be resolved"):
        await fetch(fetcher(web, hosts=("gone.test",)), "http://gone.test/")


async def test_proxies_of_the_environment_are_not_used(
    web: FakeWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await fetch(fetcher(web), web.url("/photo.jpg")) == PHOTO


async def test_each_file_has_a_connection_of_its_own(web: FakeWeb) -> None:
    """Check that no connection is reused: one checked for a host could serve another host of the
    same address."""
    one = fetcher(web)
    for _ in range(3):
        await fetch(one, web.url("/photo.jpg"))
    assert all(b"connection: close" in head.lower() for head in web.requests)
    await one.close()


async def test_a_certificate_has_to_be_that_of_the_name_that_was_asked_for() -> None:
    authority = trustme.CA()
    ours, theirs = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
    authority.issue_cert("photos.test").configure_cert(ours)
    authority.issue_cert("other.test", "127.0.0.1").configure_cert(theirs)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    for context, good in ((ours, True), (theirs, False)):
        web = FakeWeb({"/photo.jpg": answer(PHOTO)}, tls=context)
        async with web.serving():
            policy = FetchPolicy(hosts=(f"photos.test:{web.port}",), seconds=2)
            names = Names(photos_test=[["127.0.0.1"]])
            one = Fetcher(policy, resolver=names, loopback_for_tests=True, verify=trusting)
            address = web.url("/photo.jpg", scheme="https")
            if good:
                assert await fetch(one, address) == PHOTO
            else:
                with pytest.raises(UriUnreadable, match="reached"):
                    await fetch(one, address)
            strict = Fetcher(policy, resolver=names, loopback_for_tests=True)
            with pytest.raises(UriUnreadable, match="reached"):
                await fetch(strict, address)


async def test_no_more_files_than_set_are_fetched_at_a_time(web: FakeWeb) -> None:
    running = most = 0

    async def busy(writer: Writer) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        writer.write(answer(PHOTO))
        await writer.drain()

    web.pages["/busy"] = busy
    one = fetcher(web, concurrency=2)
    await asyncio.gather(*(fetch(one, web.url("/busy")) for _ in range(6)))
    assert most == 2


async def test_a_host_that_hangs_holds_up_nobody_who_fetches_from_another(web: FakeWeb) -> None:
    hanging, done = asyncio.Semaphore(0), asyncio.Event()

    async def hang(_: Writer) -> None:
        hanging.release()
        await done.wait()

    web.pages["/hang"] = hang
    names = Names(photos_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    hosts = tuple(f"{name}.test:{web.port}" for name in ("photos", "other"))
    one = fetcher(web, names, hosts=hosts, concurrency=3, per_host=2, seconds=60)
    stuck = [asyncio.create_task(fetch(one, web.url("/hang"))) for _ in range(6)]
    for _ in range(2):
        await asyncio.wait_for(hanging.acquire(), SECONDS)
    other = web.url("/photo.jpg", "other.test")
    assert await fetch(one, other) == PHOTO
    assert hanging.locked()  # two of six got through
    for task in stuck:
        task.cancel()
    await asyncio.wait(stuck)
    done.set()


@pytest.mark.parametrize("which", ["concurrency", "per_host"])
async def test_the_wait_for_a_place_counts(web: FakeWeb, which: str) -> None:
    one = fetcher(web, seconds=0.05, **{which: 1})
    place = one._places if which == "concurrency" else one._host("photos.test")
    async with place:
        with pytest.raises(UriUnreadable, match="whole file within"):
            await asyncio.wait_for(fetch(one, web.url("/photo.jpg")), SECONDS)
    assert not web.requests


async def test_an_error_can_name_the_field_that_held_the_address() -> None:
    for error in (UriForbidden("no"), UriUnreadable("no")):
        assert [v.field for v in error.at("products[3].images[0].uri").violations] == [
            "products[3].images[0].uri"
        ]


async def test_the_systems_resolver_answers() -> None:
    assert "127.0.0.1" in await resolve("127.0.0.1", 80)


@pytest.mark.parametrize(
    "bad",
    [
        {"fetch_hosts": ("*",)},
        {"fetch_hosts": ("https://photos.test",)},
        {"fetch_hosts": ("photos.test/path",)},
        {"fetch_hosts": ("a b",)},
        {"fetch_schemes": ("file",)},
        {"fetch_refused": ("203.0.113.7/24",)},
        {"fetch_refused": ("shop.example",)},
    ],
)
def test_a_setting_that_would_allow_what_was_not_meant_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FetchSettings(**bad)


async def test_a_fetched_file_counts_as_bytes_of_the_call_until_it_is_let_go(web: FakeWeb) -> None:
    web.pages["/photo.jpg"] = answer(PHOTO)
    budget = ByteBudget(10_000_000)
    in_flight.set((budget, "shop"))
    one = fetcher(web, max_bytes=1_000_000)
    async with one.fetched(web.url("/photo.jpg")):
        assert budget.free == 10_000_000 - len(PHOTO)
    assert budget.free == 10_000_000
    with pytest.raises(UriUnreadable):
        async with one.fetched(web.url("/none")):
            pass
    assert budget.free == 10_000_000


async def test_files_of_a_caller_wait_while_its_others_hold_half_of_the_bytes(
    web: FakeWeb,
) -> None:
    web.pages["/photo.jpg"] = answer(PHOTO)
    budget, let_go = ByteBudget(2 * len(PHOTO)), asyncio.Event()
    one = fetcher(web, max_bytes=len(PHOTO), seconds=SECONDS)

    async def use(caller: str, *, wait: bool) -> None:
        in_flight.set((budget, caller))
        async with one.fetched(web.url("/photo.jpg")):
            if wait:
                await let_go.wait()

    first = asyncio.create_task(use("greedy", wait=True))
    await until(lambda: len(web.requests) == 1 and budget.free == len(PHOTO))
    second = asyncio.create_task(use("greedy", wait=False))
    await use("other", wait=False)
    assert len(web.requests) == 2, "the second of the greedy one was not asked for"
    let_go.set()
    await asyncio.gather(first, second)
    assert budget.free == 2 * len(PHOTO)
