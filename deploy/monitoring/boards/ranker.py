"""The ranker: orders, shoppers' events, models."""

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
        "How products are ordered, what shoppers' events become, and what the serving model is like.",
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
                "95% of the calls spend at most so long in each stage.",
                "s",
                slowest("sightline_stage_seconds", '@, service="ranker"', "stage"),
            ),
            graph(
                "Waiting to be counted",
                "How long the oldest event waited that was counted last for recommenders such as trending. Seconds "
                "are normal.",
                "s",
                PanelQuery("max(sightline_ranker_count_lag_seconds{@})", "oldest"),
                limits={300.0: YELLOW},
            ),
            graph(
                "Days of shoppers counted",
                "Days of shoppers a second that were counted anew: work that events make.",
                "ops",
                rates("sightline_ranker_counted_days_total", "@"),
            ),
            graph(
                "Waiting in the event log",
                "Where events come by a log of the Kafka protocol: how long the oldest one of the present batch has "
                "waited for the record. Below a second is normal; 0 without a log.",
                "s",
                PanelQuery("max(sightline_ranker_sink_lag_seconds{@})", "oldest"),
                limits={300.0: YELLOW},
            ),
            graph(
                "Out of the event log",
                "Events a second that came from the log, by what became of them. ILLEGIBLE: no ranker of ours wrote "
                "them; CONFLICT: another event has the id.",
                "ops",
                rare(rates("sightline_ranker_sink_events_total", "@", "outcome")),
            ),
            graph(
                "Records of answers",
                "Records a second that were stored, and that were dropped, by cause.",
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
                "Records that wait",
                "Records of answers in the ranker's memory that are not stored yet.",
                "short",
                PanelQuery("sum(sightline_ranker_answers_waiting{@})", "waiting"),
            ),
            graph(
                "Deleted for age",
                "Events, and records of answers, of the last day that were deleted because they are older than is kept.",
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
                "What the serving model's training measured",
                "Figures of the model that serves: ndcg@10 and hit@10 (how well it orders), auc, coverage@10 (share of the "
                "products that it names to anybody).",
                "short",
                PanelQuery(
                    'max by (catalog, figure) (sightline_model_figure{@catalog, figure!="robots"})',
                    "{{catalog}} {{figure}}",
                ),
                width=16,
            ),
            number(
                "Robots",
                "Shoppers whom the serving model's training took for robots. When it grows, somebody crawls the shop.",
                "short",
                PanelQuery("sum(max by (catalog) (sightline_robot_shoppers{@catalog}))"),
            ),
            number(
                "Feedback looked at",
                "How long ago the worker looked at the feedback last. It does each hour.",
                "dtdurations",
                PanelQuery("time() - max(sightline_feedback_compute_timestamp_seconds{@} > 0)"),
                limits={4 * 3600.0: RED},
            ),
        ),
    )
