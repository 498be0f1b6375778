"""Settings of vision."""

import pytest
from pydantic import ValidationError

from vision.settings import VisionSettings


def test_alerts_are_kept_until_they_are_delivered() -> None:
    with pytest.raises(ValidationError, match="alerts would be lost"):
        VisionSettings(alert_days=1, webhook_retry_hours=72)
    assert VisionSettings(alert_days=0, webhook_retry_hours=72).alert_days == 0


def test_deliveries_in_plain_text_are_unsafe() -> None:
    given = {"webhook_hosts": ("hooks.example",)}
    variable = "VISION_WEBHOOK_SCHEMES"
    plain = VisionSettings(**given, webhook_schemes=("http", "https"))  # type: ignore[arg-type]
    assert any(variable in each for each in plain.unsafe())
    assert not any(variable in each for each in VisionSettings(**given).unsafe())  # type: ignore[arg-type]


def test_no_frame_is_taken_from_a_public_network_by_a_setting() -> None:
    with pytest.raises(ValidationError, match="name a private network"):
        VisionSettings(snapshot_networks=("8.8.8.0/24",))  # type: ignore[arg-type]
