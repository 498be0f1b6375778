"""Writes the Helm chart: `python -m deploy.chart.generate` (`make chart`).

The overlay production-own-milvus is rendered by kustomize with placeholders in its
installation.yaml, once as it is and once for each switch of the chart, and these once more with the
optional service. Where a placeholder arrives, the template has the value; where a document differs,
it has both, and asks the switch.
"""

from __future__ import annotations

import argparse
import copy
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deploy.chart import overlays, values
from deploy.chart.overlays import ROOT, TOGGLES, Document
from deploy.chart.templates import WIDTH, Templates, conditional, has_settings
from deploy.chart.values import RESOURCES, ROLES, SETTING, VALUES, Value

Identity = tuple[str, str]
OPTIONAL = "vision"
"""The switch of the optional service."""
HERE = Path(__file__).parent
OUT = ROOT / "dist/chart"
NAME = "sightline"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _literal(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
    )


_Dumper.add_representer(str, _literal)


def dump(document: Any) -> str:
    """Return YAML with keys in their order."""
    made: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=WIDTH)
    return made


def version() -> str:
    """Return the release."""
    pyproject = (ROOT / "pyproject.toml").read_text()
    return pyproject.partition('\nversion = "')[2].partition('"')[0]


def by_name(documents: list[Document]) -> dict[Identity, Document]:
    return {(each["kind"], each["metadata"]["name"]): each for each in overlays.plain(documents)}


Turned = frozenset[str]
"""The switches that are turned over."""
ALONE: tuple[Turned, ...] = (frozenset(), frozenset([OPTIONAL]))
"""Without the optional service, and with it: every other switch is turned in both."""


def variants() -> dict[Turned, dict[Identity, Document]]:
    """Return the overlay's documents, and those with switches turned over."""
    marks = {key: f"@@{key}@@" for key in overlays.installation()}
    turned = {*ALONE, *(each | {name} for each in ALONE for name in TOGGLES)}
    return {each: by_name(overlays.rendered(marks, *sorted(each))) for each in turned}


def written(templates: Templates) -> dict[str, str]:
    """Return the templates by the names of their files."""
    made, found, helpers = variants(), dict[str, str](), list[str]()
    for key in sorted({key for each in made.values() for key in each}):
        documents = {turned: its.get(key) for turned, its in made.items()}
        found[f"{key[0]}-{key[1]}.yaml".lower()] = _text(documents, templates.of)
        if has_settings(next(each for each in documents.values() if each)):
            head = f'{{{{- define "sightline.settings.{key[1]}" }}}}\n'
            helpers.append(f"{head}{_text(documents, templates.data)}{{{{- end }}}}\n")
    return {**found, "_settings.tpl": "".join(helpers)}


def _text(documents: Mapping[Turned, Document | None], write: Callable[[Document], str]) -> str:
    """Return what `write` makes of a document, which asks the switches that it depends on."""
    switches = [
        name
        for name in TOGGLES
        if any(documents[each] != documents[each | {name}] for each in ALONE)
    ]
    if len({*switches} - {OPTIONAL}) > 1:
        raise SystemExit(f"a document depends on {' and '.join(switches)}: nest them")
    return _nested(documents, switches, frozenset(), write) or ""


def _nested(
    documents: Mapping[Turned, Document | None],
    switches: Sequence[str],
    turned: Turned,
    write: Callable[[Document], str],
) -> str | None:
    """Return the text of a document with some switches turned, for both positions of others."""
    if not switches:
        one = documents[turned]
        return None if one is None else write(copy.deepcopy(one))
    first, *others = switches
    usual = _nested(documents, others, turned, write)
    other = _nested(documents, others, turned | {first}, write)
    if usual is other is None:
        return None
    on, off = (usual, other) if TOGGLES[first][1] else (other, usual)
    return conditional(on, off, f"{first}.enabled")


def chart(folder: Path) -> Path:
    """Write the chart into a folder of its name, and return that."""
    fixed = {f"@@{each.given}@@": values.template(each.path) for each in VALUES if each.given}
    templates = Templates(fixed)
    files = written(templates)
    described = (
        *values.of_images(VALUES, sorted(templates.images)),
        values.each("replicas", "Numbers of pods.", values.COUNT, templates.replicas),
        values.each("resources", "Requests and limits.", RESOURCES, templates.resources),
        values.each("secrets", "Names of the Secrets.", values.NEEDED, templates.secrets),
        values.each("settings", "Settings to add or replace.", SETTING, templates.settings),
        values.each("serviceAccountAnnotations", ROLES, SETTING, templates.accounts),
    )  # fmt: skip
    place = folder / NAME
    shutil.rmtree(place, ignore_errors=True)
    (place / "templates").mkdir(parents=True)
    for name, text in files.items():
        (place / "templates" / name).write_text(text)
    for name in ("_helpers.tpl", "NOTES.txt"):
        shutil.copy(HERE / name, place / "templates" / name)
    shutil.copy(ROOT / "LICENSE", place)
    (place / "Chart.yaml").write_text(
        (HERE / "Chart.yaml").read_text() + f"version: {version()}\nappVersion: {version()}\n"
    )
    (place / "values.yaml").write_text(values.text(described, dump))
    (place / "values.schema.json").write_text(json.dumps(values.schema(described), indent=1) + "\n")
    (place / "values.example.yaml").write_text(example(overlays.installation()))
    return place


def example(given: Mapping[str, str]) -> str:
    """Return the values that a shop has to give, those of the overlay's installation.yaml."""
    needed = [
        Value(
            each.path,
            each.text,
            each.schema,
            [given[each.given]] if each.path == "hosts" else given[each.given],
        )
        for each in VALUES
        if each.given
    ]
    return dump(values.defaults(needed))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.chart.generate", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the chart's folder")
    print(chart(parser.parse_args().out))


if __name__ == "__main__":
    main()
