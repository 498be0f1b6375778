"""``sightline photos``"""

from rich.text import Text

from sightline.retriever.v1 import photo_service_pb2
from sightline_client.cli.language import _
from sightline_client.cli.show import grids, listings, tables
from sightline_client.cli.work.plain_commands import NEWEST, PlainCommands, argument, text
from sightline_client.convert import from_wire

app = PlainCommands(help="Take down photos that must no longer be shown.")
_PHOTO = "0a5f0c7bd4a8a9d0a1d8a4c9e9cf4b3e2d1c0b9a8f7e6d5c4b3a291807f6e5d4"
_IMAGE = argument(
    "image",
    "IMAGE",
    "Image id: the SHA-256 of the photo's bytes, as shown with products.",
    to="image_id",
)


def _taken_down(message: photo_service_pb2.TakeDownPhotoResponse) -> Text:
    had = tables.counted(len(message.product_ids), "product", "products")
    some = ", ".join(grids.plain(item) for item in message.product_ids[:20])
    return Text(_("taken down; {had} had it. {some}", had=had, some=some).rstrip())


app.message(
    "take-down",
    """Take a photo down, at once: remove it from its products, the index and the store of photos.

    Its products stay. The same photo is rejected until the takedown is lifted. Earlier backups
    still hold it: delete them with `sightline backup delete` if they must not.""",
    f"photos take-down {_PHOTO}",
    "admin.TakeDownPhoto",
    _IMAGE,
    text("reason", "TEXT", "Reason, stored in the list."),
    shows=_taken_down,
)
app.message(
    "lift",
    "Allow a photo that was taken down to be stored again. It is not restored.",
    f"photos lift {_PHOTO}",
    "admin.LiftTakedown",
    _IMAGE,
    shows=lambda answer: Text(
        _("may be stored again") if answer.lifted else _("was not taken down")
    ),
)
app.rows(
    "taken-down",
    "List the photos that were taken down, by their ids.",
    "photos taken-down --top 100",
    "admin.ListTakedowns",
    NEWEST,
    reads=from_wire.takedown,
    shows=listings.takedowns,
)
