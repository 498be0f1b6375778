"""Table of a recorded answer beside the one that is computed now."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from sightline.common.v1 import answer_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.ranker.v1 import answer_service_pb2
from sightline_client.cli.language import _, later
from sightline_client.cli.show.grids import phrase, plain
from sightline_client.cli.show.tables import counted
from sightline_client.cli.show.value_tables import ValueTable

CAPTION = later(
    "score: the raw score, the sum of its parts. The recorded order is the ranker's, and includes"
    " products deleted since. Searches are not repeated: the recorded candidates are ranked again"
)


def replay(value: pb.ReplayRecommendationResponse) -> RenderableType:
    """Show whether the answer is the same, what differs, and the first places side by side."""
    served = value.answer_time.ToJsonString()
    computed = any(each.HasField("recomputed") for each in value.places)
    verdict, style = (
        (_("The same, bit for bit."), "green")
        if value.equal
        else (_("Not the same.") if computed else _("It can't be computed again."), "yellow")
    )
    return Group(
        phrase(
            "Answer {answer_id}, served {served}. {verdict}",
            value,
            served=served,
            verdict=verdict,
            style=f"bold {style}",
        ),
        *(Text(f"{_kind(each)}{plain(each.text)}", style=style) for each in value.differences),
        _places(value.places),
        phrase(
            "{products} in all. {caption}",
            products=counted(value.total_count, "product", "products"),
            caption=_(CAPTION),
            style="dim",
        ),
        *map(Text, _facts(value)),
    )


def _kind(value: answer_service_pb2.ReplayDifference) -> str:
    name = answer_service_pb2.ReplayDifference.Kind.Name(value.kind).removeprefix("KIND_")
    words = "" if name == "UNSPECIFIED" else name.replace("_", " ").lower()
    head = " ".join(part for part in (words, plain(value.subject)) if part)
    return f"{head}: " if head else ""


_places = ValueTable(
    pb.ReplayedPlace,
    {
        "place": "place:d",
        "recorded": "recorded.product_id or –",
        "score": lambda each: _score(each.recorded),
        "parts": lambda each: _parts(each.recorded),
        "computed now": "recomputed.product_id or –",
        "its score": lambda each: _score(each.recomputed),
        "": lambda each: "" if each.equal else _("differs"),
    },
    right=("place", "score", "its score"),
)


def _score(value: answer_service_pb2.AnsweredProduct) -> str:
    return f"{value.raw_score:.6f}" if value.product_id else "–"


def _parts(value: answer_service_pb2.AnsweredProduct) -> str:
    parts = sorted(value.parts, key=lambda part: -abs(part.value))
    return " ".join(f"{part.name} {part.value:+.4f}" for part in parts if part.value)


def _facts(value: pb.ReplayRecommendationResponse) -> Iterable[str]:
    now = value.replay_versions
    for name, then, today in (
        (_("model"), value.versions.model_version, now.model_version),
        (_("release"), value.versions.service_version, now.service_version),
        (
            _("scene {scene}", value.versions),
            value.versions.scene_version,
            now.scene_version,
        ),
    ):
        yield plain(
            _(
                "{name}: {then}; now {today}",
                name=name,
                then=then or _("none"),
                today=today or _("none"),
            )
        )
    yield plain(_("plan: {plan}", value.versions))
    if value.experiment_arms:
        yield plain(_("arms: {experiment_arms}", experiment_arms=", ".join(value.experiment_arms)))
    for lost in value.degradations:
        cause = answer_pb2.Degradation.Cause.Name(lost.cause).removeprefix("CAUSE_")
        yield plain(
            _(
                "degraded then: {stage} [{cause}]. Fallback: {substitute}",
                lost,
                cause=cause,
                substitute=lost.substitute or _("none"),
            )
        )
    yield _(
        "request {request_digest}, seed {seed}", value, request_digest=value.request_digest.hex()
    )
