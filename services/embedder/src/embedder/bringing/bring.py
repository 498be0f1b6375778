"""``sightline models bring``: write the manifest of an ONNX file, if it can be served.

The client finds it by the entry point group ``sightline.bring``; needs the extras `fit` and
`onnxruntime`. No suite is needed, and the file is only read in a confined process.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from embedder.bringing import held_photos, parity
from embedder.bringing.held_photos import TriedModel
from embedder.bringing.parity import ParityReport
from embedder.bringing.preprocessor import Preprocessing, preprocessing
from embedder.bringing.trial_process import TrialProcess
from embedder.domain.brought import Fit, Look, ModelRefused, Refusal, Wanted
from embedder.domain.errors import FitInvalid
from embedder.domain.models import FEATURES, VISUAL
from embedder.domain.recipes import PreprocessStep
from servicekit.whole_files import write_whole

ZEROS: Final = "0" * 64
"""In place of the hash of the graph, which the build computes."""
SPACES: Final = {"": VISUAL, "_features": FEATURES}
"""Suffix and space of each manifest: of a model for searches, and of one that spaces are fitted on.
"""
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,52}")
PLAIN: Final = re.compile(r'[^"\\$\n]{1,200}')
"""As in deploy/triton/triton_engine/tables.py."""


@dataclass(frozen=True, slots=True)
class NamedModel:
    """Name, title, license and training data of a model, which its file lacks."""

    name: str
    title: str
    licence: str
    trained_on: str


def bring(
    file: Path,
    options: Mapping[str, Any],
    photos: Sequence[Mapping[str, str]],
    *,
    progress: Callable[[int, int], None],
) -> Mapping[str, Any]:
    """Check a file, compare it with reference vectors and measure it on photos, as far as they are
    given, then write its manifest. Return the report, as JSON. Raises ValueError with a `reason`;
    then nothing is written.
    """
    named = _named(options)
    seen = preprocessing(file, options)
    wanted = Wanted(
        image=options.get("input", ""),
        vector=options.get("vector", ""),
        layout=options.get("layout", ""),
        pool=options.get("pool", ""),
        side=seen.side,
    )
    with ExitStack() as processes:
        process = processes.enter_context(TrialProcess(file, wanted))
        if process.facts.pixels != "float32":
            raise ModelRefused(
                Refusal.INPUT_TYPE, f"{file.name} takes bytes: export it with inputs in float32"
            )
        brought = TriedModel(named.name, process, parity.served(seen.look))
        folder = Path(options["to"])
        texts = {
            folder / f"{named.name}{suffix}.toml": manifest(named, space, process, seen)
            for suffix, space in SPACES.items()
        }
        for path, text in texts.items():
            _check_free(path, text)
        graph = folder / f"{named.name}.onnx"
        _check_same(graph, process.part)
        report: dict[str, Any] = {
            "model": asdict(process.facts) | {"file_bytes": len(process.part)},
            "confined_by": list(process.layers),
            "preprocessing": asdict(seen.look),
            "notes": notes(seen),
        }
        if options.get("reference"):
            report["parity"] = asdict(_compared(seen.look, process, options))
        if photos:
            beside = held_photos.served_model(Path(options["beside"]))
            processes.enter_context(beside.process)
            report["held"] = _held(photos, brought, beside, options, progress)
        write_whole(graph, process.part, folder)
        for path, text in texts.items():
            if not path.exists():  # an existing one is the same, and may have the graph's hash
                write_whole(path, text.encode(), folder)
    return report | {"manifests": [str(path) for path in texts], "name": named.name}


def notes(seen: Preprocessing) -> list[str]:
    """Return in which steps the embedder does not do as the network's authors."""
    look, served = seen.look, parity.served(seen.look)
    found = []
    if look.fit is not served.fit:
        found.append("The authors squash whole photos to a square; the embedder crops the centre.")
    if look.resize is not served.resize:
        found.append(f"The authors resize by {look.resize}; the embedder resizes by bicubic.")
    return found


def manifest(named: NamedModel, space: str, process: TrialProcess, seen: Preprocessing) -> str:
    """Return the text of a manifest of deploy/triton/triton_engine/backbones, without the graph's
    hash."""
    facts, look = process.facts, parity.served(seen.look)
    pixels: dict[str, object] = {
        "size": facts.side,
        "crop": look.crop,
        "mean": look.mean,
        "scale": look.scale,
    }
    if look.channels != "RGB":
        pixels["channels"] = look.channels
    if look.fit is Fit.PAD:
        pixels["preprocessing"] = PreprocessStep.CROP_PAD.value
    stated: dict[str, Mapping[str, object]] = {
        "": {"title": named.title, "space": space},
        "weights": {
            "path": f"{named.name}.onnx",
            "sha256": hashlib.sha256(process.part).hexdigest(),
            "licence": named.licence,
            "trained_on": named.trained_on,
        },
        "network": {
            "family": "onnx",
            "input": facts.image,
            "layout": facts.layout,
            "output": facts.vector,
            "dimension": facts.dimension,
        },
        "input": pixels,
        "graph": {"sha256": ZEROS},
    }
    lines = [f"# {line}" for line in ("Written by `sightline models bring`.", *notes(seen))]
    for table, values in stated.items():
        lines += ["", f"[{table}]"] if table else []
        # A text, a number or a list of numbers is written equally in JSON and TOML.
        lines += [f"{key} = {json.dumps(v, ensure_ascii=False)}" for key, v in values.items()]
    return "\n".join(lines) + "\n"


def _named(options: Mapping[str, Any]) -> NamedModel:
    name = options["name"]
    if not NAME.fullmatch(name):
        raise ModelRefused(
            Refusal.MANIFEST,
            f"{name!r} is no name of a model: small letters, digits and _, a letter first",
        )
    texts = {key: options.get(key) or name for key in ("title", "licence", "trained_on")}
    for key, text in texts.items():
        if not PLAIN.fullmatch(text):
            raise ModelRefused(
                Refusal.MANIFEST, f"{key} may have 1 to 200 characters, without quotes, \\ and $"
            )
    return NamedModel(name, **texts)


def _compared(look: Look, process: TrialProcess, options: Mapping[str, Any]) -> ParityReport:
    """Compare with the reference. Raises ModelRefused if the vectors are not alike."""
    folder = Path(options["reference_photos"])
    photos = [path for path in folder.iterdir() if path.is_file()]
    reference = parity.read_reference(Path(options["reference"]), photos)

    def embed(photo: bytes, looks: Sequence[Look]) -> Any:
        found = process.embed(photo, looks)
        return None if found is None else found.vectors

    report = parity.compared(look, reference, embed)
    if report.mean < options["least_cosine"]:
        raise ModelRefused(Refusal.PARITY, _unlike(report, options["least_cosine"]))
    return report


def _unlike(report: ParityReport, least: float) -> str:
    """Return why the vectors are not alike."""
    worst = min(report.cosines, key=lambda name: report.cosines[name])
    text = (
        f"the vectors of {len(report.cosines)} photos agree with the reference by a mean cosine of"
        f" {report.mean:.4f}, below {least:g} (worst: {worst} {report.cosines[worst]:.4f})"
    )
    if not report.differing:
        return (
            f"{text}. No other preprocessing is nearer: check that the reference is of this tensor"
            " and of these photos"
        )
    found = report.nearest
    ways = {
        "mean and std": f"--rescale 1 --mean {_said(found.mean)} --std {_said(found.scale)}",
        "order of channels": f"--channels {found.channels}",
        "crop": f"{found.fit}, --crop {found.crop:g}",
        "resize filter": f"{found.resize}",
    }
    likely = "; ".join(f"{step} ({ways[step]})" for step in report.differing)
    text += f". With another {likely} it would be {report.nearest_mean:.4f}"
    if found != parity.served(found):
        text += (
            f"; the embedder resizes by bicubic and never squashes, so with these options it is"
            f" {report.reached:.4f}, which --least-cosine can accept"
        )
    return text


def _said(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)


def _held(
    photos: Sequence[Mapping[str, str]],
    brought: TriedModel,
    beside: TriedModel,
    options: Mapping[str, Any],
    progress: Callable[[int, int], None],
) -> Mapping[str, Any]:
    seed = options.get("seed", 0)
    chosen = held_photos.sampled(
        held_photos.labelled(photos), options.get("most_photos", 2000), seed
    )
    try:
        return asdict(held_photos.held(chosen, brought, beside, seed=seed, tell=progress))
    except FitInvalid as error:
        raise ModelRefused(Refusal.PHOTOS, str(error)) from error


def _check_free(path: Path, text: str) -> None:
    """Raise ModelRefused if there is no folder, or the manifest exists and is of another model."""
    if not path.parent.is_dir():
        raise ModelRefused(
            Refusal.MANIFEST,
            f"{path.parent} is no folder: run the command in a clone of the project, or give --to",
        )
    known = path.read_text() if path.exists() else text
    if re.sub(r'(?m)(\[graph\]\nsha256 = ")[0-9a-f]{64}', rf"\g<1>{ZEROS}", known) != text:
        raise ModelRefused(
            Refusal.MANIFEST, f"{path} is of another model: give another --name, or delete it"
        )


def _check_same(path: Path, part: bytes) -> None:
    """Raise ModelRefused if the file exists and has other bytes, which would be lost."""
    if path.exists() and (path.stat().st_size != len(part) or path.read_bytes() != part):
        raise ModelRefused(
            Refusal.MANIFEST,
            f"{path} exists and is another file: give another --name, or move the file away",
        )
