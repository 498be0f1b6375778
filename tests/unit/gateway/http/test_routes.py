"""Addresses and their calls."""

import pytest

from gateway.http.contract import public_methods
from gateway.http.errors import MethodNotAllowed, PathNotFound
from gateway.http.routes import Router
from servicekit.errors import ServiceError

METHODS = public_methods()
ROUTER = Router(METHODS)


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.descriptor.name)
def test_each_pattern_leads_to_its_call(method) -> None:
    for pattern in method.patterns:
        path = pattern.path
        for name in path.split("{")[1:]:
            path = path.replace("{" + name.partition("}")[0] + "}", "x%2Fy:z", 1)
        route, values = ROUTER.find(pattern.verb, path)
        assert route.method is method
        assert set(values.values()) == ({"x/y:z"} if "{" in pattern.path else set())


def test_job_service_is_public_too() -> None:
    assert "sightline.common.v1.JobService/WatchJob" in {each.name for each in METHODS}
    assert all(each.patterns for each in METHODS)


def test_a_custom_verb_counts_before_an_id_with_a_colon() -> None:
    route, values = ROUTER.find("GET", "/v1/catalogs/c/jobs/a:watch")
    assert (route.method.descriptor.name, values["job_id"]) == ("WatchJob", "a")
    route, values = ROUTER.find("GET", "/v1/catalogs/c/jobs/a%3Awatch")
    assert (route.method.descriptor.name, values["job_id"]) == ("GetJob", "a:watch")
    route, values = ROUTER.find("GET", "/v1/catalogs/c/jobs/a:other")
    assert (route.method.descriptor.name, values["job_id"]) == ("GetJob", "a:other")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "*",
        "/v1",
        "/v1/catalog",
        "/v1/catalogs/c/jobs/a/b",
        "/v1/catalogs//jobs",
        "//",
        "/v1/x:y:z",
    ],
)
def test_other_addresses_have_no_call(path: str) -> None:
    with pytest.raises(PathNotFound):
        ROUTER.find("GET", path)


def test_a_known_address_names_its_methods() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        ROUTER.find("PATCH", "/v1/catalogs/c/generations")
    assert caught.value.allowed == "GET, POST"


def test_an_id_that_is_no_utf_8_is_refused() -> None:
    with pytest.raises(ServiceError, match="not UTF-8"):
        ROUTER.find("GET", "/v1/catalogs/c/jobs/%ff")
