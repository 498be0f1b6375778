"""Tables of clicks, purchases and hides of answers, of estimates and of drift."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show import online_days
from sightline_client.cli.show.grids import grid, phrase, plain
from sightline_client.cli.show.tables import counted
from sightline_client.cli.show.value_tables import interval
from sightline_client.values import online


def report(value: online.OnlineReport) -> RenderableType:
    """Show the report as tables with explanations."""
    between = _("{start_time:%Y-%m-%d %H:%M}Z to {end_time:%Y-%m-%d %H:%M}Z", value)
    return Group(
        phrase("Answers served from {between}.", between=between, style="bold"),
        *_outcomes(value),
        *_days(value),
        Text(_attribution(value.attribution)),
        *_health(value.health),
    )


def _outcomes(value: online.OnlineReport) -> Iterable[RenderableType]:
    if not value.groups:
        yield phrase("No answers are recorded.")
        return
    yield _table(
        (
            _("model"),
            _("scene"),
            _("arm"),
            _("answers"),
            _("shown"),
            _("of these"),
            _("share"),
            "95%",
            _("count"),
        ),
        (cells for group in value.groups for cells in _group_rows(group)),
        names=3,
    )
    yield phrase(
        "answers: served, and in parentheses those with an IMPRESSION event. shown: "
        "products with an IMPRESSION event. clicked, bought, hidden: share of the shown "
        "products, its 95% interval and the count; a product of an answer counts once. "
        "bought: within {days} after the click, or after the impression if there was no "
        "click.",
        days=counted(value.conversion_window.days, "day", "days"),
    )
    unseen = sum(group.clicks_without_impression for group in value.groups)
    bought = sum(group.conversions_without_impression for group in value.groups)
    if unseen or bought:
        yield phrase(
            "Not in any rate, because no impression is stored: {unseen:,} clicked and "
            "{bought:,} bought products.",
            unseen=unseen,
            bought=bought,
            style="yellow",
        )


def _days(value: online.OnlineReport) -> list[RenderableType]:
    if not value.days:
        return []
    causes, unpriced = online_days.by_cause(value.days), online_days.unpriced(value.days)
    shown = (online_days.by_scene(value.days), online_days.by_day(value.days))
    return [*shown, *causes, *unpriced]


def _group_rows(group: online.OnlineGroup) -> Iterable[tuple[str, ...]]:
    group_cells = (
        group.model_version or _("none"),
        group.scene or "–",
        group.arm or "–",
        f"{group.answer_count:,} ({group.shown_answer_count:,})",
        f"{group.impression_count:,}",
    )
    yield *group_cells, _("clicked"), *_rate(group.click_through)
    yield *("",) * len(group_cells), _("bought"), *_rate(group.conversion)
    yield *("",) * len(group_cells), _("hidden"), *_rate(group.hide)


def _rate(rate: online.Rate) -> tuple[str, str, str]:
    return (
        f"{rate.value:.2%}",
        interval(rate.lower, rate.upper, ".2%"),
        f"{rate.count:,}",
    )


def _attribution(counts: online.AttributionCounts) -> str:
    if not counts.token_count:
        return _("No event of this period has an attribution token: nothing can be counted.")
    found = _(
        "{joined_count:,} of {token_count:,} events with an attribution token found their answer",
        counts,
    )
    if counts.joined_count == counts.token_count:
        return _("{found}.", found=found)
    return _(
        "{found}; {named_count:,} name an answer that is not stored, {token_count:,} "
        "name no answer of this catalog.",
        found=found,
        named_count=counts.named_count - counts.joined_count,
        token_count=counts.token_count - counts.named_count,
    )


def _health(health: online.FeedbackHealth | None) -> Iterable[RenderableType]:
    if health is None:
        yield phrase("Estimates and drift: the ranker's worker has not computed them yet.")
        return
    yield phrase(
        "\nComputed {compute_time:%Y-%m-%d %H:%M}Z from events since "
        "{start_time:%Y-%m-%d}; the reference period before them begins "
        "{reference_time:%Y-%m-%d}.",
        health,
        style="bold",
    )
    if health.policies:
        yield _table(
            (_("order"), _("shown"), _("eff. size"), _("support"), _("by"), _("clicks"), "95%"),
            (cells for policy in health.policies for cells in _policy_rows(policy)),
            names=1,
        )
        yield phrase(
            "clicks: per shown product, as measured for the served order and as "
            "estimated for other orders. eff. size: effective sample size, in "
            "impressions. support: about 1 if each product that the order shows had a "
            "chance to be served; products that had none are in no estimate except the "
            "doubly robust one (DR), which predicts their clicks."
        )
        for policy in health.policies:
            if policy.refusal:
                yield Text(f"{policy.policy}: {plain(policy.refusal)}")
    yield _table(
        (_("drift of"), _("by"), _("now"), _("flag from"), "", _("in words")),
        map(_drift_cells, health.drift),
        names=6,
    )
    yield phrase(
        "psi: population stability index, 0 = equal distributions. z: standard errors "
        "from the reference. Flagged if the difference is significant and large enough "
        "to matter."
    )


def _policy_rows(policy: online.PolicyEstimate) -> Iterable[tuple[str, ...]]:
    head: tuple[str, ...] = (
        policy.policy,
        f"{policy.impression_count:,}",
        f"{policy.effective_sample_size:,.0f}",
        f"{policy.support:.2f}",
    )
    estimates = (("SNIPS", policy.snips), ("DR", policy.doubly_robust), ("IPS", policy.ips))
    for name, estimate in estimates:
        yield *head, name, *_estimate(estimate)
        head = ("",) * len(head)


def _estimate(estimate: online.Estimate | None) -> tuple[str, str]:
    if estimate is None:
        return "–", "–"
    return f"{estimate.value:.4f}", interval(estimate.lower, estimate.upper, ".4f")


def _drift_cells(item: online.DriftItem) -> tuple[str, ...]:
    measured = not item.text.startswith("NOT MEASURED")
    return (
        item.item.replace("_", " "),
        item.measure,
        f"{item.value:.2f}" if measured else "–",
        f"{item.threshold:.2f}" if measured else "–",
        "DRIFT" if item.flagged else "",
        item.text,
    )


def _table(titles: Sequence[str], rows: Iterable[Iterable[str]], *, names: int) -> RenderableType:
    """Make a table whose first `names` columns may be wrapped; figures are not."""
    return grid(titles, rows, whole=titles[names:])
