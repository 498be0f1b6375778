"""The gateway's start."""

import pytest

from gateway import __main__ as main
from gateway.scenes import SceneFiles
from gateway.settings import GatewaySettings
from tests.fakes.kit_logs import json_logs


def test_bad_scenes_stop_the_start_with_the_file_named(monkeypatch, tmp_path):
    (tmp_path / "home.toml").write_text("colour = 1")
    monkeypatch.setenv("GATEWAY_SCENES_FOLDER", str(tmp_path))

    with json_logs(), pytest.raises(SystemExit) as caught:
        main.start()
    assert "home.toml" in str(caught.value.code)


async def test_a_gateway_is_built_whole_while_every_peer_is_down():
    gateway = main.build(GatewaySettings(), SceneFiles())

    assert {binding.full_name for binding in gateway.bindings} == {
        "sightline.gateway.v1.RecommendationService",
        "sightline.gateway.v1.CatalogService",
        "sightline.gateway.v1.UserEventService",
        "sightline.gateway.v1.AdminService",
        "sightline.common.v1.JobService",
    }
    await gateway.close(1)
