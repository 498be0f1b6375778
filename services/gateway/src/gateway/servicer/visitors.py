"""Visitors whose ids the gateway makes, each with a proof that it did.

Whoever has a visitor's proof got it with the id: another visitor's id, which stands in logs and
links, comes without. So a shop may let its pages keep both, and merge what they send at login.
"""

import secrets
from typing import Final

from gateway.model.errors import VisitorProofInvalid
from servicekit import access
from servicekit.access import Role
from servicekit.clock import now_micros
from servicekit.keyring import KeyRing, SignatureInvalid
from sightline.gateway.v1 import user_event_service_pb2 as pb

GOOD_MICROS: Final = 400 * 86_400 * 1_000_000
"""How long a proof is good: no browser keeps a cookie for longer."""


def created(catalog_id: str, keys: KeyRing) -> pb.CreateVisitorResponse:
    """Return a new visitor."""
    visitor_id, end = secrets.token_hex(16), now_micros() + GOOD_MICROS
    proof = keys.seal(_about(catalog_id, visitor_id), b"", end)
    answer = pb.CreateVisitorResponse(visitor_id=visitor_id, visitor_proof=proof)
    answer.expire_time.FromMicroseconds(end)
    return answer


def check_proof(request: pb.MergeShopperRequest, keys: KeyRing) -> None:
    """Raise VisitorProofInvalid when the proof is not the visitor's, or is required and missing.

    It is not required from callers that may read and delete the data of any shopper, nor while
    tokens are not signed.
    """
    trusted = Role.PRIVACY in access.caller.get().roles or not keys.secret
    if trusted and not request.visitor_proof:
        return
    # `from` is a word of Python's own.
    about = _about(request.catalog_id, getattr(request, "from").visitor_id)
    try:
        keys.open(about, request.visitor_proof, now_micros())
    except SignatureInvalid as error:
        raise VisitorProofInvalid from error


def _about(catalog_id: str, visitor_id: str) -> tuple[str, str, str]:
    return "visitor", catalog_id, visitor_id
