"""Check of a model that a shop brings, without a suite, by an installed package.

The package registers a function under the entry point group ``sightline.bring``::

    bring(file, options, photos, *, progress) -> report

`file`: the ONNX file; `options`: those of the command by name; `photos`: the shop's, each with
`path`, `product` and perhaps `upload`; `progress`: called with the photos done and their number.
The report is JSON. It raises ValueError with a `reason` if the model can't be served. In a clone of
the project, the embedder is such a package.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from sightline_client.cli.language import _
from sightline_client.cli.work.entry_points import registered
from sightline_client.files.accounts import accounted
from sightline_client.files.model import FileRefused
from sightline_client.files.opening import open_table

GROUP: Final = "sightline.bring"
COLUMNS: Final = ("photo", "product", "upload")

Photos = Sequence[Mapping[str, str]]


class Bring(Protocol):
    """Interface of the package that checks models."""

    def __call__(
        self,
        file: Path,
        options: Mapping[str, Any],
        photos: Photos,
        *,
        progress: Callable[[int, int], None],
    ) -> Mapping[str, Any]: ...


def checker() -> Bring:
    """Return the installed checker. FileRefused, with how to fix it, without one."""
    found: Bring = registered(
        GROUP,
        _("no package that checks models is installed"),
        _("use a clone of the project, where `make setup` installs it"),
    )
    return found


def read_photos(path: Path) -> Photos:
    """Return the photos of a folder with a folder for each product, or of a table of COLUMNS whose
    photos are paths from its folder. FileRefused for an invalid row."""
    if path.is_dir():
        files = (each for each in sorted(path.rglob("*")) if each.is_file())
        return [
            {"path": str(each), "product": each.relative_to(path).parts[0]}
            for each in files
            if each.parent != path and not each.name.startswith(".")
        ]
    return _of_table(path)


def _of_table(path: Path) -> Photos:
    table = open_table(path, columns=COLUMNS, needed=COLUMNS[:2])
    found = []
    try:
        for row in accounted(table):
            cells = {name: str(row.cells.get(name) or "") for name in COLUMNS}
            photo = path.parent / cells["photo"]
            if row.error is not None or not cells["product"] or not photo.is_file():
                raise FileRefused(
                    _(
                        "{name}, row {number}: there is no photo {photo}, or it has no product",
                        path,
                        number=row.number,
                        photo=cells["photo"],
                    ),
                    _("write a photo's path from the table's folder, and its product, in each row"),
                )
            upload = {"upload": cells["upload"]} if cells["upload"] else {}
            found.append({"path": str(photo), "product": cells["product"], **upload})
    finally:
        table.close()
    return found
