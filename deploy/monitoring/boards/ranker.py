"""The dashboard of the ranker: rankings, shoppers' events, models."""

from __future__ import annotations

from deploy.monitoring.boards.model import (
    RED,
    YELLOW,
    Board,
    PanelQuery,
    PanelRow,
    graph,
    number,
    rare,
    rates,
    slowest,
)
from deploy.monitoring.boards.service import calls, process


def ranker() -> Board:
    """Return the dashboard of orders, shoppers' events and models."""
    return Board(
        "ranker",
        "Sightline / Ranker",
        "Rankings, processing of shoppers' events, and figures of the serving model.",
        (
            calls("ranker"),
            _events(),
            _models(),
            process("ranker|ranker-worker", "ranker and its worker"),
        ),
    )


def _events() -> PanelRow:
    return PanelRow(
        "Events and answers",
        (
            graph(
                "Time of stages",
                "95th percentile of the time in each stage of a call.",
                "s",
                slowest("sightline_stage_seconds", '@, service="ranker"', "stage"),
            ),
            graph(
                "Counting lag",
                "Lag of the counts for recommenders such as trending. Seconds are normal.",
                "s",
                PanelQuery("max(sightline_ranker_count_lag_seconds{@})", "oldest"),
                limits={300.0: YELLOW},
            ),
            graph(
                "Shopper days counted",
                "Shoppers' days counted per second, the work caused by events.",
                "ops",
                rates("sightline_ranker_counted_days_total", "@"),
            ),
            graph(
                "Event log lag",
                "Age of the oldest event of the current batch, if events are sent through a Kafka "
                "topic. Below a second is normal; 0 without a topic.",
                "s",
                PanelQuery("max(sightline_ranker_sink_lag_seconds{@})", "oldest"),
                limits={300.0: YELLOW},
            ),
            graph(
                "Events read from the log",
                "Events per second read from the topic, by outcome. ILLEGIBLE: not written by a "
                "ranker; FORGED: not signed by one; CONFLICT: another event has the same id.",
                "ops",
                rare(rates("sightline_ranker_sink_events_total", "@", "outcome")),
            ),
            graph(
                "Records of answers",
                "Records per second that were stored, and that were dropped, by cause.",
                "ops",
                rates("sightline_ranker_answers_kept_total", "@", legend="stored"),
                rare(
                    rates(
                        "sightline_ranker_answers_dropped_total",
                        "@",
                        "cause",
                        legend="dropped: {{cause}}",
                    )
                ),
            ),
            graph(
                "Queued records",
                "Records of answers in the ranker's memory that are not stored yet.",
                "short",
                PanelQuery("sum(sightline_ranker_answers_waiting{@})", "waiting"),
            ),
            graph(
                "Deleted by retention",
                "Events and records of answers deleted in the last day because they exceeded the "
                "retention time.",
                "short",
                rare(
                    PanelQuery(
                        "sum by (kind) (increase(sightline_ranker_expired_total{@}[1d]))",
                        "{{kind}}",
                    )
                ),
            ),
        ),
    )


def _models() -> PanelRow:
    return PanelRow(
        "Models",
        (
            graph(
                "Figures of the serving model's training",
                "Figures of the serving model: ndcg@10 and hit@10 (quality of the order), auc, "
                "coverage@10 (share of the products that it recommends to at least one shopper).",
                "short",
                PanelQuery(
                    'max by (catalog, figure) (sightline_model_figure{@catalog, figure!="robots"})',
                    "{{catalog}} {{figure}}",
                ),
                width=16,
            ),
            number(
                "Robots",
                "Shoppers classified as robots in the serving model's training. It grows if the "
                "shop is crawled.",
                "short",
                PanelQuery("sum(max by (catalog) (sightline_robot_shoppers{@catalog}))"),
            ),
            number(
                "Age of the feedback report",
                "Time since the worker's last feedback report, which it computes each hour.",
                "dtdurations",
                PanelQuery("time() - max(sightline_feedback_compute_timestamp_seconds{@} > 0)"),
                limits={4 * 3600.0: RED},
            ),
        ),
    )
