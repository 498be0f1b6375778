"""``sightline index rebuild``"""

from typing import Annotated

from sightline_client.cli.base import options
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.work import following


def rebuild(
    *,
    space: Annotated[str, options.words(metavar="SPACE", help="The space to rebuild.")] = "visual",
    wait: options.Wait = True,
    suite: Suite,
) -> None:
    """Make an index that lost its data hold again what the record says.

    No photo is embedded again. It ends when the index holds everything.

    [bold]Examples[/bold]

      sightline index rebuild

      sightline index rebuild --space visual --catalog shop
    """
    following.carry_out(suite, lambda client: client.rebuild_index(space=space), wait=wait)
