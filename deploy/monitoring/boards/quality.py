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
        "Degradations and their causes, recall of searches, poor matches, and shoppers' reactions "
        "to answers.",
        (_lost(found), _found(), _matches(), _shoppers(), _experiments()),
    )


def _lost(found: Slos) -> PanelRow:
    return PanelRow(
        "Degradations",
        (
            graph(
                "Degraded share by cause",
                "Share of degraded recommendations, by cause; one with several causes counts for "
                "each. The cause names the service to check.",
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
                "Share of the recommendations by quality: full = not degraded, reduced = computed "
                "without a part, fallback = popular products instead, snapshot = from the "
                "gateway's copy.",
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
                "Products per second that collapsed into a result.",
                "ops",
                rates("sightline_gateway_collapsed_products_total", "@", "call"),
            ),
        ),
    )


def _found() -> PanelRow:
    return PanelRow(
        "Search quality",
        (
            graph(
                "Recall by plan and filter",
                "Estimated share of the nearest products that live searches found, by plan and by "
                "the fraction that the filter passes.",
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
                "Recall: confidence interval",
                "95% interval of the lowest estimate. Recall counts as below the minimum only if "
                "the upper end is.",
                "percentunit",
                PanelQuery("min(sightline_recall_lower{@catalog})", "at least"),
                PanelQuery("min(sightline_recall_upper{@catalog})", "at most"),
                most=1.0,
            ),
            graph(
                "Searches behind the estimate",
                "Searches of the last hour behind each estimate; below 20 there is no conclusion.",
                "short",
                PanelQuery(
                    "min by (catalog, space, plan, filter) (sightline_recall_searches{@catalog})",
                    "{{catalog}}/{{space}} {{plan}}, filter: {{filter}}",
                ),
            ),
            number(
                "Recall below the minimum",
                "Kinds of searches whose recall is significantly below the minimum.",
                "short",
                PanelQuery("sum(sightline_recall_below_floor{@catalog})"),
                limits={1.0: RED},
            ),
            graph(
                "Not searchable yet",
                "Photos, or texts of products, without a vector: searches do not find them.",
                "short",
                PanelQuery(
                    "max by (catalog, space) (sightline_index_pending{@catalog})",
                    "{{catalog}}/{{space}}",
                ),
                width=10,
            ),
            graph(
                "Coverage of the catalog",
                "Share of the competing products that the serving model had among the first ten "
                "of at least one shopper, measured in training. A low share means that it always "
                "recommends the same products.",
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
                "Share of the answers to photos and texts whose best match is poor or that found "
                "nothing. It grows when shoppers search for products that the shop does not have.",
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
                "Answers per second by outcome of the best match. NO_THRESHOLD: no threshold is "
                "set. INCOMPLETE: a branch failed.",
                "ops",
                rates("sightline_gateway_matches_total", "@", "outcome"),
                width=12,
                stacked=True,
            ),
        ),
    )


def _shoppers() -> PanelRow:
    return PanelRow(
        "Shopper events",
        (
            graph(
                "Events by type",
                "Events per second that the shop sent, by type. If a type stops, check the sender.",
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
                "Tokens of events per second, by validity. Events with unreadable, foreign or "
                "expired tokens are not used for learning.",
                "ops",
                rare(rates("sightline_gateway_attributions_total", "@", "outcome")),
            ),
            graph(
                "Tokens without an answer",
                "Share of the events with a token whose answer has no record.",
                "percentunit",
                PanelQuery(
                    "max by (catalog) (sightline_feedback_unjoined_share{@catalog})", "{{catalog}}"
                ),
                limits={0.2: RED},
            ),
            graph(
                "Feedback that drifts",
                "1 while a figure of the feedback differs significantly from the weeks before.",
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
                "Pages per second of each arm of an experiment. Arms with equal shares have equal "
                "lines.",
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
                "Clicks as a share of answers, by arm, over the last day. `sightline experiments "
                "show` says whether the difference is significant.",
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
