"""Untrusted addresses, against a real server on this machine and invented names."""

from ipaddress import ip_address

import pytest

from servicekit.errors import Code
from servicekit.outbound.fetch import (
    Fetcher,
    FetchPolicy,
    FetchSettings,
    UriForbidden,
    UriUnreadable,
    public,
)
from tests.fakes.web import FakeWeb, answer
from tests.unit.kit.outbound.fetching import PHOTO, Names, fetch, fetcher, web

__all__ = ["web"]  # fixtures


async def test_an_allowed_file_is_fetched_under_the_name_that_was_asked_for(web: FakeWeb) -> None:
    web.pages["/photo.jpg?size=1"] = answer(PHOTO)
    assert await fetch(fetcher(web), web.url("/photo.jpg?size=1#part")) == PHOTO
    head = web.requests[-1].lower()
    assert f"host: photos.test:{web.port}\r\n".encode() in head
    assert b"accept-encoding: identity" in head
    assert b"cookie" not in head


async def test_by_default_nothing_is_allowed_and_the_setting_that_allows_is_named() -> None:
    settings = FetchSettings()
    with pytest.raises(UriForbidden) as caught:
        await fetch(Fetcher(FetchPolicy.of(settings, 10)), "https://photos.test/a.jpg")
    assert "FETCH_HOSTS" in caught.value.message
    assert (caught.value.code, caught.value.reason) == (Code.INVALID_ARGUMENT, "URI_FORBIDDEN")
    with pytest.raises(UriForbidden, match="FETCH_SCHEMES"):
        await fetch(Fetcher(FetchPolicy.of(settings, 10)), "http://photos.test/a.jpg")


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
        await fetch(Fetcher(policy, resolver=names), uri)
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
    "168.63.129.16",
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
        with pytest.raises(UriForbidden, match="public internet"):
            await fetch(Fetcher(policy, resolver=names), "https://photos.test/a.jpg")


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1", "2a00:1450::1"])
def test_the_open_internet_is_public(address: str) -> None:
    assert public(ip_address(address))


async def test_networks_of_the_operator_are_refused_too() -> None:
    settings = FetchSettings(
        fetch_hosts=("photos.test",),
        fetch_refused=("93.184.215.0/24", "2a00::/16"),  # type: ignore[arg-type]
    )
    for address in ("93.184.215.14", "2a00:1450::1"):
        names = Names(photos_test=[["8.8.8.8", address]])
        with pytest.raises(UriForbidden, match="public internet"):
            await fetch(
                Fetcher(FetchPolicy.of(settings, 10), resolver=names), "https://photos.test/a"
            )
    assert public(ip_address("93.184.216.14"), settings.fetch_refused)


async def test_this_machine_is_refused_without_the_tests_own_parameter(web: FakeWeb) -> None:
    policy = FetchPolicy(hosts=(f"127.0.0.1:{web.port}",), schemes=("http",))
    with pytest.raises(UriForbidden, match="public internet"):
        await fetch(Fetcher(policy), f"http://127.0.0.1:{web.port}/photo.jpg")
    assert web.requests == []


async def test_a_second_answer_of_the_name_server_counts_for_nothing(web: FakeWeb) -> None:
    """Check DNS rebinding: the connection must use the checked address."""
    names = Names(photos_test=[["127.0.0.1"], ["10.0.0.1"]])
    assert await fetch(fetcher(web, names), web.url("/photo.jpg")) == PHOTO
    assert names.asked == ["photos.test"]


async def test_the_next_address_is_tried_when_one_is_not_reached(web: FakeWeb) -> None:
    names = Names(photos_test=[["::1", "127.0.0.1"]])
    assert await fetch(fetcher(web, names), web.url("/photo.jpg")) == PHOTO
    with pytest.raises(UriUnreadable, match="reached"):
        await fetch(fetcher(web, Names(photos_test=[["::1"]])), web.url("/photo.jpg"))


async def test_redirects_are_followed_a_few_times(web: FakeWeb) -> None:
    for i in range(3):
        web.pages[f"/{i}"] = answer(status="302 Found", location=f"/{i + 1}")
    web.pages["/3"] = answer(PHOTO)
    assert await fetch(fetcher(web), web.url("/0")) == PHOTO
    with pytest.raises(UriUnreadable, match="more than 2 times"):
        await fetch(fetcher(web, redirects=2), web.url("/0"))
    web.pages["/loop"] = answer(status="301 Moved", location="/loop")
    with pytest.raises(UriUnreadable, match="more than 3 times"):
        await fetch(fetcher(web), web.url("/loop"))


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
        await fetch(fetcher(web, names, hosts=hosts), web.url("/away"))
    assert len(web.requests) == 1


async def test_a_redirect_to_a_scheme_that_is_not_allowed_is_refused(web: FakeWeb) -> None:
    web.pages["/away"] = answer(status="302 Found", location="https://photos.test/")
    with pytest.raises(UriForbidden, match="https is not allowed"):
        await fetch(fetcher(web, schemes=("http",)), web.url("/away"))
