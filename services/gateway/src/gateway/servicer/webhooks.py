"""WebhookService: the retriever's calls under the public contract."""

from gateway.servicer.passthrough import Passthrough
from sightline.gateway.v1 import webhook_service_pb2 as pb
from sightline.gateway.v1 import webhook_service_pb2_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["WebhookService"]


class WebhookServicer(webhook_service_pb2_grpc.WebhookServiceServicer):
    """Servicer that passes all calls about webhooks to the retriever."""

    def __init__(self, passthrough: Passthrough) -> None:
        passthrough.serve(self, SERVICE)
