"""The wiring of the gateway."""

from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import build
from servicekit.keys.keyring import open_keys


async def test_a_gateway_is_built_whole_while_every_peer_is_down():
    gateway = build(GatewaySettings(), SceneFiles(), open_keys)

    assert {binding.full_name for binding in gateway.bindings} == {
        "sightline.gateway.v1.RecommendationService",
        "sightline.gateway.v1.DetectionService",
        "sightline.gateway.v1.CatalogService",
        "sightline.gateway.v1.UserEventService",
        "sightline.gateway.v1.AdminService",
        "sightline.gateway.v1.InspectionService",
        "sightline.gateway.v1.WatchService",
        "sightline.gateway.v1.WebhookService",
        "sightline.common.v1.JobService",
    }
    await gateway.close(1)
