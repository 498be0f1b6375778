"""Prices of calls about references, and what they note."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable
from gateway.model.price import reference_price
from gateway.servicer import inspection
from gateway.servicer.inspection import INSPECTIONS, PRICES
from gateway.state.prices import RequestPrices
from servicekit.admission import quotas
from sightline.vision.v1 import inspection_service_pb2 as pb

Answer = pb.InspectResponse


def servicer(answer: Any) -> Any:
    """Return the priced calls, which an owner answers so."""

    async def call(_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    charged = {name: each(call) for name, each in inspection.around(RequestPrices()).items()}
    return SimpleNamespace(**charged)


def test_an_inspection_is_cheap() -> None:
    assert PRICES["Inspect"](pb.InspectRequest()).seconds < 1


def test_photos_are_priced_one_by_one() -> None:
    one, many = (
        PRICES["AddReferencePhotos"](pb.AddReferencePhotosRequest(images=[b"x"] * count)).seconds
        for count in (1, 16)
    )
    assert many - one == pytest.approx(15 * 0.1)


@pytest.mark.parametrize(("photos", "seconds", "by_time"), [(20, 99, False), (500, 2, True)])
async def test_a_fit_is_charged_by_its_photos_and_at_most_for_its_time(
    monkeypatch: pytest.MonkeyPatch, photos: int, seconds: float, by_time: bool
) -> None:
    spent: list[float] = []
    monkeypatch.setattr(
        quotas, "spend", lambda kind, value: spent.append(value) if "processor" in kind else None
    )
    clock = iter([0.0, seconds])
    monkeypatch.setattr(inspection, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    await servicer(pb.InspectionReference(photo_count=photos)).FitReference(
        pb.FitReferenceRequest()
    )
    wanted = seconds if by_time else reference_price(photos).models
    assert spent[0] == pytest.approx(wanted - reference_price().models)


async def test_a_verdict_is_counted_and_decoding_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[float] = []
    monkeypatch.setattr(
        quotas, "spend", lambda kind, value: spent.append(value) if "decode" in kind else None
    )
    answer = Answer(verdict=Answer.VERDICT_UNLIKE)
    answer.decoding_time.FromNanoseconds(1)
    before = INSPECTIONS.labels("unlike")._value.get()
    assert await servicer(answer).Inspect(pb.InspectRequest()) == answer
    assert INSPECTIONS.labels("unlike")._value.get() == before + 1
    assert spent == [1e-9]


async def test_a_failed_call_counts_no_verdict() -> None:
    before = INSPECTIONS.labels("like")._value.get()
    with pytest.raises(PeerUnavailable):
        await servicer(PeerUnavailable(Peer.EMBEDDER)).Inspect(pb.InspectRequest())
    assert INSPECTIONS.labels("like")._value.get() == before
