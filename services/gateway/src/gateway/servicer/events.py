"""What the gateway decides about events: whose they are, and to which answers they belong."""

import time
from collections.abc import Collection

from prometheus_client import Counter

from gateway.clients import messages
from gateway.servicer import visitors
from gateway.servicer.passthrough import Passthrough
from gateway.servicer.requests import admit
from gateway.servicer.visitors import Standing
from gateway.state import tokens
from servicekit.audit import entries
from servicekit.keys.keyring import KeyRing, SigningKeys
from servicekit.rpc.server import Context
from sightline.common.v1 import event_pb2
from sightline.common.v1.event_pb2 import EventType
from sightline.gateway.v1 import user_event_service_pb2 as pb
from sightline.gateway.v1 import user_event_service_pb2_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["UserEventService"]

ATTRIBUTIONS = Counter(
    "sightline_gateway_attributions_total",
    "Events with an attribution token, by result of reading the token.",
    ("outcome",),
)

EVENTS = Counter(
    "sightline_gateway_events_total",
    "Events that callers sent, by type, including rejected and repeated ones.",
    ("type",),
)
SHOPPERS = Counter(
    "sightline_gateway_event_shoppers_total",
    "Events that callers sent, by what is known of their shopper: `proven`, `new_visitor` (others"
    " don't see its searches) or `unproven` (a page sent no valid visitor_proof: the event counts"
    " for nothing that others see).",
    ("standing",),
)
_KINDS = {
    number: name.removeprefix("EVENT_TYPE_").lower() for name, number in EventType.items() if number
}
_EVENTS = {number: EVENTS.labels(kind) for number, kind in _KINDS.items()}

ARM_EVENTS = Counter(
    "sightline_gateway_experiment_events_total",
    "Events with the attribution token of an arm's answer, repeated ones included, by"
    " experiment, arm and type.",
    ("experiment", "arm", "type"),
)


SCENE_EVENTS = Counter(
    "sightline_gateway_scene_events_total",
    "Events with an answer's attribution token, repeated ones included, by the answer's scene and"
    " the event's type.",
    ("scene", "type"),
)


class UserEventServicer(user_event_service_pb2_grpc.UserEventServiceServicer):
    """Servicer that passes events to the ranker, which stores them durably before it responds."""

    def __init__(
        self, catalogs: Collection[str], passthrough: Passthrough, keys: SigningKeys
    ) -> None:
        """`keys` verify attribution tokens."""
        self._catalogs, self._keys = catalogs, keys
        self._append = passthrough.call(SERVICE.methods_by_name["WriteEvents"])
        self._merge = passthrough.call(SERVICE.methods_by_name["MergeShopper"])

    async def WriteEvents(
        self, request: pb.WriteEventsRequest, context: Context
    ) -> pb.WriteEventsResponse:
        """Write events."""
        catalog_id = admit(request, self._catalogs)
        for event in request.events:
            if event.type in _EVENTS:
                _EVENTS[event.type].inc()
            _attribute(event, catalog_id, self._keys())
            _judge(event, catalog_id, self._keys())
        answer: pb.WriteEventsResponse = await self._append(request)
        return answer

    async def CreateVisitor(
        self, request: pb.CreateVisitorRequest, context: Context
    ) -> pb.CreateVisitorResponse:
        """Create an id for a new visitor, with a proof."""
        return visitors.created(admit(request, self._catalogs), self._keys())

    async def MergeShopper(
        self, request: pb.MergeShopperRequest, context: Context
    ) -> pb.MergeShopperResponse:
        """Merge a visitor into a user."""
        request.catalog_id = admit(request, self._catalogs)
        entries.exempt.set(visitors.check_proof(request, self._keys()))
        request.ClearField("visitor_proof")
        answer: pb.MergeShopperResponse = await self._merge(request)
        return answer


def _judge(event: event_pb2.Event, catalog_id: str, keys: KeyRing) -> None:
    """Set what the event's proof says; values of the caller are overwritten."""
    found = visitors.standing(event, catalog_id, keys)
    SHOPPERS.labels(found).inc()
    event.unproven = found is Standing.UNPROVEN
    event.new_visitor = found is Standing.NEW_VISITOR
    event.ClearField("visitor_proof")


def _attribute(event: event_pb2.Event, catalog_id: str, keys: KeyRing) -> None:
    """Set the answer and arm that the event's token names; values of the caller are overwritten."""
    event.answer_id, event.arm = "", ""
    if not event.attribution_token:
        return
    happened = event.event_time.seconds if event.HasField("event_time") else int(time.time())
    micros = happened * 1_000_000
    whose = messages.shopper(event.shopper)
    named, outcome = tokens.attributed(event.attribution_token, catalog_id, micros, whose, keys)
    ATTRIBUTIONS.labels(outcome).inc()
    if named is not None:
        event.answer_id, event.arm = named.answer_id, "".join(named.arms[:1])
        if event.type in _KINDS:
            SCENE_EVENTS.labels(named.scene, _KINDS[event.type]).inc()
        if named.arms and event.type in _KINDS:
            ARM_EVENTS.labels(*event.arm.split("/"), _KINDS[event.type]).inc()
