"""``sightline synonyms``"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sightline.retriever.v1 import synonym_service_pb2 as pb
from sightline_client.cli.base import options, query, running
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show.grids import phrase
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import InvalidRequest
from sightline_client.files.model import FileRefused
from sightline_client.values.synonym_text import synonym_rules
from sightline_client.values.synonyms import Synonyms

app = Commands(
    no_args_is_help=True,
    help="Show and replace the words that mean the same to a catalog's shoppers.",
)

MOST_BYTES = 8 * 2**20
_RULE = re.compile(r"rules\[(\d+)\]")


@app.command()
def show(*, suite: Suite) -> None:
    """Show the synonyms of the catalog: a rule a line, as `synonyms set` reads them.

    sightline synonyms show > synonyms.txt
    """
    request = pb.GetSynonymsRequest(catalog_id=suite.catalog)
    found = suite.run(
        lambda client: client.calls(client.calls.admin.GetSynonyms, request, suite.timeout)
    )
    if suite.json:
        running.show_json(found)
        return
    lines = map(str, from_wire.synonyms(found).rules)
    running.show(Text("\n".join(lines) or _("# No synonyms.")), whole_lines=True)


@app.command("set")
def set_(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)],
    etag: Annotated[str, options.words(metavar="ETAG")] = "",
    suite: Suite,
) -> None:
    """Publish the synonyms of a file in place of all others. Searches use them within 2 seconds.
    An empty file removes all. `scenes versions _synonyms` shows what was published.

    sightline synonyms set synonyms.txt

    Args:
        file: A rule a line: `sneaker, trainer, running shoe` mean the same; `vino => wine`: vino
            also means wine. Empty lines, and what follows a #, are skipped.
        etag: Replace them only if they still have this etag, as shown with --json.
    """
    lines = _lines(file)
    rules = synonym_rules(lines)

    async def store(client: SightlineClient) -> Synonyms:
        try:
            return await client.set_synonyms([rule for _, rule in rules], etag=etag)
        except InvalidRequest as error:
            raise _by_line(error, [number for number, _ in rules]) from error

    suite.answer(
        store,
        lambda made: phrase("{rules:,} rules, etag {etag}", made, rules=len(made.rules)),
    )


def _by_line(error: InvalidRequest, numbers: list[int]) -> InvalidRequest:
    """Return the error with the lines of the file instead of the rules' indexes."""

    def line(match: re.Match[str]) -> str:
        place = int(match[1])
        return f"line {numbers[place]}" if place < len(numbers) else match[0]

    named = [
        replace(
            each, field=_RULE.sub(line, each.field), description=_RULE.sub(line, each.description)
        )
        for each in error.violations
    ]
    message = _RULE.sub(line, error.message)
    return InvalidRequest(replace(error.failure, message=message, violations=tuple(named)))


def _lines(file: Path) -> list[str]:
    def read() -> list[str]:
        if file.stat().st_size > MOST_BYTES:
            raise FileRefused(
                _("{file} has more than 8 MiB", file=file), _("Give at most 2,000 rules.")
            )
        return query.text(file).split("\n")

    return running.guarded(read)
