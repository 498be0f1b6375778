"""Addresses from strangers, against a real server on this machine and made-up names."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from servicekit.errors import Code
from servicekit.fetch import (
    Fetcher,
    FetchPolicy,
    FetchSettings,
    UriForbidden,
    UriUnreadable,
    public,
    resolve,
)
from tests.fakes.web import FakeWeb, Writer, answer

PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 40


class Names:
    """A name server whose answers a test chooses; each is given once, the last one for ever."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): found for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise OSError("no such name")
        found = self.answers[host]
        return found.pop(0) if len(found) > 1 else found[0]


@pytest.fixture
async def web() -> AsyncIterator[FakeWeb]:
    async with FakeWeb({"/photo.jpg": answer(PHOTO)}).serving() as served:
        yield served


def fetcher(web: FakeWeb, names: Names | None = None, **policy: Any) -> Fetcher:
    """Return a fetcher that may fetch from photos.test, which is this machine."""
    chosen: dict[str, Any] = {
        "hosts": (f"photos.test:{web.port}",),
        "schemes": ("http", "https"),
        "max_bytes": 100_000,
        "seconds": 2,
    }
    return Fetcher(
        FetchPolicy(**(chosen | policy)),
        resolver=names or Names(photos_test=[["127.0.0.1"]]),
        loopback_for_tests=True,
    )


async def test_an_allowed_file_is_fetched_under_the_name_that_was_asked_for(web: FakeWeb) -> None:
    web.pages["/photo.jpg?size=1"] = answer(PHOTO)
    assert await fetcher(web).fetch(web.url("/photo.jpg?size=1#part")) == PHOTO
    head = web.requests[-1].lower()
    assert f"host: photos.test:{web.port}\r\n".encode() in head
    assert b"accept-encoding: identity" in head
    assert b"cookie" not in head


async def test_by_default_nothing_is_allowed_and_the_setting_that_allows_is_named() -> None:
    settings = FetchSettings()
    with pytest.raises(UriForbidden) as caught:
        await Fetcher(FetchPolicy.of(settings, 10)).fetch("https://photos.test/a.jpg")
    assert "FETCH_HOSTS" in caught.value.message
    assert (caught.value.code, caught.value.reason) == (Code.INVALID_ARGUMENT, "URI_FORBIDDEN")
    with pytest.raises(UriForbidden, match="FETCH_SCHEMES"):
        await Fetcher(FetchPolicy.of(settings, 10)).fetch("http://photos.test/a.jpg")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "photo.jpg",
        "//photos.test/a.jpg",
        "file:///etc/passwd",
        "ftp://photos.test/a.jpg",
        "data:image/png;base64,AAAA",
        "https://",
        "https://user:secret@photos.test/a.jpg",
        "https://user@photos.test/a.jpg",
        "https://photos.test\\@evil.test/a.jpg",
        "https://photos.test@evil.test/a.jpg",
        "https://evil.test/a.jpg",
        "https://photos.test.evil.test/a.jpg",
        "https://xphotos.test/a.jpg",
        "https://photos.test:8443/a.jpg",
        "https://photos.test:99999999/a.jpg",
        "https://127.0.0.1/a.jpg",
        "https://[::1]/a.jpg",
        "https://[::1/a.jpg",
        "https://photos.test/\x00",
        "https://photos.test/" + "a" * 2_048,
        "https://cdn.test/a.jpg",
        "https://phötos.test/a.jpg",
    ],
)
async def test_what_is_not_allowed_is_refused_before_any_name_is_asked_for(uri: str) -> None:
    names = Names()
    policy = FetchPolicy(hosts=("photos.test", "*.cdn.test"))
    with pytest.raises(UriForbidden) as caught:
        await Fetcher(policy, resolver=names).fetch(uri)
    assert names.asked == []
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("https://PHOTOS.test/a", "photos.test"),
        ("https://photos.test:443/a", "photos.test"),
        ("https://photos.test./a", "photos.test"),
        ("https://a.b.cdn.test/a", "*.cdn.test"),
        ("https://bücher.test/a", "xn--bcher-kva.test"),
        ("https://[2606:4700::1]/a", "[2606:4700::1]"),
        ("https://photos.test:8443/a", "photos.test:8443"),
    ],
)
def test_hosts_are_allowed_by_name_by_pattern_and_by_port(uri: str, allowed: str) -> None:
    assert Fetcher(FetchPolicy(hosts=(allowed,)))._judge(uri).scheme == "https"


PRIVATE = [
    "10.0.0.1",
    "172.16.3.4",
    "192.168.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:8.8.8.8",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_that_leads_off_the_open_internet_is_refused(address: str) -> None:
    assert not public(ip_address(address))
    policy = FetchPolicy(hosts=("photos.test",))
    for found in ([address], ["93.184.215.14", address]):
        names = Names(photos_test=[found])
        with pytest.raises(UriForbidden, match="open internet"):
            await Fetcher(policy, resolver=names).fetch("https://photos.test/a.jpg")


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1", "2a00:1450::1"])
def test_the_open_internet_is_public(address: str) -> None:
    assert public(ip_address(address))


async def test_this_machine_is_refused_without_the_tests_own_parameter(web: FakeWeb) -> None:
    policy = FetchPolicy(hosts=(f"127.0.0.1:{web.port}",), schemes=("http",))
    with pytest.raises(UriForbidden, match="open internet"):
        await Fetcher(policy).fetch(f"http://127.0.0.1:{web.port}/photo.jpg")
    assert web.requests == []


async def test_a_second_answer_of_the_name_server_counts_for_nothing(web: FakeWeb) -> None:
    """DNS rebinding: the checked address is the one that is connected to."""
    names = Names(photos_test=[["127.0.0.1"], ["10.0.0.1"]])
    assert await fetcher(web, names).fetch(web.url("/photo.jpg")) == PHOTO
    assert names.asked == ["photos.test"]


async def test_the_next_address_is_tried_when_one_is_not_reached(web: FakeWeb) -> None:
    names = Names(photos_test=[["::1", "127.0.0.1"]])
    assert await fetcher(web, names).fetch(web.url("/photo.jpg")) == PHOTO
    with pytest.raises(UriUnreadable, match="reached"):
        await fetcher(web, Names(photos_test=[["::1"]])).fetch(web.url("/photo.jpg"))


async def test_redirects_are_followed_a_few_times(web: FakeWeb) -> None:
    for i in range(3):
        web.pages[f"/{i}"] = answer(status="302 Found", location=f"/{i + 1}")
    web.pages["/3"] = answer(PHOTO)
    assert await fetcher(web).fetch(web.url("/0")) == PHOTO
    with pytest.raises(UriUnreadable, match="more than 2 times"):
        await fetcher(web, redirects=2).fetch(web.url("/0"))
    web.pages["/loop"] = answer(status="301 Moved", location="/loop")
    with pytest.raises(UriUnreadable, match="more than 3 times"):
        await fetcher(web).fetch(web.url("/loop"))


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:1/",
        "http://other.test/a.jpg",
        "http://private.test/a.jpg",
        "https://user:secret@photos.test/",
        "file:///etc/passwd",
        "http://[::1",
        "//private.test/",
    ],
)
async def test_a_redirect_to_where_nothing_may_be_fetched_from_is_refused(
    web: FakeWeb, location: str
) -> None:
    web.pages["/away"] = answer(status="307 Temporary", location=location)
    names = Names(photos_test=[["127.0.0.1"]], private_test=[["10.0.0.1"]])
    hosts = (f"photos.test:{web.port}", "private.test", "10.0.0.1", "169.254.169.254")
    with pytest.raises(UriForbidden):
        await fetcher(web, names, hosts=hosts).fetch(web.url("/away"))
    assert len(web.requests) == 1


async def test_a_redirect_to_a_scheme_that_is_not_allowed_is_refused(web: FakeWeb) -> None:
    web.pages["/away"] = answer(status="302 Found", location="https://photos.test/")
    with pytest.raises(UriForbidden, match="https is not allowed"):
        await fetcher(web, schemes=("http",)).fetch(web.url("/away"))


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
    ("page", "words"),
    [
        (_endless, "more than 100,000 bytes"),
        (answer(bytes(100_001)), "more than 100,000 bytes"),
        (answer(b"x", content_length="9" * 12), "more than 100,000 bytes"),
        (answer(PHOTO, content_length="20000"), "broke off"),
        (answer(b"x", content_length="-5"), "broke off"),
        (answer(b""), "empty"),
        (answer(gzip.compress(bytes(10_000_000)), content_encoding="gzip"), "compressed"),
        (answer(b"x", content_encoding="br"), "compressed"),
        (answer(b"no", status="404 Not Found"), "404"),
        (answer(PHOTO, status="206 Partial Content"), "206"),
        (answer(b"", status="302 Found"), "302"),
        (b"HELO this is mail\r\n\r\n", "broke off"),
        (b"", "broke off"),
    ],
    ids=lambda part: str(part)[:24],
)
async def test_a_host_that_gives_no_file_is_told_as_such(
    web: FakeWeb, page: Any, words: str
) -> None:
    web.pages["/bad"] = page
    with pytest.raises(UriUnreadable, match=words) as caught:
        await fetcher(web).fetch(web.url("/bad"))
    assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "URI_UNREADABLE")


@pytest.mark.parametrize("page", [_slow, _silent])
async def test_a_slow_host_is_left_when_the_time_is_up(web: FakeWeb, page: Any) -> None:
    web.pages["/slow"] = page
    with pytest.raises(UriUnreadable, match=r"within 0.3 s"):
        await fetcher(web, seconds=0.3).fetch(web.url("/slow"))


async def test_time_spent_on_redirects_counts(web: FakeWeb) -> None:
    async def late(writer: Writer) -> None:
        await asyncio.sleep(0.2)
        writer.write(answer(status="302 Found", location="/late"))
        await writer.drain()

    web.pages["/late"] = late
    with pytest.raises(UriUnreadable, match="within"):
        await fetcher(web, seconds=0.5, redirects=20).fetch(web.url("/late"))


async def test_a_name_that_nobody_knows_is_unreadable(web: FakeWeb) -> None:
    with pytest.raises(UriUnreadable, match="not known"):
        await fetcher(web, hosts=("gone.test",)).fetch("http://gone.test/")


async def test_proxies_of_the_environment_are_not_used(
    web: FakeWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await fetcher(web).fetch(web.url("/photo.jpg")) == PHOTO


async def test_each_file_has_a_connection_of_its_own(web: FakeWeb) -> None:
    """Kept, one that was checked for one host could serve another host of the same address."""
    one = fetcher(web)
    for _ in range(3):
        await one.fetch(web.url("/photo.jpg"))
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
                assert await one.fetch(address) == PHOTO
            else:
                with pytest.raises(UriUnreadable, match="reached"):
                    await one.fetch(address)
            strict = Fetcher(policy, resolver=names, loopback_for_tests=True)
            with pytest.raises(UriUnreadable, match="reached"):
                await strict.fetch(address)


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
    await asyncio.gather(*(one.fetch(web.url("/busy")) for _ in range(6)))
    assert most == 2


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
    ],
)
def test_a_setting_that_would_allow_what_was_not_meant_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FetchSettings(**bad)
