"""The TypeScript client in Node, against a real gateway and its HTTP server."""

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from servicekit.errors import ResourceExhausted, Unavailable
from sightline.gateway.v1 import catalog_service_pb2 as catalog
from sightline_client import parse_filter
from sightline_client.convert import to_wire
from tests.npm import CLIENT, PAGE, ROOT, Shop, install, package
from tests.wire.http_face import Face, face, serving_http

pytestmark = pytest.mark.when("client", "docs", "protos")

__all__ = ["face"]  # fixtures

CAUGHT = """
async function caught(call) {
  try { await call(); return null; }
  catch (e) {
    if (!(e instanceof sightline.SightlineError)) return `${e.name}: ${e.message}`;
    const { code, reason, message, fields, retryAfterMs, metadata, whatToDo, requestId } = e;
    return { code, reason, message, fields, retryAfterMs, metadata, whatToDo, requestId };
  }
}
let requests = 0;
const connect = globalThis.fetch;
/** Count the requests, of which the first fail as without a network. */
function counted(failing = 0) {
  requests = 0;
  globalThis.fetch = (...all) =>
    ++requests > failing ? connect(...all) : Promise.reject(new TypeError("fetch failed"));
}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return install(tmp_path_factory.mktemp("shop"))


async def ask(shop: Shop, face: Face, code: str, **options: Any) -> Any:
    """Return the result of code with a client of the server; `options` are the client's."""
    given = {"address": f"http://127.0.0.1:{face.port}", **options}
    making = "const client = sightline.createSightlineClient(options);\n"
    return await shop.evaluate(CAUGHT + making + code, options=given)


async def test_calls_are_typed_and_answered(shop: Shop, face: Face) -> None:
    found = await ask(
        shop,
        face,
        """
        const signals = [await sightline.photoSignal(new Blob(["photo"]), { weight: 2 })];
        const product = { productId: "a" };
        result = {
          title: (await client.catalog.getProduct({ productId: "p1" })).title,
          near: (await client.recommendations.search({ signals, pageSize: 3 })).results
            .map((each) => each.product.productId),
          written: (await client.catalog.upsertProducts({ products: [product] })).indexToken,
          job: (await client.jobs.getJob({ jobId: "ranker/1" })).kind,
        };
        """,
    )
    assert found == {
        "title": "Title p1",
        "near": ["p3", "p1", "p4"],
        "written": "t2",
        "job": "train",
    }


async def test_requests_have_the_clients_catalog_unless_they_name_one(
    shop: Shop, face: Face
) -> None:
    await ask(
        shop,
        face,
        """
        await client.catalog.getProduct({ productId: "p1" });
        await client.catalog.getProduct({ productId: "p1", catalogId: "default" });
        const request = { signals: [sightline.productSignal("p1")] };
        await client.recommendations.explainRecommendation({ request, productId: "p3" });
        """,
        catalog="other",
    )
    first, second, *rest = face.suite.retriever.script.requests("BatchGetProducts")
    assert [first.catalog_id, second.catalog_id] == ["other", "default"]
    assert rest
    assert {each.catalog_id for each in rest} == {"other"}


async def test_a_message_that_is_sent_stays_as_it_is(shop: Shop, face: Face) -> None:
    code = """
    const { create } = await import("@bufbuild/protobuf");
    const request = create(sightline.GetProductRequestSchema, { productId: "p1" });
    await client.catalog.getProduct(request);
    result = request.catalogId;
    """
    assert await ask(shop, face, code, catalog="other") == ""


async def test_an_error_has_its_facts_and_what_to_do(shop: Shop, face: Face) -> None:
    missing, invalid = await ask(
        shop,
        face,
        """
        result = [
          await caught(() => client.catalog.getProduct({ productId: "nope" })),
          await caught(() => client.catalog.listProducts({ pageSize: 5000 })),
        ];
        """,
    )
    assert (missing["code"], missing["reason"]) == ("NOT_FOUND", "PRODUCT_NOT_FOUND")
    assert missing["whatToDo"].startswith("fix the id, or write the product first")
    assert missing["requestId"]
    assert invalid["code"] == "INVALID_ARGUMENT"
    assert [each["field"] for each in invalid["fields"]] == ["page_size"]


async def test_what_to_do_is_that_of_the_page_for_every_reason(shop: Shop) -> None:
    page = (ROOT / "docs/integrate/errors.md").read_text("utf-8")
    rows = re.findall(r"^\| ([A-Z_, ]+) \| [A-Z_, ]+ \| (.+) \|$", page, re.MULTILINE)
    expected = {
        reason: re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
        for reasons, text in rows
        for reason in reasons.split(", ")
    }
    assert len(expected) > 60
    code = """
    result = Object.fromEntries(reasons.map((reason) =>
      [reason, new sightline.SightlineError({ code: "UNKNOWN", message: "", reason }).whatToDo]));
    """
    assert await shop.evaluate(code, reasons=list(expected)) == expected


async def test_an_item_of_a_batch_has_a_typed_error(shop: Shop, face: Face) -> None:
    code = """
    const shopper = sightline.visitor("v");
    const events = [
      { eventId: "e1", shopper, type: sightline.EventType.VIEW, productId: "p1" },
      { eventId: "" },
    ];
    const { statuses } = await client.events.writeEvents({ events });
    const errors = statuses.map(sightline.itemError);
    result = errors.map((each) => each && [each.code, each.reason, each.whatToDo]);
    """
    fine, refused = await ask(shop, face, code)
    assert fine is None
    assert refused[:2] == ["INVALID_ARGUMENT", "EVENT_TIME_INVALID"]
    assert refused[2].startswith("the event's time is too far in the future")


async def test_a_read_is_repeated_until_it_is_answered(shop: Shop, face: Face) -> None:
    code = """
    counted(4);
    result = [(await client.catalog.getProduct({ productId: "p1" })).title, requests];
    """
    assert await ask(shop, face, code) == ["Title p1", 5]


async def test_a_call_is_tried_five_times_and_then_fails(shop: Shop, face: Face) -> None:
    face.suite.retriever.script.errors["BatchGetProducts"] = Unavailable(
        "busy", reason="STORE_BUSY"
    )
    code = """
    counted();
    result = [await caught(() => client.catalog.getProduct({ productId: "p1" })), requests];
    """
    error, requests = await ask(shop, face, code, timeoutMs=60_000)
    assert error["code"] == "UNAVAILABLE"
    assert requests == 5


async def test_a_write_that_a_repetition_would_change_is_sent_once(shop: Shop, face: Face) -> None:
    code = """
    const { AdminService } = await import("sightline-client/admin");
    const admin = client.service(AdminService);
    const product = { productId: "a", etag: "1" };
    const calls = {
      etag: () => client.catalog.upsertProducts({ products: [product] }),
      update: () => client.catalog.updateProducts({ updates: [{ product }] }),
      rollback: () => admin.rollbackModel({}),
    };
    result = {};
    for (const [name, call] of Object.entries(calls)) {
      counted(1);
      result[name] = [(await caught(call))?.reason ?? null, requests];
    }
    """
    assert await ask(shop, face, code) == {
        "etag": [None, 2],
        "update": [None, 2],
        "rollback": ["GATEWAY_UNREACHABLE", 1],
    }


async def test_an_invalid_request_is_sent_once(shop: Shop, face: Face) -> None:
    code = """
    counted();
    await caught(() => client.catalog.listProducts({ pageSize: 5000 }));
    result = requests;
    """
    assert await ask(shop, face, code) == 1


async def test_clients_stop_repeating_while_most_calls_fail(shop: Shop) -> None:
    code = """
    counted(10_000);
    const options = { address: "http://127.0.0.1:9", timeoutMs: 60_000 };
    const client = sightline.createSightlineClient(options);
    const call = () => caught(() => client.catalog.getProduct({ productId: "p1" }));
    await Promise.all(Array.from({ length: 300 }, call));
    const before = requests;
    await call();
    result = [before < 300 * 5, requests - before];
    """
    assert await shop.evaluate(CAUGHT + code) == [True, 1]


async def test_a_deadline_holds_for_all_attempts(shop: Shop, face: Face) -> None:
    face.suite.retriever.script.hang.add("ListProducts")
    code = """
    const { catalog } = client;
    const late = await caught(() => catalog.listProducts({}, { timeoutMs: 300 }));
    counted(4);
    const lost = await caught(() => catalog.getProduct({ productId: "p1" }, { timeoutMs: 150 }));
    result = [late, lost, requests];
    """
    late, lost, requests = await ask(shop, face, code)
    assert late["code"] == "DEADLINE_EXCEEDED"
    assert late["whatToDo"] == "set a longer deadline"
    assert lost["reason"] == "GATEWAY_UNREACHABLE"
    assert requests < 5


async def test_a_delay_that_the_server_names_is_told(shop: Shop) -> None:
    async with serving_http(quota_calls=1) as face:
        code = """
        const call = () => caught(() => client.catalog.getProduct({ productId: "p1" }));
        const calls = Array.from({ length: 30 }, call);
        result = (await Promise.all(calls)).find((each) => each !== null);
        """
        error = await ask(shop, face, code)
    assert (error["code"], error["reason"]) == ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED")
    assert error["retryAfterMs"] > 0


async def test_an_address_without_a_gateway_is_said(shop: Shop) -> None:
    code = """
    const options = { address: "http://127.0.0.1:9", timeoutMs: 200 };
    const client = sightline.createSightlineClient(options);
    result = await caught(() => client.catalog.getProduct({ productId: "p1" }));
    """
    error = await shop.evaluate(CAUGHT + code)
    assert (error["code"], error["reason"]) == ("UNAVAILABLE", "GATEWAY_UNREACHABLE")
    assert "http://127.0.0.1:9" in error["message"]
    assert "GATEWAY_HTTP_ORIGINS" in error["whatToDo"]


async def test_a_call_that_is_aborted_ends(shop: Shop, face: Face) -> None:
    face.suite.retriever.script.hang.add("ListProducts")
    code = """
    const signal = AbortSignal.timeout(100);
    result = await caught(() => client.catalog.listProducts({}, { signal }));
    """
    assert (await ask(shop, face, code))["code"] == "CANCELLED"


async def test_a_photo_above_the_limit_is_not_sent(shop: Shop, face: Face) -> None:
    code = """
    const large = new Uint8Array(10 * 1024 * 1024 + 1);
    counted();
    result = [
      await caught(() => sightline.photoSignal(large)),
      await caught(() => sightline.photoBytes(new Blob([]))),
      await caught(() => sightline.photoBytes(large.subarray(1), { shortSide: 448 })),
      (await sightline.photoBytes(large.subarray(1))).length,
      (await sightline.photoBytes(large.buffer.slice(0, 5))).length,
    ];
    """
    large, empty, no_canvas, *lengths = await ask(shop, face, code)
    assert large["reason"] == "IMAGE_TOO_LARGE"
    assert [each["field"] for each in large["fields"]] == ["image"]
    assert large["whatToDo"].startswith("send a smaller photo")
    assert empty["reason"] == "IMAGE_UNDECODABLE"
    assert no_canvas == "TypeError: shortSide: there is no canvas here"
    assert lengths == [10 * 2**20, 5]


FILTERS: Mapping[str, str] = {
    'category = "Wine > Red"': 'field("category").equals("Wine > Red")',
    "price < 30.50 EUR": 'field("price").less(money("30.50", "EUR"))',
    "rating >= 4.5": 'field("rating").atLeast(4.5)',
    "attributes.vintage <= 2015": 'field("attributes.vintage").atMost(2015)',
    "stock > 3": 'field("stock").greater(3)',
    'title : "réserve"': 'field("title").contains("réserve")',
    'tags : "Beef"': 'field("tags").equals("Beef")',
    "brand : *": 'field("brand").isKnown()',
    'NOT brand = "A"': 'not(field("brand").equals("A"))',
    'brand != "Miolo"': 'field("brand").notEquals("Miolo")',
    "attributes.organic = true": 'field("attributes.organic").equals(true)',
    "availability = IN_STOCK": 'field("availability").equals(sightline.Availability.IN_STOCK)',
    'create_time > "2026-01-01T00:00:00Z"': (
        'field("create_time").greater(new Date("2026-01-01T00:00:00Z"))'
    ),
    'brand = "A" OR rating > 4': 'any(field("brand").equals("A"), field("rating").greater(4))',
}
"""Filters as the command line writes them, and as the client does."""


async def test_a_filter_means_the_same_as_its_text(shop: Shop) -> None:
    made = "\n".join(
        f"filters[{json.dumps(text)}] = all({written});" for text, written in FILTERS.items()
    )
    code = f"""
    const {{ toJson, create }} = await import("@bufbuild/protobuf");
    const {{ field, money, all, any, not }} = sightline;
    const filters = {{}};
    {made}
    const json = (each) => toJson(sightline.FilterSchema, create(sightline.FilterSchema, each));
    result = Object.fromEntries(Object.entries(filters).map(([text, each]) => [text, json(each)]));
    """
    assert await shop.evaluate(code) == {
        text: json_format.MessageToDict(to_wire.filter_(parse_filter(text))) for text in FILTERS
    }


async def test_amounts_are_exact(shop: Shop) -> None:
    code = """
    const texts = ["12.50", "0.000000001", "9007199254740993", "3"];
    result = texts.map((text) => sightline.formatMoney(sightline.money(text, "EUR")));
    for (const bad of ["", "-1", "1e3", "1,5", "1.", ".5", "0.0000000001"]) {
      result.push(await caught(async () => sightline.money(bad, "EUR")));
    }
    """
    found = await shop.evaluate(CAUGHT + code)
    assert all(each.startswith("TypeError: an amount is") for each in found[4:]), found
    assert found[:4] == [
        "12.50 EUR",
        "0.000000001 EUR",
        "9007199254740993.00 EUR",
        "3.00 EUR",
    ]


async def test_a_job_is_followed_to_its_end(shop: Shop, face: Face) -> None:
    code = """
    result = [];
    for await (const job of client.watchJob("ranker/1")) result.push(job.done);
    """
    assert await ask(shop, face, code) == ["1", "2"]


async def test_a_job_that_cannot_be_watched_is_an_error(shop: Shop, face: Face) -> None:
    face.suite.ranker.script.errors["WatchJob"] = ResourceExhausted(
        "too many", reason="STREAMS_EXHAUSTED"
    )
    code = """
    result = await caught(async () => { for await (const job of client.watchJob("ranker/1")); });
    """
    error = await ask(shop, face, code)
    assert (error["code"], error["reason"]) == ("RESOURCE_EXHAUSTED", "STREAMS_EXHAUSTED")


async def test_a_key_authenticates_the_caller(shop: Shop, tmp_path: Path) -> None:
    tokens = {}
    for name, roles in (("reader", "read"), ("writer", "events")):
        keys = ("sightline", "keys", "new", "--name", name, "--roles", roles)
        program = str(ROOT / ".venv/bin" / keys[0])
        tokens[name] = await shop.run(program, *keys[1:], "--file", str(tmp_path / "keys.toml"))
    async with serving_http(keys_file=tmp_path / "keys.toml") as face:
        code = """
        const get = (key) => caught(() => {
          const client = sightline.createSightlineClient({ ...options, key });
          return client.catalog.getProduct({ productId: "p1" });
        });
        const { reader, writer } = tokens;
        const given = [undefined, "wrong", writer, reader, async () => reader, "with a space"];
        result = [];
        for (const key of given) result.push(await get(key));
        """
        made = f"const tokens = {json.dumps({k: v.strip() for k, v in tokens.items()})};\n"
        found = await ask(shop, face, made + code)
    reasons = [each["reason"] if isinstance(each, dict) else each for each in found]
    assert reasons[:5] == ["TOKEN_MISSING", "TOKEN_INVALID", "ROLE_MISSING", None, None]
    assert reasons[5].startswith("TypeError: key: must be printable")
    assert "with a space" not in reasons[5]


async def test_an_address_that_is_no_url_is_refused(shop: Shop) -> None:
    addresses = ["reco.shop.example", "ftp://reco.shop.example", ""]
    code = """
    result = [];
    for (const address of addresses) {
      result.push(await caught(async () => sightline.createSightlineClient({ address })));
    }
    """
    found = await shop.evaluate(CAUGHT + code, addresses=addresses)
    assert all(each.startswith("TypeError") for each in found), found
    assert len(found) == len(addresses)


README = (CLIENT / "README.md").read_text("utf-8")
SNIPPETS = re.findall(r"^```ts\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
STRICT = {
    "target": "es2022",
    "lib": ["es2022", "dom", "dom.iterable", "dom.asynciterable"],
    "module": "nodenext",
    "strict": True,
    "noUncheckedIndexedAccess": True,
    "exactOptionalPropertyTypes": True,
    "skipLibCheck": False,
    "noEmit": True,
    "types": ["node"],
}


async def test_every_snippet_of_the_page_has_valid_types(shop: Shop) -> None:
    folder = shop.folder / "snippets"
    folder.mkdir()
    for number, snippet in enumerate(SNIPPETS):
        (folder / f"snippet{number}.ts").write_text(snippet, "utf-8")
    options = {"compilerOptions": STRICT, "include": ["*.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(options), "utf-8")
    await shop.run("node", "node_modules/typescript/bin/tsc", "--project", str(folder))


def test_the_contract_is_that_of_the_protos(shop: Shop) -> None:
    made = shop.file("gen/sightline/gateway/v1/catalog_service_pb.d.ts").read_text("utf-8")
    for method in catalog.DESCRIPTOR.services_by_name["CatalogService"].methods:
        assert f"{method.name[0].lower()}{method.name[1:]}: {{" in made


def test_the_package_says_what_an_index_shows() -> None:
    version = subprocess.run(
        [ROOT / "deploy/version.sh"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with tarfile.open(package() / f"sightline-client-{version}.tgz") as archive:
        names = {each.name.removeprefix("package/") for each in archive.getmembers()}
        found = {
            name: (archive.extractfile(f"package/{name}") or io.BytesIO()).read().decode()
            for name in ("package.json", "README.md", "LICENSE")
        }
    others = {name for name in names if not name.startswith("dist/")}
    assert others == {"package.json", "README.md", "LICENSE"}
    assert found["LICENSE"] == (ROOT / "LICENSE").read_text("utf-8")
    assert "](../" not in found["README.md"], "leads nowhere on an index"
    manifest = json.loads(found["package.json"])
    assert manifest["homepage"] == PAGE
    for entry in manifest["exports"].values():
        files = entry.values() if isinstance(entry, dict) else [entry]
        assert {each.removeprefix("./") for each in files} <= names


def test_it_depends_on_connect_alone_and_the_lock_names_no_registry() -> None:
    manifest = json.loads((CLIENT / "package.json").read_text("utf-8"))
    assert all(re.match("@(bufbuild|connectrpc)/", name) for name in manifest["dependencies"])
    lock = (CLIENT / "package-lock.json").read_text("utf-8")
    assert "resolved" not in lock
    assert "http" not in re.sub(r'"url": "[^"]+"', "", lock)
