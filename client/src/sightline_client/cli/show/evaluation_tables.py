"""An evaluation as tables on a terminal."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show import evaluation_words as words
from sightline_client.cli.show.grids import grid, phrase, plain
from sightline_client.cli.show.value_tables import interval
from sightline_client.values.evaluation import (
    EvaluatedSystem,
    Evaluation,
    EvaluationTrial,
    EvaluationVerdict,
    SystemKind,
)

STYLES = {
    EvaluationVerdict.PASSED: "bold green",
    EvaluationVerdict.FAILED: "bold red",
    EvaluationVerdict.INCONCLUSIVE: "bold yellow",
    EvaluationVerdict.UNKNOWN: "bold",
}
COLUMNS = {
    "ndcg@10": "nDCG@10",
    "recall@10": "recall",
    "hit@10": "hit",
    "mrr@10": "MRR",
    "auc": "AUC",
    "coverage@10": "coverage",
    "novelty@10": "novelty",
    "diversity@10": "diverse",
    "popularity_lift@10": "lift",
}
"""Figures shown on a terminal; the page and --json have all, with their intervals."""


def verdict(value: EvaluationVerdict, summary: str = "") -> Text:
    """Show the verdict and why."""
    meaning = _(words.VERDICTS[value]) + _(".")
    return Text.assemble((value.value, STYLES[value]), f": {meaning} ", plain(summary))


def evaluation(value: Evaluation) -> RenderableType:
    """Show the verdict, its evidence, and what each figure means."""
    parts: list[RenderableType] = [
        Text(words.advice(value), style="bold"),
        verdict(value.verdict, value.summary),
        Text(plain(words.production(value)), style="dim"),
        *(Text(plain(one)) for one in value.findings),
    ]
    for trial in value.trials:
        parts += [Text(""), Text(words.split(trial), style="bold"), *_settings(trial)]
        parts += _slices(trial)
        if trial.comparisons:
            parts.append(_comparisons(trial))
    parts += [
        Text(""),
        *(Text(_(text), style="dim") for name, text in words.FIGURES.items() if name in COLUMNS),
        Text(_(words.INTERVALS), style="dim"),
    ]
    return Group(*parts)


def _slices(trial: EvaluationTrial) -> Iterable[RenderableType]:
    for name, meaning in words.SLICES.items():
        parts = ((system, system.slice(name)) for system in trial.systems)
        asked = [(system, part) for system, part in parts if part is not None and part.figures]
        if not asked:
            yield phrase("{name}: no shopper was measured.", name=name, style="dim")
            continue
        count = asked[0][1].figures[0].sample_count
        rows: Iterable[Iterable[str | Text]] = (
            (
                _name(system),
                *(words.figure(part.figure(one), interval=one == "ndcg@10") for one in COLUMNS),
            )
            for system, part in asked
        )
        figures = tuple(map(_, COLUMNS.values()))
        title = phrase(
            "{name} ({count:,} shoppers): {meaning}", name=name, count=count, meaning=_(meaning)
        )
        spare = figures[2:]
        yield grid(("", *figures), rows, right=figures, spare=spare, title=title)


def _comparisons(trial: EvaluationTrial) -> RenderableType:
    columns = (
        "",
        _("required"),
        _("difference"),
        _("95% interval"),
        _("smallest effect"),
        _("verdict"),
    )
    rows = (
        (
            Text(plain(one.against), style="bold" if one.decides else ""),
            words.asked(one) if one.decides else "",
            f"{one.difference:+.4f}",
            interval(one.low, one.high, "+.4f"),
            "–" if one.smallest_effect is None else f"{one.smallest_effect:.4f}",
            Text(one.verdict.value, style=STYLES[one.verdict]),
        )
        for one in trial.comparisons
    )
    title = phrase(
        "Difference between the candidate's nDCG@10 and each system's, over the same shoppers"
    )
    return grid(columns, rows, right=columns[2:], title=title)


def _name(system: EvaluatedSystem) -> Text:
    return Text(plain(system.name), style="bold" if system.kind is SystemKind.CANDIDATE else "")


def _settings(trial: EvaluationTrial) -> Iterable[RenderableType]:
    """Show the parameters of tuned baselines."""
    tuned = [f"{one.name} ({one.settings})" for one in trial.systems if one.settings]
    if tuned:
        text = _("Tuned on training events: {systems}.", systems="; ".join(tuned))
        yield Text(plain(text), style="dim")
