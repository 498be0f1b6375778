"""``sightline photos``"""

from typing import Annotated

from rich.text import Text

from sightline.retriever.v1 import photo_service_pb2
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import grids, listings, tables
from sightline_client.convert import from_wire

app = Commands(no_args_is_help=True, help="Take down photos that must no longer be shown.")

ImageId = Annotated[
    str,
    options.argument(
        "IMAGE", "Image id: the SHA-256 of the photo's bytes, as shown with products."
    ),
]


@app.command("take-down")
def take_down(
    *,
    image: ImageId,
    reason: Annotated[str, options.words(metavar="TEXT", help="Reason, stored in the list.")] = "",
    suite: Suite,
) -> None:
    """Take a photo down, at once: remove it from its products, the index and the store of photos.

    Its products stay. The same photo is rejected until the takedown is lifted. Earlier backups
    still hold it: delete them with `sightline backup delete` if they must not.

    [bold]Example[/bold]

      sightline photos take-down 0a5f0c7bd4a8a9d0a1d8a4c9e9cf4b3e2d1c0b9a8f7e6d5c4b3a291807f6e5d4
    """
    suite.call(
        lambda calls: calls.admin.TakeDownPhoto,
        photo_service_pb2.TakeDownPhotoRequest(
            catalog_id=suite.catalog, image_id=image, reason=reason
        ),
        _taken_down,
    )


def _taken_down(message: photo_service_pb2.TakeDownPhotoResponse) -> Text:
    had = tables.counted(len(message.product_ids), "product", "products")
    some = ", ".join(grids.plain(item) for item in message.product_ids[:20])
    return Text(_("taken down; {had} had it. {some}", had=had, some=some).rstrip())


@app.command()
def lift(*, image: ImageId, suite: Suite) -> None:
    """Allow a photo that was taken down to be stored again. It is not restored.

    [bold]Example[/bold]

      sightline photos lift 0a5f0c7bd4a8a9d0a1d8a4c9e9cf4b3e2d1c0b9a8f7e6d5c4b3a291807f6e5d4
    """
    suite.call(
        lambda calls: calls.admin.LiftTakedown,
        photo_service_pb2.LiftTakedownRequest(catalog_id=suite.catalog, image_id=image),
        lambda answer: Text(_("may be stored again") if answer.lifted else _("was not taken down")),
    )


@app.command("taken-down")
def taken_down(*, top: options.Newest = 20, suite: Suite) -> None:
    """List the photos that were taken down, by their ids.

    [bold]Example[/bold]

      sightline photos taken-down --top 100
    """
    suite.call(
        lambda calls: calls.admin.ListTakedowns,
        photo_service_pb2.ListTakedownsRequest(catalog_id=suite.catalog, page_size=top),
        lambda answer: listings.takedowns([from_wire.takedown(one) for one in answer.takedowns]),
    )
