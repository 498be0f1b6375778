"""Tables of scenes and of the effect of a change."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _, later
from sightline_client.cli.show.grids import phrase, plain
from sightline_client.cli.show.tables import counted
from sightline_client.cli.show.value_tables import ValueTable
from sightline_client.values import scenes as values
from sightline_client.values.catalogs import SteeredBy
from sightline_client.values.scenes import SceneDocument, SceneText

FIGURES = {
    "gini_products": "inequality of exposure (Gini: 0 = all equal, 1 = one product has all)",
    "products": "different products shown",
    "new_share": "exposure of products that are new (30 days)",
}
EXPOSURE = later(
    "exposure: position r counts 1 ÷ log₂(r + 1), as in nDCG; the shares of all products add up"
    " to 100%"
)
EXPECTED = later(
    "expected for 100 answers, by learned chances of clicks and purchases and of positions to be"
    " looked at; in brackets: 95% intervals over answers"
)
NO_EXPECTED = later(
    "Expected clicks, revenue and margin: NOT MEASURED, as the model has not learned chances from"
    " impressions."
)
ANEW = later("Both scenes answered the last requests anew, as the catalog and shoppers are now.")
RECORDED = later(
    "The gateway has no request of the last hour, so candidates of recorded answers were ranked"
    " again: entries that select candidates do not show."
)
BY_FILES = later("This catalog is steered by files.")
BY_RECORD = later("This catalog is steered by the record: scenes publish changes it.")
NOT_REPLAYED = later("no: it selects the candidates")


_scenes = ValueTable(
    values.SceneFile,
    {
        "scene": "scene",
        "version": "version",
        "from": lambda each: (
            _("published version {number}", number=each.number) if each.number else _("a file")
        ),
        "warnings": lambda each: str(len(each.warnings) or "–"),
    },
    right=("warnings",),
)


def _number(value: SceneText) -> str:
    if not value.number:
        return _("draft")
    if value.create_time is not None and value.create_time > datetime.now(UTC):
        return _("{number}, planned", number=value.number)
    return str(value.number)


_texts = ValueTable(
    SceneText,
    {
        "number": _number,
        "version": "version",
        "author": "author or –",
        "time": "create_time",
        "comment": "comment or –",
    },
    right=("number",),
    empty="It has no draft and no version.",
)
_changes = ValueTable(
    values.SceneEntryChange,
    {
        "entry": "path",
        "now": "before",
        "changed": "after",
        "shown by scenes diff": lambda each: _("yes") if each.replayed else _(NOT_REPLAYED),
    },
    empty="It equals the scene in use.",
)
_exposures = ValueTable(
    values.ExposureChange,
    {
        "of": "dimension",
        "name": lambda each: each.name or _("unknown"),
        "before": "before:.2%",
        "after": "after:.2%",
        "points": lambda each: f"{100 * (each.after - each.before):+.2f}",
    },
    right=("before", "after", "points"),
)
_figures = ValueTable(
    values.ExposureFigure,
    {
        "total": lambda each: _(FIGURES.get(each.name, each.name)),
        "before": lambda each: figure(each.name, each.before),
        "after": lambda each: figure(each.name, each.after),
    },
    right=("before", "after"),
)
_expected = ValueTable(
    values.ExpectedFigure,
    {
        "expected": lambda each: f"{each.name} {each.currency}".strip(),
        "before": lambda each: estimated(each.before),
        "after": lambda each: estimated(each.after),
        "change": lambda each: estimated(each.change, sign="+"),
    },
    right=("before", "after", "change"),
)


def listing(value: values.SceneList) -> RenderableType:
    """Show the scenes, a line each, and the problems of their files."""
    rejected = (
        Text(plain(_("scene file rejected: {problem}", problem=line(each))), style="red")
        for each in value.problems
    )
    warnings = (_problem(one, each) for one in value.scenes for each in one.warnings)
    by_record = value.steered_by == SteeredBy.RECORD
    source = _(BY_RECORD if by_record else BY_FILES)
    return Group(_scenes(value.scenes), Text(source), *rejected, *warnings)


def document(value: SceneDocument) -> RenderableType:
    """Show the draft of a scene, the planned version, and the published ones, newest first."""
    return _texts([*filter(None, [value.draft, value.planned]), *value.versions])


def _problem(scene: values.SceneFile, value: values.SceneProblem) -> Text:
    return Text(plain(f"{scene.scene}: {line(value)}"), style="yellow")


def line(value: values.SceneProblem) -> str:
    """Write a problem of an entry on one line."""
    return f"{value.path}: {value.text}" if value.path else value.text


def checked(value: values.SceneCheck) -> RenderableType:
    """Show whether a file would be accepted."""
    if not value.valid:
        wrong = [Text(plain(line(each)), style="red") for each in value.problems]
        return Group(phrase("It would be rejected, and the current scene stays in use:"), *wrong)
    return Group(
        phrase("It would be accepted as version {version}.", value, style="green"),
        *(Text(plain(line(each)), style="yellow") for each in value.warnings),
        _changes(value.changes),
    )


def summary(value: values.SceneDiff) -> Iterable[str]:
    """Yield sentences that summarize the changes."""
    if not value.answer_count:
        yield _("No request to this scene is known, and no recorded answer can be computed again.")
    else:
        yield (
            _(
                "{changed_count:,} of {answers} would change: another product in "
                "{changed_place_share:.1%} of the compared positions, {replaced_share:.1%} "
                "of the products replaced.",
                value,
                answers=counted(value.answer_count, "answer", "answers"),
            )
        )
        yield _(ANEW) if value.anew_count else _(RECORDED)
    if value.skipped_count:
        yield (
            _(
                "{answers_were} left out: failed now, recorded by another release, not ranked by "
                "the ranker, or deleted.",
                answers_were=counted(value.skipped_count, "answer was", "answers were"),
            )
        )


def figure(name: str, value: float) -> str:
    """Write a figure for people."""
    if name == "products":
        return f"{value:,.0f}"
    return f"{value:.1%}" if name.endswith("share") else f"{value:.3f}"


def difference(value: values.SceneDiff) -> RenderableType:
    """Show what a changed scene would have answered."""
    shown = (each for each in value.exposures if each.before != each.after)
    return Group(
        *(Text(each, style="bold") for each in summary(value)),
        *(Text(plain(line(each)), style="yellow") for each in value.warnings),
        _changes(value.changes),
        _figures(value.figures),
        *expected(value),
        _exposures(shown),
        Text(_(EXPOSURE), style="dim"),
    )


def expected(value: values.SceneDiff) -> Iterable[RenderableType]:
    """Yield the table of expected figures, or why there is none."""
    if value.answer_count and not value.expected:
        yield Text(_(NO_EXPECTED), style="dim")
    if value.expected:
        yield _expected(value.expected)
        yield Text(_(EXPECTED), style="dim")


def expected_cells(each: values.ExpectedFigure) -> tuple[str, str, str]:
    """Write an expected figure before and after a change, and the change."""
    return estimated(each.before), estimated(each.after), estimated(each.change, sign="+")


def estimated(value: values.EstimatedValue | None, sign: str = "") -> str:
    """Write a value with its interval; "–" if it is not known."""
    if value is None:
        return "–"
    one, lower, upper = (
        f"{number:{sign},.2f}" for number in (value.value, value.lower, value.upper)
    )
    return _("{value} ({lower} to {upper})", value=one, lower=lower, upper=upper)
