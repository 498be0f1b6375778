"""Hosts by which a server is reached, and origins whose pages may call it."""

import pytest

from gateway.http.errors import HostForbidden, OriginForbidden
from gateway.http.exchange import HttpRequest
from gateway.http.hosts import KnownHosts

SHOP = "https://shop.example"


def check(hosts: tuple[str, ...], origins: tuple[str, ...], **headers: str) -> None:
    given = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope = {"method": "GET", "raw_path": b"/", "query_string": b"", "headers": given}
    KnownHosts(hosts, origins).check(HttpRequest.of(scope, None, 1.0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "10.1.2.3:8680", "[::1]:8680", "[fe80::1]", "api.example"]
)
def test_addresses_localhost_and_names_of_settings_are_known(host: str) -> None:
    check(("API.example",), (), host=host)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "api.example.evil", "localhost.", "", "[", "1.2.3.4.evil.example", "::"],
)
def test_other_names_are_refused(host: str) -> None:
    with pytest.raises(HostForbidden):
        check(("api.example",), (), host=host)
    check(("*",), (), host=host)


def test_a_page_of_the_same_origin_and_of_a_named_one_may_call() -> None:
    check((), (), host="localhost:8680", origin="http://localhost:8680")
    check((), (SHOP,), host="localhost:8680", origin=SHOP, sec_fetch_site="cross-site")
    check((), ("*",), host="localhost:8680", origin="https://any.example")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"origin": "https://localhost:8680.evil.example"},
        {"origin": "http://["},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "Cross-Site", "origin": "http://localhost:8680"},
    ],
)
def test_pages_of_others_may_not(headers: dict[str, str]) -> None:
    with pytest.raises(OriginForbidden):
        check((), (SHOP,), host="localhost:8680", **headers)
