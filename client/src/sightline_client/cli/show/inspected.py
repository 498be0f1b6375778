"""References and inspected pieces on a terminal."""

from types import MappingProxyType

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _, later
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.show.value_tables import ValueTable
from sightline_client.values.inspection import (
    InspectedPiece,
    InspectionReference,
    PieceVerdict,
    ReferenceFigures,
    ReferenceState,
    ReferenceVerdict,
    VerdictDoubt,
)

LEAST_SEPARATION = 0.75
"""Separation below which a reference allows no verdict."""
STYLES = MappingProxyType(
    {
        PieceVerdict.LIKE: "bold green",
        PieceVerdict.UNLIKE: "bold red",
        PieceVerdict.CANNOT_SAY: "bold yellow",
        PieceVerdict.UNKNOWN: "bold",
    }
)


_STATES = MappingProxyType(
    {
        ReferenceState.DRAFT: later("draft"),
        ReferenceState.CANDIDATE: later("candidate"),
        ReferenceState.SERVING: later("serving"),
        ReferenceState.RETIRED: later("retired"),
    }
)
_VERDICTS = MappingProxyType(
    {
        ReferenceVerdict.BETTER: later("better"),
        ReferenceVerdict.INCONCLUSIVE: later("no proven difference"),
        ReferenceVerdict.WORSE: later("worse"),
    }
)
references = ValueTable(
    InspectionReference,
    {
        "reference": "reference_id",
        "version": "version or –",
        "state": lambda each: _(_STATES.get(each.state, each.state.lower())),
        "product": "product_id or –",
        "photos": "photo_count",
        "least rate": lambda each: f"{each.least_false_alarm_rate:.3f}" if each.version else "–",
        "separation": lambda each: f"{each.separation:.2f}" if each.version else "–",
        "fitted": "create_time:%Y-%m-%d %H:%M",
    },
    empty="No references: `sightline inspect fit NAME DIR` makes one.",
    spare=("product", "least rate", "photos", "fitted"),
)
_compared = ValueTable[tuple[str, ReferenceFigures]](
    tuple,
    {
        "version": lambda each: each[0],
        "separation": lambda each: f"{each[1].separation:.2f}",
        "false alarms": lambda each: _number(each[1].false_alarms),
        "threshold": lambda each: _(
            "{threshold} ({low} to {high})",
            threshold=_number(each[1].threshold),
            low=_number(each[1].threshold_low),
            high=_number(each[1].threshold_high),
        ),
    },
)


def fitted(value: InspectionReference) -> RenderableType:
    """Show a version, and its comparison with the one that served at its fit."""
    found = value.evaluation
    if found is None:
        return references.one(value)
    verdict = _(_VERDICTS.get(found.verdict, found.verdict.lower()))
    title = phrase(
        "Compared with version {version}, which served at the fit: {verdict}. Gain in"
        " separation {low:+.2f} to {high:+.2f}, on {photos} photos that it was not fitted on:",
        verdict=verdict,
        version=found.compared_version,
        low=found.gain_low,
        high=found.gain_high,
        photos=found.photo_count,
    )
    fits = ((value.version, found.fitted), (found.compared_version, found.compared))
    return Group(references.one(value), "", title, _compared(fits))


def advice(value: InspectionReference) -> Text:
    """Return what to do with a reference that was fitted."""
    if value.separation < LEAST_SEPARATION:
        return phrase(
            "The photos are too unlike one another for a verdict: take all with one camera, at"
            " one place and distance, in the same light."
        )
    name = value.reference_id
    if value.state is ReferenceState.SERVING:
        return phrase(
            "`sightline inspect photo PHOTO --reference {name}` compares photos with it.", name=name
        )
    return phrase("`sightline inspect promote {name}` puts it into service.", name=name)


def piece(value: InspectedPiece) -> RenderableType:
    """Show the comparison of a piece with a reference."""
    lines = [Text(_verdict(value), style=STYLES[value.verdict])]
    if value.threshold is None:
        lines.append(phrase("score {score:.2f}", value))
    else:
        lines.append(
            phrase(
                "score {score:.2f}, threshold {threshold:.2f} ({low} to {high}), p-value"
                " {p:.3f}; good photos have 1 on average",
                value,
                low=_number(value.threshold_low),
                high=_number(value.threshold_high),
                p=value.p_value,
            )
        )
    lines += [
        phrase(
            "part {left:.0%} to {right:.0%} from the left, {top:.0%} to {bottom:.0%} from the"
            " top: score {score:.2f}",
            part.box,
            score=part.score,
        )
        for part in value.parts
    ]
    return Group(*lines)


def _verdict(value: InspectedPiece) -> str:
    rate = f"{value.false_alarm_rate:g}"
    if value.verdict is PieceVerdict.LIKE:
        return _("like the good pieces, at a false-alarm rate of {rate}", rate=rate)
    if value.verdict is PieceVerdict.UNLIKE:
        return _("unlike the good pieces, at a false-alarm rate of {rate}", rate=rate)
    if value.doubt is VerdictDoubt.TOO_FEW_PHOTOS:
        return _(
            "cannot say: for a false-alarm rate of {rate} the reference has too few photos; it"
            " allows {least} or more",
            rate=rate,
            least=f"{value.least_false_alarm_rate:.3g}",
        )
    if value.doubt is VerdictDoubt.PHOTOS_TOO_UNLIKE:
        return _("cannot say: the photos of the reference are too unlike one another")
    return _("a verdict that this client does not know: update it")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
