"""Quality of recommendations, as measured while serving."""

from __future__ import annotations

from deploy.monitoring.boards.model import (
    GREEN,
    RED,
    YELLOW,
    Board,
    PanelQuery,
    PanelRow,
    graph,
    number,
    rare,
    rates,
)
from deploy.monitoring.slo import Slos

ANSWERS = "scalar(sum(rate(sightline_gateway_answers_total{@}[$__rate_interval])))"


def quality(found: Slos) -> Board:
    """Return the dashboard of recommendation quality."""
    return Board(
        "quality",
        "Sightline / Recommendation quality",
        "What is lost on answers and why, what searches miss, what matches nothing, and what shoppers do with answers.",
        (_lost(found), _found(), _matches(), _shoppers(), _experiments()),
    )


def _lost(found: Slos) -> PanelRow:
    return PanelRow(
        "What answers lack",
        (
            graph(
                "Degraded share by cause",
                "Share of the recommendations with something lost, by cause; one with several causes counts for each. The "
                "cause names the part to look at.",
                "percentunit",
                rare(
                    PanelQuery(
                        "sum by (cause) (rate(sightline_gateway_degraded_total{@}[$__rate_interval]))"
                        f" / {ANSWERS}",
                        "{{cause}}",
                    )
                ),
                limits={found.slos["degraded"].allowed: RED},
            ),
            graph(
                "Share by quality",
                "Share of the recommendations of each quality: full = nothing was lost, reduced = a part was, fallback = "
                "popular products instead, snapshot = from the gateway's copy.",
                "percentunit",
                PanelQuery(
                    "sum by (quality) (rate(sightline_gateway_answers_total{@}[$__rate_interval]))"
                    f" / {ANSWERS}",
                    "{{quality}}",
                ),
                stacked=True,
                most=1.0,
            ),
            graph(
                "Near-duplicates grouped",
                "Products a second that were grouped with a result instead of shown beside it.",
                "ops",
                rates("sightline_gateway_collapsed_products_total", "@", "call"),
            ),
        ),
    )


def _found() -> PanelRow:
    return PanelRow(
        "What searches find",
        (
            graph(
                "Recall by plan and filter",
                "Share of the nearest products that live searches found, estimated, by how the search was done and what its "
                "filter passes.",
                "percentunit",
                PanelQuery(
                    "min by (catalog, space, plan, filter) (sightline_recall{@catalog})",
                    "{{catalog}}/{{space}} {{plan}}, filter: {{filter}}",
                ),
                most=1.0,
                base=RED,
                limits={0.95: GREEN},
            ),
            graph(
                "Recall: what it may be",
                "Both ends of the 95% interval of the lowest estimate. Below the floor is only what has even its upper end "
                "there.",
                "percentunit",
                PanelQuery("min(sightline_recall_lower{@catalog})", "at least"),
                PanelQuery("min(sightline_recall_upper{@catalog})", "at most"),
                most=1.0,
            ),
            graph(
                "Searches behind the estimate",
                "Searches of the last hour that each estimate rests on; below 20 nothing is concluded.",
                "short",
                PanelQuery(
                    "min by (catalog, space, plan, filter) (sightline_recall_searches{@catalog})",
                    "{{catalog}}/{{space}} {{plan}}, filter: {{filter}}",
                ),
            ),
            number(
                "Below the floor",
                "Kinds of searches whose recall is surely below the floor.",
                "short",
                PanelQuery("sum(sightline_recall_below_floor{@catalog})"),
                limits={1.0: RED},
            ),
            graph(
                "Cannot be found yet",
                "Photos, or texts of products, without a vector: these products are in no search.",
                "short",
                PanelQuery(
                    "max by (catalog, space) (sightline_index_pending{@catalog})",
                    "{{catalog}}/{{space}}",
                ),
                width=10,
            ),
            graph(
                "Coverage of the catalog",
                "Share of the products that compete which the serving model named in anybody's first ten, when it was "
                "trained. A low share: always the same products.",
                "percentunit",
                PanelQuery(
                    'max by (catalog) (sightline_model_figure{@catalog, figure="coverage@10"})',
                    "{{catalog}}",
                ),
                width=10,
                most=1.0,
            ),
        ),
    )


def _matches() -> PanelRow:
    return PanelRow(
        "When nothing matches",
        (
            graph(
                "No good match",
                "Share of the answers to photos and texts whose best match is poor or that found nothing. It grows when "
                "shoppers look for what the shop does not have.",
                "percentunit",
                PanelQuery(
                    '(sum(rate(sightline_gateway_matches_total{@, outcome=~"POOR|NOTHING_FOUND"}'
                    "[$__rate_interval])) or vector(0))"
                    " / scalar(sum(rate(sightline_gateway_matches_total{@}[$__rate_interval])))",
                    "no good match",
                ),
                width=12,
                limits={0.2: YELLOW},
            ),
            graph(
                "Answers to signals, by outcome",
                "Answers a second by what came of the best match. NO_THRESHOLD: nobody said yet from where on a match is "
                "good. INCOMPLETE: a part was lost.",
                "ops",
                rates("sightline_gateway_matches_total", "@", "outcome"),
                width=12,
                stacked=True,
            ),
        ),
    )


def _shoppers() -> PanelRow:
    return PanelRow(
        "What shoppers do",
        (
            graph(
                "Events by type",
                "Events a second that the shop sent. A type that stops: the sending side is broken.",
                "ops",
                rates("sightline_gateway_events_total", "@", "type"),
            ),
            graph(
                "Clicks and purchases per impression",
                "Clicks and purchases as a share of impressions, of all events. `sightline models online` has the exact "
                "figures, by model.",
                "percentunit",
                *(
                    PanelQuery(
                        f'sum(rate(sightline_gateway_events_total{{@, type="{kind}"}}[$__rate_interval]))'
                        ' / sum(rate(sightline_gateway_events_total{@, type="impression"}[$__rate_interval]))',
                        f"{kind}s",
                    )
                    for kind in ("click", "purchase")
                ),
            ),
            graph(
                "Attribution tokens",
                "Tokens a second that events brought, by whether they name an answer: unreadable, foreign and expired ones "
                "are lost to learning.",
                "ops",
                rare(rates("sightline_gateway_attributions_total", "@", "outcome")),
            ),
            graph(
                "Tokens without an answer",
                "Share of the events with a token whose answer is not on record.",
                "percentunit",
                PanelQuery(
                    "max by (catalog) (sightline_feedback_unjoined_share{@catalog})", "{{catalog}}"
                ),
                limits={0.2: RED},
            ),
            graph(
                "Feedback that drifts",
                "1 while something of the feedback is further from the weeks before than chance explains.",
                "short",
                PanelQuery(
                    "max by (catalog, item) (sightline_feedback_drift{@catalog})",
                    "{{catalog}} {{item}}",
                ),
                width=16,
                limits={1.0: YELLOW},
            ),
        ),
    )


def _experiments() -> PanelRow:
    return PanelRow(
        "Experiments",
        (
            graph(
                "Answers by arm",
                "Pages a second that each arm of an experiment made. Arms with equal shares have equal lines.",
                "ops",
                rare(
                    PanelQuery(
                        "sum by (experiment, arm)"
                        " (rate(sightline_gateway_experiment_answers_total{@}[$__rate_interval]))",
                        "{{experiment}}/{{arm}}",
                    )
                ),
                width=12,
            ),
            graph(
                "Clicks per answer by arm",
                "Clicks as a share of answers, by arm, over the last day. `sightline experiments report` says whether the "
                "difference is more than chance.",
                "percentunit",
                rare(
                    PanelQuery(
                        "sum by (experiment, arm)"
                        ' (increase(sightline_gateway_experiment_events_total{@, type="click"}[1d]))'
                        " / sum by (experiment, arm)"
                        " (increase(sightline_gateway_experiment_answers_total{@}[1d]))",
                        "{{experiment}}/{{arm}}",
                    )
                ),
                width=12,
            ),
        ),
    )
