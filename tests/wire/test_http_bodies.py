"""Photos, forms, compression, conditions, streams and pages of other origins, over HTTP."""

import asyncio
import gzip
import json
import time

import pytest

from servicekit.catalogs.known import CatalogDeleted
from servicekit.errors import Aborted, Unavailable
from tests.wire.http_face import Face, face, problem, serving_http

__all__ = ["face"]  # fixtures
V1 = "/v1/catalogs/default"
PHOTO = b"\x89PNG\r\n\x1a\n-photo"


def reached(face: Face, photo: bytes) -> bool:
    """Return whether a photo reached the embedder."""
    sent = [each.request.SerializeToString() for each in face.suite.embedder.script.seen]
    return any(photo in each for each in sent)


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "application/octet-stream"])
async def test_a_photo_may_be_the_body(face: Face, kind: str) -> None:
    response = await face.post(f"{V1}:search?pageSize=2", PHOTO, headers={"content-type": kind})
    assert response.status_code == 200, response.text
    assert len(response.json()["results"]) == 2
    assert reached(face, PHOTO)


async def test_a_form_holds_the_request_and_its_photos(face: Face) -> None:
    form = {
        "request": (
            None,
            json.dumps({"pageSize": 2, "signals": [{"text": "red"}]}),
            "application/json",
        )
    }
    both = {**form, "signals[1].image": ("a.png", PHOTO, "image/png")}
    response = await face.call("POST", f"{V1}:search", files=both)
    assert response.status_code == 200, response.text
    named = {**form, "image": ("a.png", PHOTO, "image/png")}
    again = await face.call("POST", f"{V1}:search", files=named)
    assert again.json() == response.json() | {
        "requestId": again.json()["requestId"],
        **times(again.json()),
    }


def times(answer: dict) -> dict:
    """Return the members of an answer that differ each time."""
    return {name: answer[name] for name in ("stageTimings", "requestCostMs") if name in answer}


async def test_photos_of_products_are_named_by_their_place(face: Face) -> None:
    request = json.dumps({"products": [{"productId": "a"}, {"productId": "b"}]})
    response = await face.call(
        "POST",
        f"{V1}/products:upsert",
        files={
            "request": (None, request, "application/json"),
            "products[1].images[0].content": ("b.png", PHOTO, "image/png"),
            "products[0].images[0].content": ("a.png", PHOTO + b"2", "image/png"),
        },
    )
    assert response.status_code == 200, response.text
    (sent,) = face.suite.retriever.script.requests("UpsertProducts")
    assert [each.images[0].content for each in sent.products] == [PHOTO + b"2", PHOTO]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("products[5].images[0].content", "products[5].images[0].content"),
        ("products[0].title", "products[0].title"),
        ("products[0].nothing", "products[0].nothing"),
        ("image", "image"),
        ("a b", "a b"),
        ("products[x]", "products[x]"),
    ],
)
async def test_a_part_that_is_no_photo_is_refused(face: Face, name: str, field: str) -> None:
    request = json.dumps({"products": [{"productId": "a"}]})
    files = {"request": (None, request, "application/json"), name: ("a.png", PHOTO, "image/png")}
    response = await face.call("POST", f"{V1}/products:upsert", files=files)
    (violation,) = problem(response, 400, "REQUEST_INVALID")["fieldViolations"]
    assert violation["field"] == field
    assert not face.suite.retriever.script.seen


async def test_a_photo_that_is_given_twice_is_refused(face: Face) -> None:
    request = json.dumps({"signals": [{"text": "x"}]})
    files = {
        "request": (None, request, "application/json"),
        "signals[0].image": ("a.png", PHOTO, "image/png"),
    }
    response = await face.call("POST", f"{V1}:search", files=files)
    problem(response, 400, "REQUEST_INVALID")


async def test_a_broken_form_is_refused(face: Face) -> None:
    for kind, body in (
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--c\r\n\r\n"),
    ):
        response = await face.post(f"{V1}:search", body, headers={"content-type": kind})
        problem(response, 400, "REQUEST_MALFORMED")


async def test_a_call_without_a_photo_takes_none(face: Face) -> None:
    response = await face.post(f"{V1}/events:write", PHOTO, headers={"content-type": "image/png"})
    problem(response, 415, "MEDIA_TYPE_UNSUPPORTED")


async def test_a_photo_of_the_catalog_is_a_photo_for_who_asks_for_one(face: Face) -> None:
    address = f"{V1}/images/{'0' * 64}"
    photo = await face.call("GET", address, headers={"accept": "image/*"})
    assert photo.content == b"bytes"
    assert (await face.call("GET", address)).json()["content"] == "Ynl0ZXM="


@pytest.mark.full
async def test_bodies_may_be_compressed(face: Face) -> None:
    body = gzip.compress(json.dumps({"pageSize": 2, "signals": [{"text": "red"}]}).encode())
    response = await face.post(f"{V1}:search", body, headers={"content-encoding": "gzip"})
    assert response.status_code == 200, response.text
    response = await face.post(f"{V1}:search", body, headers={"content-encoding": "br"})
    problem(response, 415, "MEDIA_TYPE_UNSUPPORTED")
    response = await face.post(f"{V1}:search", b"{}", headers={"content-encoding": "gzip"})
    problem(response, 415, "MEDIA_TYPE_UNSUPPORTED")
    response = await face.post(f"{V1}:search", body[:-9], headers={"content-encoding": "gzip"})
    problem(response, 415, "MEDIA_TYPE_UNSUPPORTED")


async def test_a_decompression_bomb_is_refused(face: Face) -> None:
    bomb = gzip.compress(b" " * 200_000_000, 9)
    assert len(bomb) < 300_000
    response = await face.post(f"{V1}:search", bomb, headers={"content-encoding": "gzip"})
    problem(response, 413, "REQUEST_TOO_LARGE")


async def test_answers_are_compressed_for_who_accepts_it(face: Face) -> None:
    body = {"signals": [{"text": "red"}], "pageSize": 5}
    plain = await face.post(f"{V1}:recommend", body, headers={"accept-encoding": "identity"})
    small = await face.post(f"{V1}:recommend", body, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert small.headers["vary"] == "Accept-Encoding"
    assert int(small.headers["content-length"]) < int(plain.headers["content-length"])
    assert small.json().keys() == plain.json().keys()


async def test_a_condition_is_the_etag_of_the_item(face: Face) -> None:
    await face.post(
        f"{V1}/products:upsert", {"products": [{"productId": "a"}]}, headers={"if-match": '"old"'}
    )
    (sent,) = face.suite.retriever.script.requests("UpsertProducts")
    assert sent.products[0].etag == "old"


async def test_a_write_with_a_stale_etag_is_a_failed_condition(face: Face) -> None:
    body = {"products": [{"productId": "a"}]}
    response = await face.post(f"{V1}/products:upsert", body, headers={"if-match": '"old"'})
    assert problem(response, 412, "ETAG_MISMATCH")["code"] == "ABORTED"
    face.suite.vision.script.errors["UpdateWatch"] = Aborted("old", reason="ETAG_MISMATCH")
    address, watch = f"{V1}/watches:update", {"watch": {"watchId": "shelf"}}
    response = await face.post(address, watch, headers={"if-match": '"old"'})
    problem(response, 412, "ETAG_MISMATCH")
    watch["watch"]["etag"] = "old"
    problem(await face.post(address, watch), 409, "ETAG_MISMATCH")


async def test_a_product_that_is_still_current_is_not_sent_again(face: Face) -> None:
    address = f"{V1}/products/p1"
    etag = (await face.call("GET", address)).headers["etag"]
    current = await face.call("GET", address, headers={"if-none-match": etag})
    assert (current.status_code, current.content, current.headers["etag"]) == (304, b"", etag)
    assert "content-length" not in current.headers
    changed = await face.call("GET", address, headers={"if-none-match": '"old"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, etag)
    assert changed.json()["productId"] == "p1"


@pytest.mark.parametrize("size", [1, 2])
async def test_a_listing_has_its_etag_with_one_product_too(face: Face, size: int) -> None:
    response = await face.post(f"{V1}:list", {"sort": "SORT_NEWEST", "pageSize": size})
    answer = response.json()
    assert len(answer["results"]) == size
    assert response.headers["etag"] == f'"{answer["etag"]}"'


@pytest.mark.parametrize(
    ("path", "body", "header"),
    [
        ("/products:upsert", {"products": [{"productId": "a"}, {"productId": "b"}]}, '"e"'),
        ("/products:upsert", {"products": [{"productId": "a"}]}, "e"),
        ("/products:upsert", {"products": [{"productId": "a"}]}, "*"),
        (":search", {"signals": [{"text": "x"}]}, '"e"'),
    ],
)
async def test_a_condition_that_fits_no_item_is_refused(face: Face, path, body, header) -> None:
    response = await face.post(f"{V1}{path}", body, headers={"if-match": header})
    problem(response, 400, "HEADER_INVALID")
    assert not face.suite.retriever.script.seen


async def test_a_key_of_idempotency_is_the_id_of_the_request(face: Face) -> None:
    await face.post(f"{V1}/models:train", {}, headers={"idempotency-key": '"once-1"'})
    (sent,) = face.suite.ranker.script.requests("TrainModel")
    assert sent.request_id == "once-1"
    response = await face.post(
        f"{V1}/models:train", {"requestId": "a"}, headers={"idempotency-key": "b"}
    )
    problem(response, 400, "HEADER_INVALID")
    response = await face.post(f"{V1}/models:train", {}, headers={"idempotency-key": "a b"})
    problem(response, 400, "HEADER_INVALID")


async def test_a_caller_may_wait_for_a_job(face: Face) -> None:
    job = (await face.post(f"{V1}/models:train", {})).json()
    assert (job["state"], job.get("done")) == ("STATE_RUNNING", None)
    response = await face.post(f"{V1}/models:train", {}, headers={"prefer": "wait=60"})
    assert response.headers["preference-applied"] == "wait"
    assert response.json() == job | {"state": "STATE_SUCCEEDED", "done": "2"}


async def test_a_caller_waits_for_a_job_no_longer_than_it_said(face: Face) -> None:
    face.suite.ranker.script.hang.add("WatchJob")
    began = time.monotonic()
    response = await face.post(f"{V1}/models:train", {}, headers={"prefer": "wait=1"})
    assert 1 <= time.monotonic() - began < 30
    assert response.json()["state"] == "STATE_RUNNING"
    assert response.headers["preference-applied"] == "wait"
    await asyncio.wait_for(face.suite.ranker.script.cancelled.wait(), 30)


async def test_a_caller_that_waits_for_a_job_gets_it_though_watching_fails(face: Face) -> None:
    face.suite.ranker.script.errors["WatchJob"] = Unavailable("gone", reason="PEER_UNAVAILABLE")
    response = await face.post(f"{V1}/models:train", {}, headers={"prefer": "wait=60"})
    assert (response.status_code, response.json()["state"]) == (200, "STATE_RUNNING")
    assert response.json()["jobId"]


def events(text: str) -> list[dict[str, str]]:
    """Return the members of each event of a stream."""
    return [
        dict(line.split(": ", 1) for line in each.split("\n"))
        for each in text.strip().split("\n\n")
    ]


async def test_a_job_is_followed_by_events(face: Face) -> None:
    response = await face.call("GET", f"{V1}/jobs/retriever%2F2:watch")
    assert response.headers["content-type"] == "text/event-stream"
    found = events(response.text)
    assert [each.get("id") for each in found] == ["1", "2", None]
    assert [json.loads(each["data"]).get("done") for each in found] == ["1", "2", None]
    assert found[-1]["event"] == "end"
    again = await face.call("GET", f"{V1}/jobs/retriever%2F2:watch", headers={"last-event-id": "7"})
    assert again.text.startswith("id: 8\n")


async def test_alerts_are_followed_by_events(face: Face) -> None:
    response = await face.call("GET", f"{V1}/alerts:watch?resumeToken=t0")
    assert response.headers["content-type"] == "text/event-stream"
    found = events(response.text)
    assert [each.get("id") for each in found] == ["1", "2", "3", None]
    answers = [json.loads(each["data"]) for each in found]
    assert [each.get("resumeToken") for each in answers] == ["t0", "t1", "t2", None]
    assert [each.get("alert", {}).get("sequence") for each in answers] == [None, "1", "2", None]
    assert found[-1]["event"] == "end"
    (sent,) = face.suite.vision.script.requests("WatchAlerts")
    assert sent.resume_token == "t0"


async def test_a_catalog_that_is_deleted_ends_its_stream_with_a_problem(face: Face) -> None:
    face.suite.vision.script.late_error = CatalogDeleted()
    found = events((await face.call("GET", f"{V1}/alerts:watch")).text)
    assert [each.get("event") for each in found] == [None, None, None, "error"]
    last = json.loads(found[-1]["data"])
    assert (last["status"], last["reason"]) == (404, "CATALOG_DELETED")
    assert [each["field"] for each in last["fieldViolations"]] == ["catalogId"]


async def test_a_stream_that_can_not_begin_is_a_problem(face: Face) -> None:
    problem(await face.call("GET", f"{V1}/jobs/nobody%2F1:watch"), 404, "JOB_NOT_FOUND")


async def test_a_client_that_leaves_ends_its_call(face: Face) -> None:
    script = face.suite.retriever.script
    script.hang.add("BatchGetProducts")
    head = f"GET {V1}/products/p1 HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    _, writer = await asyncio.open_connection("127.0.0.1", face.port)
    writer.write(head)
    await script.arrived.wait()
    writer.close()
    await asyncio.wait_for(script.cancelled.wait(), 30)


async def test_pages_of_other_origins_may_call_only_if_a_setting_says_so() -> None:
    shop = {
        "origin": "https://shop.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    async with serving_http() as closed:
        response = await closed.call("OPTIONS", f"{V1}:search", headers=shop)
        problem(response, 403, "ORIGIN_FORBIDDEN")
        assert "access-control-allow-origin" not in response.headers
    async with serving_http({"origins": ("https://shop.example",)}) as opened:
        response = await opened.call("OPTIONS", f"{V1}:search", headers=shop)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
        other = shop | {"origin": "https://evil.example"}
        response = await opened.call("OPTIONS", f"{V1}:search", headers=other)
        assert "access-control-allow-origin" not in response.headers
        response = await opened.post(
            f"{V1}:search", {"signals": [{"text": "x"}]}, headers={"origin": "https://shop.example"}
        )
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
