"""The dashboard of the optional service of cameras."""

from __future__ import annotations

from deploy.monitoring.boards.model import (
    YELLOW,
    Board,
    PanelQuery,
    PanelRow,
    graph,
    number,
    quantiles,
    rare,
    rates,
)
from deploy.monitoring.boards.service import calls, process


def vision() -> Board:
    """Return the dashboard of cameras, empty where the service does not run."""
    return Board(
        "vision",
        "Sightline / Cameras",
        "Photos of shelves, frames of cameras, the alerts of their watches, and their delivery to "
        "webhooks.",
        (
            calls("vision"),
            _photos(),
            _watches(),
            process("vision|vision-worker", "service of cameras and its worker"),
        ),
    )


def _photos() -> PanelRow:
    return PanelRow(
        "Photos of shelves",
        (
            graph(
                "Objects found in photos",
                "Objects per second that DetectProducts found. A growing share of unknown ones: "
                "shelves show products that the catalog lacks, or the photos became worse.",
                "ops",
                rates("sightline_vision_detections_total", "@", "outcome"),
                width=12,
            ),
        ),
    )


def _watches() -> PanelRow:
    return PanelRow(
        "Watches and webhooks",
        (
            graph(
                "Frames of watches",
                "Frames of cameras per second by outcome. Many dropped ones: cameras send more "
                "than is checked.",
                "ops",
                rare(rates("sightline_watch_frames_total", "@", "outcome")),
            ),
            graph(
                "Pictures fetched for watches",
                "Pictures fetched from addresses of watches per second by outcome. Failed ones: "
                "`sightline watch list` says which and why.",
                "ops",
                rare(rates("sightline_watch_snapshots_total", "@", "outcome")),
            ),
            graph(
                "Alerts raised",
                "Alerts of watches in an hour, by kind. They are delivered to the webhooks.",
                "short",
                rare(
                    PanelQuery(
                        "sum by (kind) (increase(sightline_watch_alerts_total{@}[1h]))", "{{kind}}"
                    )
                ),
            ),
            graph(
                "Attempts to deliver",
                "Attempts to deliver alerts per second. Retried ones failed and are made again; "
                "dead ones are given up until `sightline webhooks replay`.",
                "ops",
                rare(rates("sightline_webhook_attempts_total", "@", "outcome")),
            ),
            graph(
                "Age of delivered alerts",
                "95th percentile of the age of alerts when their receivers accepted them.",
                "s",
                *quantiles("sightline_webhook_delivery_seconds", "@")[1:2],
                limits={60.0: YELLOW},
            ),
            number(
                "Photos of watches deleted",
                "Photos of alerts that were deleted after their term, in the last 24 hours.",
                "short",
                PanelQuery("sum(increase(sightline_watch_photos_expired_total{@}[24h]))"),
            ),
        ),
    )
