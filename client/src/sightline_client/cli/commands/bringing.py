"""``sightline models bring``"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.base import options, progress, running
from sightline_client.cli.base.option_groups import OptionGroup
from sightline_client.cli.language import _
from sightline_client.cli.show.grids import grid, phrase, plain
from sightline_client.cli.show.value_tables import interval
from sightline_client.cli.work import offline_models

BACKBONES: Final = Path("deploy/triton/triton_engine/backbones")
DEFAULT: Final = Path("deploy/triton/models/efficientnet_lite0")
LAYOUTS: Final = ("NCHW", "NHWC")
_FILE: Final = {"exists": True, "dir_okay": False, "metavar": "FILE"}
_FOLDER: Final = {"exists": True, "file_okay": False, "metavar": "FOLDER"}
SEES: Final = "How the network sees photos"
MEASURES: Final = "What is measured"


def _three(value: str) -> tuple[float, ...]:
    """Parse three numbers, or one for all three."""
    try:
        numbers = tuple(map(float, value.split(",")))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3):
        raise typer.BadParameter(_("write three numbers, such as 0.485,0.456,0.406, or one"))
    return numbers * 3 if len(numbers) == 1 else numbers


def _one_of(*names: str) -> Any:
    def check(value: str) -> str:
        if value and value not in names:
            raise typer.BadParameter(_("is none of {names}", names=", ".join(names)))
        return value

    return check


@dataclass(frozen=True)
class BringOptions(OptionGroup):
    """Options of the checker, by its names.

    Args:
        name: Name of the model in Triton.
        licence: License of the weights, e.g. Apache-2.0.
        trained_on: Training data of the weights.
        title: Display name; default: its name.
        input: Input for photos, if there are several.
        vector: Tensor with the vector, which may lie inside the graph.
        pool: Make the vector of several places: first (a class token) or mean.
        layout: NCHW or NHWC, where the file does not say it.
        size: Side of the input in pixels.
        crop: Share of a photo's shorter side that is kept.
        mean: Mean of the channels.
        std: Deviation of the channels.
        rescale: Factor of bytes before mean and deviation; default: 1/255.
        channels: RGB or BGR; mean and deviation are in this order.
        reference: Vectors of some photos by the network's own tools, .npz or .npy.
        reference_photos: These photos.
        least_cosine: Least mean cosine to the reference.
        photos: The shop's photos: a folder with a folder for each product, or a table with the
            columns photo, product and perhaps upload.
        most_photos: Maximum number of photos.
        beside: Folder of the model in use, which is measured on the same photos.
        seed: Seed of the draw of photos.
        to: Folder of the manifests.
    """

    name: Annotated[str, options.words(metavar="NAME")]
    licence: Annotated[str, options.words(metavar="SPDX")]
    trained_on: Annotated[str, options.words(metavar="TEXT")]
    title: Annotated[str, options.words(metavar="TEXT")] = ""
    input: Annotated[str, options.words(metavar="TENSOR")] = ""
    vector: Annotated[str, options.words(metavar="TENSOR")] = ""
    pool: Annotated[str, typer.Option(metavar="WAY", callback=_one_of("first", "mean"))] = ""
    layout: Annotated[str, typer.Option(metavar="ORDER", callback=_one_of(*LAYOUTS))] = ""
    size: Annotated[int | None, options.number("N", 32, 1024, rich_help_panel=SEES)] = None
    crop: Annotated[float | None, options.number("X", 0.1, 1, rich_help_panel=SEES)] = None
    mean: Annotated[Any, typer.Option(metavar="A,B,C", parser=_three, rich_help_panel=SEES)] = None
    std: Annotated[Any, typer.Option(metavar="A,B,C", parser=_three, rich_help_panel=SEES)] = None
    rescale: Annotated[float | None, options.number("X", 0.000001, 1, rich_help_panel=SEES)] = None
    channels: Annotated[
        str, typer.Option(metavar="ORDER", callback=_one_of("RGB", "BGR"), rich_help_panel=SEES)
    ] = "RGB"
    reference: Annotated[Path | None, typer.Option(rich_help_panel=MEASURES, **_FILE)] = None
    reference_photos: Annotated[Path | None, typer.Option(rich_help_panel=MEASURES, **_FOLDER)] = (
        None
    )
    least_cosine: Annotated[float, options.number("X", -1, 1, rich_help_panel=MEASURES)] = 0.98
    photos: Annotated[
        Path | None, typer.Option(exists=True, metavar="PATH", rich_help_panel=MEASURES)
    ] = None
    most_photos: Annotated[int, options.number("N", 20, 10_000, rich_help_panel=MEASURES)] = 1000
    beside: Annotated[Path, typer.Option(metavar="FOLDER", rich_help_panel=MEASURES)] = DEFAULT
    seed: Annotated[int, options.number("N", 0, 2**32 - 1, rich_help_panel=MEASURES)] = 0
    to: Annotated[Path, typer.Option(metavar="FOLDER")] = BACKBONES

    def chosen(self) -> dict[str, Any]:
        """Return the options as the checker takes them, without the photos."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        del found["photos"]
        return {name: str(v) if isinstance(v, Path) else v for name, v in found.items()}


def command(
    *,
    file: Annotated[Path, typer.Argument(**_FILE)],
    asked: BringOptions,
    json: options.Json = False,
) -> None:
    """Check a photo model of your own, compare it with a reference and with the model in use, and
    write its manifest for Triton.

    Nothing is written if the model can't be served. The file is read only in a process that can
    reach no file and no network. How the network sees photos is read from preprocessor_config.json
    beside it, if there is one. No suite is needed, but a clone of the project (make setup).

    sightline models bring net.onnx --name net --licence MIT --trained-on LAION-2B --photos shop/
    sightline models bring net.onnx --name net --licence MIT --trained-on ours --mean 0 --std 1

    Args:
        file: The network as an ONNX file.
    """
    if (asked.reference is None) is not (asked.reference_photos is None):
        raise typer.BadParameter(
            _("give --reference and --reference-photos together"), param_hint="--reference"
        )
    report = running.guarded(lambda: _brought(file, asked))
    if json:
        running.show_facts(report)
        return
    running.show(_shown(report))
    running.show(Text("\n".join(_roll_out(asked.name))), whole_lines=True)


def _brought(file: Path, asked: BringOptions) -> Mapping[str, Any]:
    """Return the report of the installed checker."""
    bring = offline_models.checker()
    read = offline_models.read_photos(asked.photos) if asked.photos else ()
    with progress.meter(_("measuring"), len(read)) as bar:
        try:
            return bring(file, asked.chosen(), read, progress=bar.at)
        except ValueError as error:
            reason = getattr(error, "reason", None)
            if reason is None:
                raise
            refused = str(error)
    running.refuse(reason, refused)


def _shown(report: Mapping[str, Any]) -> RenderableType:
    """Show what was found, for people."""
    model, look = report["model"], report["preprocessing"]
    shape = f"{model['image']} {model['layout']} {model['side']} × {model['side']}"
    sees = f"crop {look['crop']:g}, mean {_said(look['mean'])}, scale {_said(look['scale'])}"
    rows = [
        (_("input"), shape),
        (_("vector"), f"{model['vector']}, {model['dimension']:,}"),
        (_("preprocessing"), f"{sees}, {look['channels']}, {look['resize']}, {look['fit']}"),
        *((_("manifest"), path) for path in report["manifests"]),
    ]
    parts: list[RenderableType] = [grid(("", ""), rows, show_header=False)]
    parts += [Text(plain(note)) for note in report["notes"]]
    if "parity" in report:
        parts.append(_parity(report["parity"]))
    if "held" in report:
        parts.append(_held(report["held"], report["name"]))
    return Group(*parts)


def _parity(found: Mapping[str, Any]) -> RenderableType:
    rows = ((plain(photo), f"{value:.4f}") for photo, value in found["cosines"].items())
    mean = phrase("mean cosine to the reference: {mean:.4f}", mean=found["mean"])
    return Group(grid((_("photo"), _("cosine")), rows, right=(_("cosine"),)), mean)


def _held(found: Mapping[str, Any], name: str) -> RenderableType:
    """Show figures and costs beside those of the model in use."""
    ours, before = found["costs"]
    columns = (_("figure"), name, _("95% interval"), plain(before["model"]), _("gain"))
    figures: list[tuple[str, Any]] = [(each["name"], each) for each in found["figures"]]
    if found["fitted"] is not None:
        figures.append((_("{figure}, fitted", figure=found["fitted"]["name"]), found["fitted"]))
    rows = [
        (
            plain(label),
            f"{each['value']:.3f}",
            interval(each["low"], each["high"], ".3f"),
            f"{each['baseline']:.3f}",
            _(
                "{gain:+.3f} ({gain_low:+.3f} to {gain_high:+.3f})",
                gain=each["value"] - each["baseline"],
                gain_low=each["gain_low"],
                gain_high=each["gain_high"],
            ),
        )
        for label, each in figures
    ]
    costs = ((_("processor ms"), "processor_ms"), ("p50 ms", "p50_ms"))
    rows += [(label, f"{ours[key]:.1f}", "", f"{before[key]:.1f}", "") for label, key in costs]
    counted = _(
        "{photos:,} photos of {products:,} products, taken on {occasions:,} occasions; the costs"
        " are of one photo on one thread.",
        photos=found["photos"],
        products=found["products"],
        occasions=found["occasions"],
    )
    verdict = Text(f"{found['verdict']}: {plain(found['text'])}")
    return Group(verdict, grid(columns, rows, right=columns[1:]), Text(counted))


def _roll_out(name: str) -> list[str]:
    """Return the commands that put the model into service, and back."""
    return [
        _("Roll-out, and back:"),
        "  (cd deploy/triton && .venv/bin/python -m triton_engine.build --pin)",
        f"  make up MODELS={DEFAULT.name},{name}",
        f"  sightline index upgrade --version {name}",
        "  sightline index rollback",
        _("Or a space fitted on it:"),
        f"  sightline spaces fit --backbone {name}",
    ]


def _said(numbers: list[float]) -> str:
    return " ".join(f"{number:g}" for number in numbers)
