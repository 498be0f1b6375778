"""Writes the Helm chart: `python -m deploy.chart.generate` (`make chart`).

The overlay production-own-milvus is rendered by kustomize with placeholders in its
installation.yaml, once as it is and once for each switch of the chart. Where a placeholder arrives,
the template has the value; where a document differs, it has both, and asks the switch.
"""

from __future__ import annotations

import argparse
import copy
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.chart import overlays, values
from deploy.chart.overlays import ROOT, TOGGLES, Document
from deploy.chart.templates import WIDTH, Templates, conditional, has_settings
from deploy.chart.values import RESOURCES, ROLES, SETTING, VALUES, Value

Identity = tuple[str, str]
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


def variants() -> tuple[dict[Identity, Document], dict[str, dict[Identity, Document]]]:
    """Return the overlay's documents, and those with each of TOGGLES turned over."""
    marks = {key: f"@@{key}@@" for key in overlays.installation()}
    turned = {name: by_name(overlays.rendered(marks, name)) for name in TOGGLES}
    return by_name(overlays.rendered(marks)), turned


def written(templates: Templates) -> dict[str, str]:
    """Return the templates by the names of their files."""
    base, turned = variants()
    found, helpers = {}, []
    for key in {**base, **{key: None for each in turned.values() for key in each}}:
        switches = [name for name, its in turned.items() if its.get(key) != base.get(key)]
        if len(switches) > 1:
            raise SystemExit(f"{key} depends on {' and '.join(switches)}: nest them")
        name = switches[0] if switches else ""
        pair = (base.get(key), turned[name].get(key) if name else None)
        found[f"{key[0]}-{key[1]}.yaml".lower()] = _text(pair, name, templates.of)
        if has_settings(pair[0] or pair[1] or {}):
            data = _text(pair, name, templates.data)
            head = f'{{{{- define "sightline.settings.{key[1]}" }}}}\n'
            helpers.append(f"{head}{data}{{{{- end }}}}\n")
    return {**found, "_settings.tpl": "".join(helpers)}


Pair = tuple[Document | None, Document | None]
"""A document as the overlay has it, and with a switch turned over."""


def _text(pair: Pair, switch: str, write: Callable[[Document], str]) -> str:
    """Return what `write` makes of a document, or of both of them."""
    usual, other = (None if each is None else write(copy.deepcopy(each)) for each in pair)
    if not switch:
        return usual or ""
    on, off = (usual, other) if TOGGLES[switch][1] else (other, usual)
    return conditional(on, off, f"{switch}.enabled")


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
