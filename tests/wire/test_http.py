"""Calls over HTTP/JSON before a real gateway: the same answers and errors as over gRPC."""

import base64
import html
from hashlib import sha256

import pytest
from google.protobuf import json_format

from gateway.http.fixes import fixes, json_path
from gateway.model.filters import expression
from servicekit.catalogs.known import CatalogDeleted
from servicekit.status import from_status
from sightline.common.v1 import job_service_pb2
from sightline.common.v1.catalog_list_service_pb2 import (
    CATALOG_STATE_ACTIVE,
    CATALOG_STATE_DELETED,
)
from sightline.gateway.v1 import catalog_service_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.wire.gateway_calls import refused
from tests.wire.http_face import Face, face, face_before, problem, serving_http

__all__ = ["face"]  # fixtures
V1 = "/v1/catalogs/default"
PHOTO = b"\x89PNG\r\n\x1a\n-photo"
KEY = "k" * 20 + "0123456789abcdefXYZ"
KEYS = """
[[keys]]
name = "shop"
sha256 = "{digest}"
roles = ["read"]
catalogs = ["default"]
"""


def as_message(response, kind):
    """Return the message of an answer, as json_format reads it."""
    assert response.status_code == 200, response.text
    return json_format.Parse(response.content, kind())


async def test_a_search_is_the_search_of_grpc(face: Face) -> None:
    request = pb.SearchRequest(signals=[pb.QuerySignal(image=PHOTO)], page_size=3)
    sent = json_format.MessageToDict(request)
    over_http = as_message(await face.post(f"{V1}:search", sent), pb.SearchResponse)
    over_grpc = await face.suite.recommendation.Search(request)
    assert [each.product for each in over_http.results] == [
        each.product for each in over_grpc.results
    ]
    assert len(over_http.results) == 3


async def test_a_recommendation_has_scores_and_reasons(face: Face) -> None:
    body = {"signals": [{"image": base64.b64encode(PHOTO).decode()}], "page_size": 2}
    answer = as_message(await face.post(f"{V1}:recommend", body), pb.RecommendResponse)
    assert len(answer.results) == 2
    assert answer.attribution_token


async def test_a_product_is_read_by_its_address(face: Face) -> None:
    response = await face.call("GET", f"{V1}/products/p1")
    assert response.json()["title"] == "Title p1"


@pytest.mark.parametrize("written", ["a%2Fb", "a%3Ab", "a:b", "%E7%BA%A2"])
async def test_ids_may_hold_any_character(face: Face, written: str) -> None:
    await face.call("GET", f"{V1}/products/{written}")
    sent = face.suite.retriever.script.requests("BatchGetProducts")[-1]
    decoded = {"a%2Fb": "a/b", "a%3Ab": "a:b", "a:b": "a:b", "%E7%BA%A2": "红"}
    assert list(sent.product_ids) == [decoded[written]]


async def test_a_list_takes_its_fields_from_the_query_or_from_a_body(face: Face) -> None:
    query = await face.call("GET", f"{V1}/products?pageSize=3&order=ORDER_NEWEST")
    body = await face.post(f"{V1}/products:list", {"pageSize": 3, "order": "ORDER_NEWEST"})
    assert query.json() == body.json()
    one, other = face.suite.retriever.script.requests("ListProducts")
    assert (one.page_size, one.order) == (other.page_size, other.order) == (3, one.order)


async def test_a_filter_is_a_text_in_a_body_or_in_the_query(face: Face) -> None:
    text = 'category = "Wine > Red" AND price < 30 EUR'
    meant = expression(text)
    await face.call("GET", f"{V1}/products", params={"filter.text": text})
    await face.post(f"{V1}/products:list", {"filter": {"text": text}})
    await face.post(f"{V1}/products:list", {"filter": {"not": {"text": text}}})
    one, other, opposite = face.suite.retriever.script.requests("ListProducts")
    assert one.filter == other.filter == getattr(opposite.filter, "not") == meant


async def test_an_invalid_text_of_a_filter_is_shown_with_its_place(face: Face) -> None:
    body = {"signals": [{"productId": "p1"}], "filter": {"text": "price < 30"}}
    found = problem(await face.post(f"{V1}:recommend", body), 400, "FILTER_INVALID")
    shown = "missing currency: write 30 EUR, at character 9\n  price < 30\n          ^"
    assert found["detail"] == f"filter.text: {shown}"


async def test_an_error_is_that_of_grpc(face: Face) -> None:
    expected = await refused(
        face.suite.catalog.GetProduct(catalog_service_pb2.GetProductRequest(product_id="nope"))
    )
    found = problem(await face.call("GET", f"{V1}/products/nope"), 404, "PRODUCT_NOT_FOUND")
    assert found["reason"] == expected.reason
    assert found["detail"] == expected.message
    assert found["code"] == "NOT_FOUND"


async def test_invalid_fields_are_those_of_grpc_by_their_names_in_json(face: Face) -> None:
    body = {"pageSize": 500, "signals": [{"text": "x", "weight": -1}]}
    expected = await refused(
        face.suite.recommendation.Recommend(json_format.ParseDict(body, pb.RecommendRequest()))
    )
    found = problem(await face.post(f"{V1}:recommend", body), 400, expected.reason)
    assert [each["field"] for each in found.get("fieldViolations", ())] == [
        json_path(each.field) for each in expected.violations
    ]


async def same_refusal(response, call, status: int, reason: str) -> list[str]:
    """Return the fields of a problem, once it has the reason and the fields of a refused call."""
    expected, found = await refused(call), problem(response, status, reason)
    fields = [each["field"] for each in found.get("fieldViolations", ())]
    expected_fields = [json_path(each.field) for each in expected.violations]
    assert (reason, fields) == (expected.reason, expected_fields)
    return fields


@pytest.mark.parametrize("weight", ["NaN", "Infinity", "-Infinity"])
async def test_a_weight_that_is_no_finite_number_is_refused_as_over_grpc(
    face: Face, weight: str
) -> None:
    body = {"signals": [{"text": "red", "weight": weight}]}
    request = json_format.ParseDict(body, pb.RecommendRequest())
    call = face.suite.recommendation.Recommend(request)
    response = await face.post(f"{V1}:recommend", body)
    assert await same_refusal(response, call, 400, "REQUEST_INVALID") == ["signals[0].weight"]
    assert not face.suite.embedder.script.seen


async def test_a_page_token_of_another_request_is_refused_as_over_grpc(face: Face) -> None:
    listed = await face.post(f"{V1}:list", {"sort": "SORT_NEWEST", "pageSize": 2})
    token = listed.json()["nextPageToken"]
    request = pb.ListRequest(sort=pb.SORT_RATING, page_size=2, page_token=token)
    response = await face.post(f"{V1}:list", json_format.MessageToDict(request))
    call = face.suite.recommendation.List(request)
    assert await same_refusal(response, call, 400, "PAGE_TOKEN_INVALID") == ["pageToken"]
    assert len(face.suite.retriever.script.requests("BrowseProducts")) == 1


async def test_an_order_that_a_search_has_not_is_refused_as_over_grpc(face: Face) -> None:
    request = pb.SearchRequest(signals=[pb.QuerySignal(text="red")], sort=pb.SORT_POPULARITY)
    response = await face.post(f"{V1}:search", json_format.MessageToDict(request))
    call = face.suite.recommendation.Search(request)
    assert await same_refusal(response, call, 400, "REQUEST_INVALID") == ["sort"]
    assert not face.suite.embedder.script.seen


async def test_relevance_without_a_text_is_refused_as_over_grpc(face: Face) -> None:
    request = pb.ListRequest(sort=pb.SORT_RELEVANCE, page_size=2)
    body = json_format.MessageToDict(request)
    call = face.suite.recommendation.List(request)
    response = await face.post(f"{V1}:list", body)
    assert await same_refusal(response, call, 400, "REQUEST_INVALID") == ["sort"]
    assert (await face.post(f"{V1}:list", body | {"text": "red"})).status_code == 200
    assert (await face.post(f"{V1}:list", {"text": "red"})).status_code == 200
    sent = face.suite.retriever.script.requests("BrowseProducts")
    assert [(each.order, each.text) for each in sent] == [("RELEVANCE", "red")] * 2


async def test_a_catalog_that_is_deleted_during_a_call_is_refused_as_over_grpc(face: Face) -> None:
    """The retriever knows of the deletion before the gateway does."""
    face.suite.retriever.script.errors["Search"] = CatalogDeleted()
    body = {"signals": [{"image": base64.b64encode(PHOTO).decode()}], "pageSize": 2}
    for name, kind in (("search", pb.SearchRequest), ("recommend", pb.RecommendRequest)):
        response = await face.post(f"{V1}:{name}", body)
        call = getattr(face.suite.recommendation, name.title())(json_format.ParseDict(body, kind()))
        assert await same_refusal(response, call, 404, "CATALOG_DELETED") == ["catalogId"]
    assert len(face.suite.retriever.script.requests("Search")) == 4


async def test_a_catalog_that_is_deleted_between_two_pages_is_refused_as_over_grpc(
    face: Face,
) -> None:
    body = {"signals": [{"image": base64.b64encode(PHOTO).decode()}], "pageSize": 2}
    states, catalogs = face.suite.registered, face.suite.catalogs
    states["new"] = CATALOG_STATE_ACTIVE
    await catalogs.refresh()
    first = await face.post("/v1/catalogs/new:recommend", body)
    assert first.status_code == 200, first.text
    states["new"] = CATALOG_STATE_DELETED
    await catalogs.refresh()
    body["pageToken"] = first.json()["nextPageToken"]
    request = json_format.ParseDict({"catalogId": "new"} | body, pb.RecommendRequest())
    response = await face.post("/v1/catalogs/new:recommend", body)
    call = face.suite.recommendation.Recommend(request)
    assert await same_refusal(response, call, 404, "CATALOG_DELETED") == ["catalogId"]


async def test_an_unavailable_service_says_when_to_retry(face: Face) -> None:
    await face.suite.retriever.down()
    await face.suite.ranker.down()
    response = await face.post(f"{V1}:recommend", {"signals": [{"text": "red"}]})
    found = problem(response, 503, "NOTHING_AVAILABLE")
    assert int(response.headers["retry-after"]) >= found["retryAfterSeconds"] > 0


async def test_headers_become_metadata_and_nothing_else_does(face: Face) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {
        "x-request-id": "my-id",
        "traceparent": trace,
        "x-request-timeout": "5",
        "x-sightline-caller": "someone",
        "x-sightline-peer-key": "guess",
    }
    response = await face.call("GET", f"{V1}/products/p1", headers=headers)
    seen = face.suite.retriever.script.seen[-1]
    assert seen.metadata["x-request-id"] == response.headers["x-request-id"] == "my-id"
    assert trace[3:35] in seen.metadata["traceparent"]
    assert "x-sightline-peer-key" not in seen.metadata
    assert seen.metadata.get("x-sightline-caller") != "someone"
    assert 0 < seen.seconds_left < 5
    assert float(response.headers["x-sightline-cost-us"]) > 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"grpc-timeout": "3S"}, 3),
        ({"grpc-timeout": "2500m"}, 2.5),
        ({"x-request-timeout": "4.5"}, 4.5),
    ],
)
async def test_deadlines_are_those_of_the_caller(face: Face, headers, seconds: float) -> None:
    await face.call("GET", f"{V1}/products/p1", headers=headers)
    assert seconds - 1 < face.suite.retriever.script.seen[-1].seconds_left < seconds


async def test_a_passed_deadline_is_a_problem(face: Face) -> None:
    face.suite.retriever.script.hang.add("BatchGetProducts")
    response = await face.call("GET", f"{V1}/products/p1", headers={"x-request-timeout": "0.3"})
    assert problem(response, 504, "DEADLINE_EXCEEDED")


@pytest.mark.parametrize("name", ["x-request-timeout", "grpc-timeout", "connect-timeout-ms"])
async def test_a_bad_deadline_is_refused(face: Face, name: str) -> None:
    response = await face.call("GET", f"{V1}/products/p1", headers={name: "soon"})
    assert problem(response, 400, "HEADER_INVALID")["metadata"] == {
        "header": {
            "x-request-timeout": "X-Request-Timeout",
            "grpc-timeout": "grpc-timeout",
            "connect-timeout-ms": "Connect-Timeout-Ms",
        }[name]
    }


async def test_a_catalog_in_the_body_must_be_that_of_the_address(face: Face) -> None:
    response = await face.post(f"{V1}:search", {"catalogId": "other", "signals": [{"text": "x"}]})
    (violation,) = problem(response, 400, "REQUEST_INVALID")["fieldViolations"]
    assert violation["field"] == "catalogId"


async def test_an_unknown_catalog_is_not_found(face: Face) -> None:
    response = await face.post("/v1/catalogs/nope:search", {"signals": [{"text": "x"}]})
    problem(response, 404, "CATALOG_NOT_FOUND")


async def test_an_unknown_address_or_method_is_a_problem(face: Face) -> None:
    problem(await face.call("GET", "/v2/nothing"), 404, "PATH_NOT_FOUND")
    problem(await face.call("GET", "/v1/catalogs//products"), 404, "PATH_NOT_FOUND")
    response = await face.call("PUT", f"{V1}/products/p1")
    problem(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET"
    response = await face.call("GET", f"{V1}:search")
    problem(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "POST"


async def test_a_query_that_is_wrong_is_refused(face: Face) -> None:
    for query, field in (
        ("pagesize=3", "pagesize"),
        ("pageSize=3&pageSize=4", "pageSize"),
        ("pageSize=many", "pageSize"),
        ("doubtedOnly=1", "doubtedOnly"),
        ("filter.all.filters=x", "filter.all.filters"),
        ("order=ORDER_OLDEST", "order"),
        ("pageToken=%ff", "query"),
    ):
        response = await face.call("GET", f"{V1}/products?{query}")
        (violation,) = problem(response, 400, "REQUEST_INVALID")["fieldViolations"]
        assert violation["field"] == field, query
    assert not face.suite.retriever.script.requests("ListProducts")


async def test_a_body_of_another_type_is_refused(face: Face) -> None:
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded"):
        response = await face.post(f"{V1}:search", b"{}", headers={"content-type": kind})
        problem(response, 415, "MEDIA_TYPE_UNSUPPORTED")
    response = await face.call("GET", f"{V1}/products/p1", content=b"{}")
    problem(response, 415, "MEDIA_TYPE_UNSUPPORTED")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"[1]",
        b'{"signals": [{"text": "a", "text": "b"}]}',
        b'{"page_size": NaN}',
        b'{"filter": ' + b'{"not":' * 10_000 + b"1" + b"}" * 10_001,
    ],
)
async def test_bad_json_reaches_no_service(face: Face, body: bytes) -> None:
    response = await face.post(f"{V1}:recommend", body)
    assert response.status_code == 400
    assert problem(response, 400, response.json()["reason"])
    assert not face.suite.embedder.script.seen
    assert not face.suite.retriever.script.seen


@pytest.mark.full
async def test_an_unknown_caller_is_answered_before_its_body_is_read(tmp_path) -> None:
    """A body that never comes: the gateway rejects the call by its headers."""
    keys = tmp_path / "keys.toml"
    keys.write_text(KEYS.replace("{digest}", sha256(KEY.encode()).hexdigest()))
    keys.chmod(0o600)
    head = (
        b"POST /v1/catalogs/default:recommend HTTP/1.1\r\nhost: x\r\n"
        b"content-type: application/json\r\ncontent-length: 9000000\r\n\r\n"
    )
    async with serving_http(keys_file=keys) as face:
        answered = await face.raw(head + b'{"signals": [')
        assert b"HTTP/1.1 401" in answered
        assert b"TOKEN_MISSING" in answered
        assert b"www-authenticate: Bearer" in answered
        ok = await face.call("GET", f"{V1}/products/p1", headers={"authorization": f"Bearer {KEY}"})
        assert ok.status_code == 200
        denied = await face.post(
            f"{V1}/products:delete",
            {"productIds": ["p1"]},
            headers={"authorization": f"Bearer {KEY}"},
        )
        problem(denied, 403, "ROLE_MISSING")


async def test_a_job_is_read_by_its_address(face: Face) -> None:
    response = await face.call("GET", f"{V1}/jobs/retriever%2F2")
    expected = await face.suite.jobs.GetJob(job_service_pb2.GetJobRequest(job_id="retriever/2"))
    assert response.json() == json_format.MessageToDict(expected)


async def test_items_keep_their_own_status(face: Face) -> None:
    response = await face.post(
        f"{V1}/products:upsert", {"products": [{"productId": "a"}, {"productId": "b"}]}
    )
    answer = as_message(response, catalog_service_pb2.UpsertProductsResponse)
    assert answer.results[0].etag == "e1"
    assert from_status(answer.results[1].status).reason == "PRODUCT_INVALID"
    assert response.json()["results"][1]["status"]["details"][0]["@type"] == (
        "type.googleapis.com/google.rpc.ErrorInfo"
    )


async def test_health_is_that_of_the_gateway(face: Face) -> None:
    live, ready = await face.call("GET", "/live"), await face.call("GET", "/ready")
    assert (live.status_code, ready.status_code) == (200, 200)
    assert ready.json() == {"status": "SERVING"}


async def test_a_face_without_a_gateway_is_alive_but_not_ready(face: Face) -> None:
    async with face_before(face.suite, gateway_target="127.0.0.1:1") as alone:
        assert (await alone.call("GET", "/live")).status_code == 200
        assert (await alone.call("GET", "/ready")).status_code == 503
        problem(await alone.call("GET", f"{V1}/products/p1"), 503, "UNAVAILABLE")


async def test_the_type_of_a_problem_leads_to_its_row_of_the_page_of_errors(face: Face) -> None:
    missing = await face.call("GET", "/v1/catalogs/nowhere/products/p1")
    found = problem(missing, 404, "CATALOG_NOT_FOUND")
    address = missing.url.join(found["type"])
    page = await face.client.get(address)
    assert page.headers["content-type"].startswith("text/html")
    assert f'<tr id="{address.fragment}"><td><code>CATALOG_NOT_FOUND</code>' in page.text
    assert html.escape(found["fix"]) in page.text
    assert page.text.count("<tr id=") == len(fixes()) > 100
