"""Consents in messages."""

from collections.abc import Iterator, Sequence

from ranker.domain.consent import EVERYBODY, OWN_CONSENT, Consents, Decision, Purpose
from ranker.domain.pseudonyms import Pseudonyms
from ranker.servicer.messages import message_of
from ranker.servicer.requests import actor, refuse
from servicekit.rpc.requests import RequestInvalid
from sightline.ranker.v1 import privacy_service_pb2 as pb

MOST_SOURCE_BYTES = 128
PURPOSES = {pb.Purpose.Value(f"PURPOSE_{one.value}"): one for one in Purpose}


def whose(
    request: pb.SetConsentRequest | pb.GetConsentRequest, catalog_id: str, pseudonyms: Pseudonyms
) -> str:
    """Return the pseudonym of the request's shopper, EVERYBODY for the default. Raise
    RequestInvalid."""
    who = actor(request.shopper, catalog_id, pseudonyms, required=not request.as_default)
    if who is not None and request.as_default:
        raise RequestInvalid.at("as_default", "must not be set together with shopper")
    return EVERYBODY if who is None else who


def decisions(request: pb.SetConsentRequest, time_micros: int) -> Sequence[Decision]:
    """Return the decisions of a request. Raise RequestInvalid."""
    refuse(_problems(request))
    return [
        Decision(PURPOSES[number], granted, request.source, time_micros)
        for granted, numbers in ((True, request.given), (False, request.withdrawn))
        for number in numbers
    ]


def _problems(request: pb.SetConsentRequest) -> Iterator[tuple[str, str]]:
    named = [
        *((f"given[{place}]", number) for place, number in enumerate(request.given)),
        *((f"withdrawn[{place}]", number) for place, number in enumerate(request.withdrawn)),
    ]
    if not named:
        yield "given", "is required, or withdrawn"
    seen = set[int]()
    for path, number in named:
        if number not in PURPOSES:
            yield path, "is not a purpose"
        elif number in seen:
            yield path, "is repeated"
        seen.add(number)
    for number in request.given if request.as_default else ():
        if PURPOSES.get(number) in OWN_CONSENT:
            yield "given", f"{pb.Purpose.Name(number)} needs each shopper's own consent"
    size = len(request.source.encode())
    if not 0 < size <= MOST_SOURCE_BYTES or not request.source.isprintable():
        yield "source", f"is not 1 to {MOST_SOURCE_BYTES} bytes without control characters"


def message(found: Consents) -> pb.Consents:
    """Return the consents as a message."""
    states = [
        {"purpose": one, "granted": found.granted[one], "by_default": one not in found.decided}
        for one in Purpose
    ]
    return message_of(pb.Consents, states=states, history=found.history)
