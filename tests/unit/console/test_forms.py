"""Forms that are too large, too late, too many or no forms."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from sightline_console.web import forms


def reading(most: int = forms.SMALL, seconds: float = 60.0) -> httpx.AsyncClient:
    """Return a client of an application that answers with what it reads."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            form = await forms.read(Request(scope, receive), most, seconds)
        except forms.FormRejected as error:
            answer = JSONResponse({"why": str(error)}, error.status)
        else:
            files = {name: len(content) for name, content in form.files.items()}
            answer = JSONResponse({"fields": form.fields, "files": files})
        await answer(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x")


async def test_both_kinds_of_forms_are_read() -> None:
    async with reading() as web:
        plain = (await web.post("/", data={"a": "é <b>", "b": ""})).json()
        assert plain == {"fields": {"a": "é <b>", "b": ""}, "files": {}}
        sent = {"file": ("<x>.jpg", b"123", "image/jpeg")}
        parts = (await web.post("/", data={"a": "é"}, files=sent)).json()
        assert parts == {"fields": {"a": "é"}, "files": {"file": 3}}


@pytest.mark.parametrize("size", [100, 101])
async def test_a_form_is_whole_up_to_its_limit(size: int) -> None:
    async with reading(most=100) as web:
        answer = await web.post("/", content=b"a=" + b"x" * (size - 2), headers=PLAIN)
    assert answer.status_code == (200 if size == 100 else 413)


PLAIN = {"content-type": "application/x-www-form-urlencoded"}
PART = b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n\\ud800\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        *(
            (PART, f"multipart/form-data; boundary=b; charset={charset}", status)
            for charset, status in (
                *(("utf-8", 200), ("UTF-8", 200), ('"utf-8"', 200), ("punycode", 415)),
                *(("unicode_escape", 415), ("utf-7", 415), ("zip", 415), ("nonsense", 415)),
            )
        ),
        (b"", "", 415),
        (b"x", "multipart/form-data", 400),
        (b"x", "multipart/form-data; boundary=b", 400),
        (b"--b\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b", 400),
        (b"&".join(b"a%d=1" % n for n in range(65)), PLAIN["content-type"], 400),
    ],
)
async def test_what_is_no_form_is_rejected(content: bytes, kind: str, status: int) -> None:
    async with reading() as web:
        answer = await web.post("/", content=content, headers={"content-type": kind})
    assert answer.status_code == status, answer.text


async def test_more_files_than_one_are_rejected() -> None:
    async with reading() as web:
        files = [("a", ("a", b"1")), ("b", ("b", b"2"))]
        assert (await web.post("/", files=files)).status_code == 400


async def test_a_form_for_several_files_has_all_of_them_but_no_more() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            form = await forms.read(Request(scope, receive), 2**21, most_files=3)
        except forms.TooMany as error:
            answer = JSONResponse(str(error), error.status)
        else:
            answer = JSONResponse({field: len(each) for field, each in form.several.items()})
        await answer(scope, receive, send)

    files = [("a", ("1.jpg", b"1")), ("a", ("2.jpg", b"22")), ("b", ("3.jpg", b""))]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as web:
        assert (await web.post("/", files=files)).json() == {"a": 2}
        many = await web.post("/", files=[*files, ("a", ("4.jpg", bytes(2**20)))])
    assert (many.status_code, many.json()) == (413, "the form has over 3 files")


async def test_a_form_that_does_not_come_ends_the_request() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"a="
        await asyncio.Event().wait()

    async with reading(seconds=0.01) as web:
        assert (await web.post("/", content=slow(), headers=PLAIN)).status_code == 408


def test_places_for_photos_are_shared_and_come_back() -> None:
    uploads = forms.Uploads(most=4)
    with uploads.place("a"), uploads.place("a"):
        with pytest.raises(forms.FormRejected) as refused, uploads.place("a"):
            pass
        assert refused.value.status == 503
        with (
            uploads.place("b"),
            uploads.place("b"),
            pytest.raises(forms.FormRejected),
            uploads.place("c"),
        ):
            pass
    with uploads.place("a"):
        pass
