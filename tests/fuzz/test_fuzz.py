"""The fuzzer detects faults: each check fails when it should."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf.message import Message
from google.rpc import status_pb2

from gateway.model import controls
from gateway.model.errors import FilterInvalid
from gateway.servicer import filter_texts
from gateway.servicer.queries import controls_of
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1 import event_pb2, product_pb2
from sightline.common.v1.audit_service_pb2 import ReadAuditChainRequest
from sightline.common.v1.import_pb2 import ImportState
from sightline.gateway.v1.catalog_service_pb2 import (
    DeleteProductsRequest,
    ImportProductsRequest,
    ImportProductsResponse,
    ImportRow,
    ListProductsResponse,
    Offer,
    ProductUpdate,
    UpdateOffersRequest,
    UpdateOffersResponse,
    UpdateProductsRequest,
    UpsertProductsRequest,
    UpsertProductsResponse,
    UpsertResult,
)
from sightline.gateway.v1.recommendation_service_pb2 import (
    RecommendRequest,
    RecommendShelvesRequest,
    SearchRequest,
)
from sightline.gateway.v1.user_event_service_pb2 import WriteEventsRequest, WriteEventsResponse
from sightline.vision.v1.watch_service_pb2 import (
    CreateWatchRequest,
    ListAlertsRequest,
    SendFramesRequest,
)
from sightline_rules import messages
from sightline_rules.facts import passes
from sightline_rules.filter_checks import check
from tests.fuzz import __main__ as fuzzer
from tests.fuzz import conditions, judge, memory, pictures
from tests.fuzz.composing import Composer
from tests.fuzz.importing import ROWS, OwnImport
from tests.fuzz.keeping import Unanswered
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import FUZZ, KEPT, PHOTOS, Answer, Call, Finding, Result
from tests.fuzz.surface import METHODS, READ_ONLY, named
from tests.fuzz.wire import Sender

UPSERT, DELETE = named("UpsertProducts"), named("DeleteProducts")
PICTURES = pictures.seeds(1)


def upserted(*statuses: status_pb2.Status) -> Answer:
    results = [UpsertResult(status=status, etag=f"e{n}") for n, status in enumerate(statuses)]
    return Answer("OK", "", b"", (UpsertProductsResponse(results=results).SerializeToString(),))


def complaints(answer: Answer) -> list[str]:
    return list(judge.complaints(answer, UPSERT))


def test_internal_and_unknown_are_complained_about_in_calls_and_items() -> None:
    assert complaints(Answer("INTERNAL", "", b"", ()))
    assert complaints(Answer("UNKNOWN", "", b"", ()))
    assert complaints(upserted(status_pb2.Status(code=13)))
    assert complaints(upserted(status_pb2.Status(), status_pb2.Status(code=2)))
    assert not complaints(upserted(status_pb2.Status(code=3, message="title: is empty")))
    assert not complaints(Answer("INVALID_ARGUMENT", "products[0].title: is empty", b"", ()))


def test_leaks_are_complained_about_in_messages_details_and_items() -> None:
    for text in (
        "Traceback (most recent call last)",
        "sqlite3.OperationalError: locked",
        "no such file /tmp/sightline-1/record.db",
        "raised ValueError",
        "at record.py",
    ):
        assert complaints(Answer("INVALID_ARGUMENT", text, b"", ())), text
        assert complaints(Answer("INVALID_ARGUMENT", "", b"\x0a\x10" + text.encode(), ())), text
        assert complaints(upserted(status_pb2.Status(code=3, message=text))), text


def test_what_is_kept_is_never_deleted_or_written_twice() -> None:
    ledger, composer = Ledger(), Composer(random.Random(1), PICTURES)
    for catalog in (KEPT, PHOTOS, "", "default"):
        raw = DeleteProductsRequest(catalog_id=catalog, product_ids=["a"]).SerializeToString()
        sent = DeleteProductsRequest.FromString(ledger.admit(DELETE, raw, composer.fresh))
        assert sent.catalog_id == FUZZ
    request = UpsertProductsRequest(
        catalog_id=KEPT, products=[product_pb2.Product(product_id="a")]
    ).SerializeToString()
    first, second = (
        UpsertProductsRequest.FromString(ledger.admit(UPSERT, request, composer.fresh))
        for _ in range(2)
    )
    assert (first.catalog_id, first.products[0].product_id) == (KEPT, "a")
    assert second.products[0].product_id != "a"


def test_the_ledger_holds_what_was_acknowledged_and_nothing_else() -> None:
    ledger = Ledger()
    products = [product_pb2.Product(product_id=name) for name in "abc"]
    raw = UpsertProductsRequest(catalog_id=KEPT, products=products).SerializeToString()
    codes = (status_pb2.Status(), status_pb2.Status(code=3), status_pb2.Status())
    ledger.record(UPSERT, raw, upserted(*codes))
    assert ledger.etags == {(KEPT, "a"): "e0", (KEPT, "c"): "e2"}
    lost = UpsertProductsRequest(catalog_id=KEPT, products=[product_pb2.Product(product_id="d")])
    late = Answer("DEADLINE_EXCEEDED", "", b"", ())
    ledger.record(UPSERT, lost.SerializeToString(), late)
    assert ledger.unsure == {(KEPT, "d")}
    events = WriteEventsRequest(catalog_id=KEPT, events=[event_pb2.Event(event_id="e")])
    stored = WriteEventsResponse(statuses=[status_pb2.Status()]).SerializeToString()
    ledger.record(
        named("WriteEvents"), events.SerializeToString(), Answer("OK", "", b"", (stored,))
    )
    assert {event_id for event_id, _ in ledger.events} == {"e"}


def imported(*names: str) -> bytes:
    rows = [
        ImportRow(row_number=number, product=product_pb2.Product(product_id=name))
        for number, name in enumerate(names, start=1)
    ]
    request = ImportProductsRequest(catalog_id=KEPT, import_id="i", rows=rows)
    return request.SerializeToString()


def decided(*statuses: status_pb2.Status, mark: str = "e") -> Answer:
    results = [
        UpsertResult(status=status, etag="" if status.code else f"{mark}{n}")
        for n, status in enumerate(statuses)
    ]
    return Answer("OK", "", b"", (ImportProductsResponse(results=results).SerializeToString(),))


def test_a_row_of_an_import_is_taken_down_once_and_a_refused_one_is_no_product() -> None:
    ledger = Ledger()
    good, bad, late = (status_pb2.Status(code=code) for code in (0, 3, 14))
    ledger.record(named("ImportProducts"), imported("a", "b", "c"), decided(good, bad, late))
    assert ledger.rows == {("i", 1): "e0", ("i", 2): ""}
    assert (ledger.etags, ledger.unsure) == ({(KEPT, "a"): "e0"}, {(KEPT, "c")})
    again = decided(good, bad, good, mark="f")
    ledger.record(named("ImportProducts"), imported("a", "b", "c"), again)
    assert ledger.etags == {(KEPT, "a"): "e0", (KEPT, "c"): "f2"}


def test_updates_change_what_is_expected_and_offers_too() -> None:
    ledger = Ledger()
    good, bad = status_pb2.Status(), status_pb2.Status(code=9)
    ledger.record(named("ImportProducts"), imported(*"abc"), decided(good, good, good))
    updates = UpdateProductsRequest(
        catalog_id=KEPT,
        updates=[ProductUpdate(product=product_pb2.Product(product_id=name)) for name in "ab"],
    ).SerializeToString()
    changed = UpsertProductsResponse(
        results=[UpsertResult(status=good, etag="new"), UpsertResult(status=bad)]
    )
    update = named("UpdateProducts")
    ledger.record(update, updates, Answer("OK", "", b"", (changed.SerializeToString(),)))
    assert ledger.updated == {(KEPT, "a")}
    assert ledger.etags == {(KEPT, "a"): "new", (KEPT, "b"): "e1", (KEPT, "c"): "e2"}
    offers = UpdateOffersRequest(catalog_id=KEPT, offers=[Offer(product_id=name) for name in "bc"])
    partly = UpdateOffersResponse(statuses=[bad, good]).SerializeToString()
    answer = Answer("OK", "", b"", (partly,))
    ledger.record(named("UpdateOffers"), offers.SerializeToString(), answer)
    assert set(ledger.offers) == {(KEPT, "c")}
    assert ledger.etags == {(KEPT, "a"): "new", (KEPT, "b"): "e1", (KEPT, "c"): ""}
    ledger.record(update, updates, Answer("DEADLINE_EXCEEDED", "", b"", ()))
    assert ledger.etags[KEPT, "a"] == "", "it may have been made or not"


def test_what_is_reserved_or_acknowledged_is_written_by_no_other_request() -> None:
    ledger, composer = Ledger(), Composer(random.Random(1), PICTURES)
    products = [product_pb2.Product(product_id=name) for name in ("own-1", "seed-0")]
    raw = UpsertProductsRequest(catalog_id=KEPT, products=products).SerializeToString()
    ledger.reserve(["own-1"])
    acknowledged = UpsertProductsRequest(catalog_id=KEPT, products=products[1:])
    ledger.record(UPSERT, acknowledged.SerializeToString(), upserted(status_pb2.Status()))
    sent = UpsertProductsRequest.FromString(ledger.admit(UPSERT, raw, composer.fresh))
    assert not {"own-1", "seed-0"} & {product.product_id for product in sent.products}


@pytest.mark.when("protos", "tests/fuzz")
def test_every_call_is_drawn_and_every_composed_catalog_is_ours() -> None:
    composer, ledger = Composer(random.Random(2), PICTURES), Ledger()
    drawn = set()
    for _ in range(20_000):
        method, raw = composer.draw()
        drawn.add(method.name)
        raw = ledger.admit(method, raw, composer.fresh)
        try:
            message = method.request.FromString(raw)
        except Exception:  # noqa: S112
            continue
        if method.name not in READ_ONLY:
            assert getattr(message, "catalog_id", "") not in ("", "default", PHOTOS)
    assert drawn | {"TrainModel"} == {method.name for method in METHODS.values()}


async def _are_right(request: RecommendRequest) -> bool:
    try:
        await filter_texts.replace(request)
        return not [*controls.problems(controls_of(request.controls))]
    except (FilterInvalid, RequestInvalid):
        return False


async def test_composed_controls_and_facets_are_mostly_right() -> None:
    composer = Composer(random.Random(5), PICTURES)
    drawn = [composer.message(named(name)) for name in ("Recommend", "Search") for _ in range(300)]
    asked = [each for each in drawn if isinstance(each, RecommendRequest) and each.controls]
    good = sum([await _are_right(each) for each in asked])
    assert len(asked) > 50
    assert good > len(asked) / 4
    facets = [one for each in drawn if isinstance(each, SearchRequest) for one in each.facets]
    assert len({one.field for one in facets}) > 4


def test_composed_filters_are_right_and_pass_some_products() -> None:
    chance = random.Random(3)
    product = product_pb2.Product(
        brand=conditions.BRANDS[0],
        category_path=conditions.LEVELS[:2],
        tags=conditions.TAGS[:1],
        price=conditions.money("EUR", 5_000_000),
        availability=product_pb2.AVAILABILITY_IN_STOCK,
    )
    drawn = [check(conditions.condition(chance, (0, 1))) for _ in range(500)]
    passed = sum(passes(condition, messages.facts(product)) for condition in drawn)
    assert 50 < passed < 450


def test_mutated_photos_are_small_and_mostly_harmed() -> None:
    chance = random.Random(4)
    drawn = [pictures.mutated(chance, PICTURES) for _ in range(300)]
    assert max(map(len, drawn)) <= pictures.MAX_BYTES
    assert 150 < sum(photo not in PICTURES for photo in drawn) < 300


def test_a_program_may_grow_a_little_and_one_that_stores_more() -> None:
    mib = 2**20
    assert memory.limit("ranker", 50 * mib) == 114 * mib
    assert memory.limit("gateway", 50 * mib) == 178 * mib
    assert memory.limit("triton", 400 * mib) == 500 * mib
    assert memory.limit("milvus", 150 * mib) == 310 * mib
    assert "+64 MiB" in memory.tolerance("ranker")


class Shop:
    """Fake suite for the ledger's import, which may forget rows."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._products: dict[str, product_pb2.Product] = {}
        self._rows: dict[int, UpsertResult] = {}
        self.forgets_rows = self.forgets_offers = False
        self.findings: list[Finding] = []

    async def send(self, call: Call) -> Answer:
        method = METHODS[call.method]
        request = method.request.FromString(call.request)
        response = getattr(self, f"_{method.name}")(request)
        answer = Answer("OK", "", b"", (response.SerializeToString(),))
        self._ledger.record(method, call.request, answer)
        return answer

    def find(self, finding: Finding) -> None:
        self.findings.append(finding)

    def _OpenImport(self, _: Message) -> ImportState:
        stored = sum(bool(result.etag) for result in self._rows.values())
        refused = len(self._rows) - stored
        return ImportState(rows_done=len(self._rows), stored_count=stored, refused_count=refused)

    def _ImportProducts(self, request: ImportProductsRequest) -> ImportProductsResponse:
        if self.forgets_rows:
            self._rows.clear()
        for row in request.rows:
            if row.row_number not in self._rows and row.product.title:
                self._products[row.product.product_id] = row.product
                etag = f"{row.product.product_id}/{self.forgets_rows}"
                self._rows[row.row_number] = UpsertResult(etag=etag)
            elif row.row_number not in self._rows:
                bad = status_pb2.Status(code=3)
                self._rows[row.row_number] = UpsertResult(status=bad)
        results = [self._rows[row.row_number] for row in request.rows]
        return ImportProductsResponse(results=results)

    def _UpdateProducts(self, request: UpdateProductsRequest) -> UpsertProductsResponse:
        for update in request.updates:
            self._products[update.product.product_id].title = update.product.title
        results = [UpsertResult(etag="updated") for _ in request.updates]
        return UpsertProductsResponse(results=results)

    def _UpdateOffers(self, request: UpdateOffersRequest) -> UpdateOffersResponse:
        for offer in request.offers:
            product = self._products[offer.product_id]
            if not self.forgets_offers:
                product.price.CopyFrom(offer.price)
                product.availability = offer.availability
        return UpdateOffersResponse(statuses=[status_pb2.Status() for _ in request.offers])

    def _ListProducts(self, _: Message) -> ListProductsResponse:
        return ListProductsResponse(products=self._products.values())


@pytest.mark.parametrize(
    ("forgets", "lost", "differ"), [("", 0, 0), ("rows", 3, 3 * (ROWS - 1)), ("offers", 3, 0)]
)
async def test_the_ledger_s_own_import_sees_what_a_suite_forgets(
    forgets: str, lost: int, differ: int
) -> None:
    ledger = Ledger()
    shop = Shop(ledger)
    own = OwnImport(cast(Sender, shop), ledger, PICTURES)
    with pytest.raises(Unanswered):
        await own.check()
    shop.forgets_offers = forgets == "offers"
    await own.open()
    for turn in range(3):
        await own.turn(turn)
    shop.forgets_rows = forgets == "rows"
    outcome = await own.check()
    assert outcome.held is not bool(forgets)
    assert f"{differ} differ" in outcome.measured
    assert len(shop.findings) == lost
    assert len(ledger.rows) == 3 * ROWS


def test_processes_of_one_job_are_no_growth() -> None:
    code = "import sys; held = bytearray(b'x') * 50_000_000; print(flush=True); sys.stdin.read()"
    sizes = {}
    for name in ("a.leak", "ranker.train", "multiprocessing.spawn"):
        command = (sys.executable, "-c", code, name)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdout.readline()
            sizes[name] = memory.resident({"worker": os.getpid()})["worker"]
            child.stdin.close()
    leak = sizes.pop("a.leak")
    assert all(leak - size > 40_000_000 for size in sizes.values())


def test_sigterm_ends_the_fuzzer_in_its_last_part(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def terminated(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    async def measured(*_: object) -> Result:
        return held()

    monkeypatch.setattr(fuzzer, "own", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(fuzzer, "run", measured)
    monkeypatch.setattr(fuzzer.parts, "run", measured)
    monkeypatch.setattr(fuzzer.http, "run", lambda *_: held())
    monkeypatch.setattr(fuzzer.cost, "run", terminated)
    assert fuzzer.main(["--findings", str(tmp_path)]) == 130


def held() -> Result:
    """Return the result of a part whose only check held."""
    result = Result()
    result.add("check", held=True, measured="")
    return result


def test_a_composed_watch_refers_to_its_own_regions_and_names_each_id_once() -> None:
    composer = Composer(random.Random(7), PICTURES)
    regions, targets = 0, 0
    for _ in range(300):
        watch = composed(composer, CreateWatchRequest()).watch
        ids = [region.region_id for region in watch.regions]
        rules = [rule.rule_id for rule in watch.rules]
        assert len({*ids}) == len(ids)
        assert len({*rules}) == len(rules) > 0
        for rule in watch.rules:
            if rule.WhichOneof("condition") == "count":
                targets += {*rule.count.region_ids} <= {*ids}
                regions += 1
    assert targets > regions / 2  # the others have no region to name


def test_a_composed_request_is_within_what_comments_say() -> None:
    composer = Composer(random.Random(7), PICTURES)
    for _ in range(100):
        listed = composed(composer, ListAlertsRequest())
        assert 0 <= listed.page_size <= 1_000
        sent = composed(composer, SendFramesRequest())
        assert sent.watch_id
        assert 1 <= len(sent.frames) <= 8
    stores = {composed(composer, ReadAuditChainRequest()).store for _ in range(100)}
    assert {"retriever", "ranker"} <= stores


def test_shelves_have_no_field_that_the_request_has_for_all() -> None:
    composer = Composer(random.Random(7), PICTURES)
    for _ in range(100):
        for shelf in composed(composer, RecommendShelvesRequest()).shelves:
            query = getattr(shelf, shelf.WhichOneof("query"))
            assert not {field.name for field, _ in query.ListFields()} & {"catalog_id", "shopper"}


def composed(composer: Composer, kind: Any) -> Any:
    """Return a request of a kind without anything hostile."""
    (method,) = (each for each in METHODS.values() if each.request is type(kind))
    while True:
        message = composer.message(method)
        if not composer._hostility:
            return message
