"""``sightline experiments``"""

import csv
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.text import Text

from sightline_client.cli.base import options, running
from sightline_client.cli.base.suite import PATIENT, Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import experiments as shown
from sightline_client.cli.show.tables import counted
from sightline_client.cli.work.plain_commands import Given, PlainCommands
from sightline_client.client import SightlineClient
from sightline_client.files.formulas import escape
from sightline_client.values.experiments import ExperimentUnit

app = PlainCommands(help="Show experiments: split tests of scenes.")

Name: TypeAlias = Annotated[str, options.argument("NAME", "The experiment.")]

app.call(
    "list",
    "List the experiments, latest start first.",
    "experiments list",
    SightlineClient.list_experiments,
    shows=shown.listing,
)
app.call(
    "show",
    """Show how the arms perform, and the conclusion. The intervals stay valid however often they
    are read.""",
    (
        "experiments show home-order",
        "experiments show home-order --json | jq '.arms[].verdict'",
    ),
    SightlineClient.experiment_report,
    Given("name", Name),
    shows=shown.report,
    suite=PATIENT,
)


@app.command()
def export(
    *,
    name: Name,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", dir_okay=False, help="CSV file to write.")
    ],
    suite: Suite = PATIENT,
) -> None:
    """Write the results of each counted unit to a CSV file. Unit ids are hashes that differ between
    experiments.

      sightline experiments export home-order units.csv
    """
    units = suite.run(lambda client: client.experiment_units(name))

    def write() -> None:
        with file.open("w", encoding="utf-8", newline="") as rows:
            table = csv.DictWriter(rows, [field.name for field in fields(ExperimentUnit)])
            table.writeheader()
            for unit in units:
                cells = asdict(unit) | {"exposure_time": unit.exposure_time.isoformat()}
                table.writerow(
                    {
                        name: escape(cell) if isinstance(cell, str) else cell
                        for name, cell in cells.items()
                    }
                )

    running.guarded(write)
    running.show(
        Text(_("{units} written to {file}.", units=counted(len(units), "unit", "units"), file=file))
    )
