"""``sightline models bring``"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.base import options, progress, running
from sightline_client.cli.language import _
from sightline_client.cli.show.grids import grid, plain
from sightline_client.cli.work import offline_models

BACKBONES: Final = Path("deploy/triton/triton_engine/backbones")
DEFAULT: Final = Path("deploy/triton/models/efficientnet_lite0")
LAYOUTS: Final = ("NCHW", "NHWC")
_FILE: Final = {"exists": True, "dir_okay": False, "metavar": "FILE"}
_FOLDER: Final = {"exists": True, "file_okay": False, "metavar": "FOLDER"}
SEES: Final = "How the network sees photos"
MEASURES: Final = "What is measured"


def _colours(value: str | None) -> str | None:
    """Return the value if it is three numbers, or one for all three. BadParameter otherwise."""
    if value is not None:
        _three(value)
    return value


def _three(value: str) -> tuple[float, ...]:
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


def command(
    *,
    file: Annotated[Path, typer.Argument(help="The network as an ONNX file.", **_FILE)],
    name: Annotated[str, options.words(metavar="NAME", help="Name of the model in Triton.")],
    licence: Annotated[
        str, options.words(metavar="SPDX", help="License of the weights, e.g. Apache-2.0.")
    ],
    trained_on: Annotated[str, options.words(metavar="TEXT", help="Training data of the weights.")],
    title: Annotated[
        str, options.words(metavar="TEXT", help="Display name; default: its name.")
    ] = "",
    input: Annotated[
        str, options.words(metavar="TENSOR", help="Input for photos, if there are several.")
    ] = "",
    vector: Annotated[
        str,
        options.words(
            metavar="TENSOR", help="Tensor with the vector, which may lie inside the graph."
        ),
    ] = "",
    pool: Annotated[
        str,
        typer.Option(
            metavar="WAY",
            help="Make the vector of several places: first (a class token) or mean.",
            callback=_one_of("first", "mean"),
        ),
    ] = "",
    layout: Annotated[
        str,
        typer.Option(
            metavar="ORDER",
            help="NCHW or NHWC, where the file does not say it.",
            callback=_one_of(*LAYOUTS),
        ),
    ] = "",
    size: Annotated[
        int | None,
        options.number("N", "Side of the input in pixels.", 32, 1024, rich_help_panel=SEES),
    ] = None,
    crop: Annotated[
        float | None,
        options.number(
            "X", "Share of a photo's shorter side that is kept.", 0.1, 1, rich_help_panel=SEES
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Mean of the channels.",
            callback=_colours,
            rich_help_panel=SEES,
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Deviation of the channels.",
            callback=_colours,
            rich_help_panel=SEES,
        ),
    ] = None,
    rescale: Annotated[
        float | None,
        options.number(
            "X",
            "Factor of bytes before mean and deviation; default: 1/255.",
            0.000001,
            1,
            rich_help_panel=SEES,
        ),
    ] = None,
    channels: Annotated[
        str,
        typer.Option(
            metavar="ORDER",
            help="RGB or BGR; mean and deviation are in this order.",
            callback=_one_of("RGB", "BGR"),
            rich_help_panel=SEES,
        ),
    ] = "RGB",
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Vectors of some photos by the network's own tools, .npz or .npy.",
            rich_help_panel=MEASURES,
            **_FILE,
        ),
    ] = None,
    reference_photos: Annotated[
        Path | None,
        typer.Option(help="These photos.", rich_help_panel=MEASURES, **_FOLDER),
    ] = None,
    least_cosine: Annotated[
        float,
        options.number("X", "Least mean cosine to the reference.", -1, 1, rich_help_panel=MEASURES),
    ] = 0.98,
    photos: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            metavar="PATH",
            help="The shop's photos: a folder with a folder for each product, or a table with the"
            " columns photo, product and perhaps upload.",
            rich_help_panel=MEASURES,
        ),
    ] = None,
    most_photos: Annotated[
        int,
        options.number("N", "Maximum number of photos.", 20, 10_000, rich_help_panel=MEASURES),
    ] = 1000,
    beside: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the model in use, which is measured on the same photos.",
            rich_help_panel=MEASURES,
        ),
    ] = DEFAULT,
    seed: Annotated[
        int,
        options.number("N", "Seed of the draw of photos.", 0, 2**32 - 1, rich_help_panel=MEASURES),
    ] = 0,
    to: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the manifests.")
    ] = BACKBONES,
    json: options.Json = False,
) -> None:
    """Check a photo model of your own, compare it with a reference and with the model in use, and
    write its manifest for Triton.

    Nothing is written if the model can't be served. The file is read only in a process that can
    reach no file and no network. How the network sees photos is read from preprocessor_config.json
    beside it, if there is one. No suite is needed, but a clone of the project (make setup).

      sightline models bring net.onnx --name net --licence MIT --trained-on LAION-2B --photos shop/

      sightline models bring net.onnx --name net --licence MIT --trained-on ours --mean 0 --std 1
    """
    if (reference is None) is not (reference_photos is None):
        raise typer.BadParameter(
            _("give --reference and --reference-photos together"), param_hint="--reference"
        )
    chosen: dict[str, Any] = {
        "name": name,
        "licence": licence,
        "trained_on": trained_on,
        "title": title,
        "input": input,
        "vector": vector,
        "pool": pool,
        "layout": layout,
        "size": size,
        "crop": crop,
        "mean": mean and _three(mean),
        "std": std and _three(std),
        "rescale": rescale,
        "channels": channels,
        "reference": reference and str(reference),
        "reference_photos": reference_photos and str(reference_photos),
        "least_cosine": least_cosine,
        "most_photos": most_photos,
        "beside": str(beside),
        "seed": seed,
        "to": str(to),
    }
    report = running.guarded(lambda: _brought(file, chosen, photos))
    if json:
        running.show_facts(report)
        return
    running.show(_shown(report))
    running.show(Text("\n".join(_roll_out(name))), whole_lines=True)


def _brought(file: Path, chosen: Mapping[str, Any], photos: Path | None) -> Mapping[str, Any]:
    """Return the report of the installed checker."""
    bring = offline_models.checker()
    read = offline_models.read_photos(photos) if photos else ()
    with progress.meter(_("measuring"), len(read)) as bar:
        try:
            return bring(file, chosen, read, progress=bar.at)
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
    mean = Text(_("mean cosine to the reference: {mean:.4f}", mean=found["mean"]))
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
            _("{low:.3f} to {high:.3f}", low=each["low"], high=each["high"]),
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
