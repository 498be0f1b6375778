"""The screen "Import": a file of products, its columns, and what became of its rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.responses import PlainTextResponse, Response

from sightline_client.cli.language import _
from sightline_client.errors import SightlineError
from sightline_client.files import products
from sightline_client.files.photos import SUFFIXES as PHOTO_SUFFIXES
from sightline_client.transport.threads import in_thread
from sightline_console.screens import product_files, product_photos
from sightline_console.screens.product_files import MOST_BYTES, Chosen, FileUnread, Progress
from sightline_console.screens.sign_in import ROLE_MISSING, admitted_form
from sightline_console.screens.visit import Visit, text_of
from sightline_console.web import forms
from sightline_console.web.addresses import address, segment

PATH = "/import"
FILE, REJECTED = "import", "rejected"
"""Kinds of kept files."""
NOT = "-"
"""Stands for a column that is left out."""
EDITED = 2**16
"""Maximum bytes of rejected rows that are edited on the page."""


@dataclass(frozen=True, slots=True)
class _Upload:
    """A kept file, and how it is to be read."""

    file_id: str
    name: str
    chosen: Chosen
    photos_id: str = ""
    """Id of the photos beside it; empty: there are none."""

    def address(self, path: str) -> str:
        """Return the address of a page about it."""
        columns = self.chosen.columns or {}
        named = [(f"c:{theirs}", ours or NOT) for theirs, ours in columns.items()]
        about = [
            *(("file", self.file_id), ("name", self.name), ("photos", self.photos_id)),
            ("currency", self.chosen.currency),
        ]
        meant = [(f"v:{value}", meaning) for value, meaning in self.chosen.values.items()]
        return address(path, [*about, *named, *meant])


async def show(visit: Visit) -> Response:
    """Show the form for a file, or the columns of the file of the address."""
    query = visit.request.query_params
    if not query.get("file"):
        return _page(visit)
    upload = _upload(query)
    if visit.kept(FILE, upload.file_id) is None:
        return _page(visit, _("This file is not kept any more: choose it again."), 400)
    return await _shown(visit, upload)


async def _shown(visit: Visit, upload: _Upload, trouble: str = "") -> Response:
    """Show the columns of a kept file. `trouble`: with its photos."""
    if upload.photos_id and visit.packed(upload.photos_id) is None:
        trouble = _("The photos are not kept any more: choose them again.")
        upload = replace(upload, photos_id="")
    try:
        status = 400 if trouble else 200
        return _columns(visit, upload, await _previewed(visit, upload), trouble, status)
    except FileUnread as error:
        problem = str(error)
    if upload.chosen.columns is None:
        return _page(visit, problem, 400)
    try:
        proposed = replace(upload, chosen=Chosen(currency=upload.chosen.currency))
        return _columns(visit, upload, await _previewed(visit, proposed), problem, 400)
    except FileUnread as error:
        return _page(visit, str(error), 400)


async def _previewed(visit: Visit, upload: _Upload) -> product_files.Preview:
    content = visit.kept(FILE, upload.file_id) or b""
    visit.limit.reschedule(None)  # the suite is not called
    async with visit.console.reading:
        photos = visit.packed(upload.photos_id)
        return await in_thread(product_files.preview, upload.name, content, upload.chosen, photos)


def _upload(given: Mapping[str, str]) -> _Upload:
    """Return the file of an address, with its columns `c:NAME` and values `v:COLUMN:VALUE`."""
    columns = {
        key[2:]: "" if value == NOT else value for key, value in given.items() if key[:2] == "c:"
    }
    values = {key[2:]: each.strip() for key, each in given.items() if key[:2] == "v:"}
    meant = {value: meaning for value, meaning in values.items() if meaning}
    return _Upload(
        given.get("file", ""),
        given.get("name", ""),
        Chosen(columns or None, given.get("currency", "").strip().upper(), meant),
        given.get("photos", ""),
    )


def _page(visit: Visit, problem: str = "", status: int = 200) -> Response:
    return visit.page(
        "import",
        status,
        problems={"file": problem} if problem else {},
        suffixes=", ".join(product_files.SUFFIXES),
        most=MOST_BYTES // 2**20,
        photo_kinds=_photo_kinds(),
    )


def _photo_kinds() -> str:
    """Return what a form takes as photos, as its field names them."""
    return ",".join((*sorted(PHOTO_SUFFIXES), product_photos.ZIP))


def _columns(
    visit: Visit,
    upload: _Upload,
    found: product_files.Preview,
    problem: str = "",
    status: int = 200,
) -> Response:
    products_, problems = [], []
    for number, each in found.rows:
        if isinstance(each, SightlineError):
            problems.append((number, text_of(each)))
        else:
            products_.append(each)
    return visit.page(
        "import_columns",
        status,
        upload=upload,
        found=found,
        columns=found.columns,
        held=json.dumps(dict(found.columns)),
        meant=json.dumps(dict(upload.chosen.values)),
        nothing=NOT,
        photos=visit.packed(upload.photos_id),
        photo_kinds=_photo_kinds(),
        products=products_,
        problems=problems,
        problem=problem,
        needed=products.NEEDED,
    )


async def act(visit: Visit) -> Response:
    """Keep a file that is sent, or photos beside one, or begin its import."""
    most_files = product_photos.MOST_FILES + 2  # an empty field is a file without name
    try:
        form = await admitted_form(visit, forms.PHOTOS, ROLE_MISSING, most_files=most_files)
    except forms.TooLarge:
        return _page(visit, _("The file is too large: import it by the command."), 413)
    except forms.TooMany:
        most = product_photos.MOST_FILES
        text = _("Choose at most {most} photos, or pack them in a zip.", most=most)
        return _page(visit, text, 413)
    act, fields = form.fields.get("act"), form.fields
    if act == "import":
        return await _begin(visit, fields)
    if act == "photos":
        upload = _Upload(
            *(fields.get("file", ""), fields.get("name", "")),
            *(_chosen(fields), fields.get("photos", "")),
        )
        if visit.kept(FILE, upload.file_id) is None:
            return _page(visit, _("This file is not kept any more: choose it again."), 400)
        return await _with_photos(visit, upload, form)
    if act == "edited":
        content = fields.get("rows", "").encode()
        name, chosen = fields.get("name", ""), _chosen(fields)
    else:
        content, name = form.files.get("file", b""), form.names.get("file", "")
        chosen = Chosen()
    if not content or len(content) > MOST_BYTES:
        status = 413 if content else 400
        return _page(
            visit, _("Choose a file of at most {most} MiB.", most=MOST_BYTES >> 20), status
        )
    try:
        product_files.suffix_of(name)
    except FileUnread as error:
        return _page(visit, _("Choose a file of one of these kinds: {kinds}", kinds=error), 400)
    upload = _Upload(visit.keep(FILE, content), name, chosen, fields.get("photos", ""))
    return await _with_photos(visit, upload, form)


async def _with_photos(visit: Visit, upload: _Upload, form: forms.Form) -> Response:
    """Keep the photos of a form beside a kept file, and lead to its columns."""
    sent = form.several.get("photos", [])
    if sent:
        try:
            async with visit.console.reading:
                photos = await in_thread(product_photos.packed, sent)
        except product_photos.PhotosRefused as error:
            return await _shown(visit, upload, str(error))
        upload = replace(upload, photos_id=visit.keep_packed(photos))
    return visit.go(upload.address(PATH))


async def _begin(visit: Visit, fields: Mapping[str, str]) -> Response:
    """Import a kept file."""
    chosen = _chosen(fields)
    content, session = visit.kept(FILE, fields.get("file", "")), visit.session
    if content is None or session is None:
        return _page(visit, _("This file is not kept any more: choose it again."), 400)
    photos_id = fields.get("photos", "")
    photos = visit.packed(photos_id)
    if photos_id and photos is None:
        chosen_again = _Upload(fields.get("file", ""), fields.get("name", ""), chosen, photos_id)
        return await _shown(visit, chosen_again)
    progress = Progress(fields.get("name", ""), chosen, visit.client.catalog, photos_id=photos_id)
    held = photos and photos.again()  # other photos may take their place meanwhile

    async def work() -> None:
        try:
            await product_files.bring(visit.client, content, progress, visit.console.reading, held)
        except SightlineError as error:
            progress.problem = text_of(error)
        finally:
            if held is not None:
                held.close()
            if progress.rejected:
                kept = visit.console.sessions.keep(session, REJECTED, progress.rejected)
                progress.rejected_id, progress.rejected = kept, b""
            progress.done = True

    try:
        task_id = visit.console.imports.begin(session.session_id, progress, work())
    except forms.FormRejected:
        if held is not None:
            held.close()
        raise
    return visit.go(f"{PATH}/{segment(task_id)}")


def _chosen(fields: Mapping[str, str]) -> Chosen:
    """Return the columns and values of a form, which has them as two fields: there may be many."""
    columns, values = (_pairs(fields.get(name) or "{}") for name in ("columns", "values"))
    return Chosen(columns or None, fields.get("currency", ""), values)


def _pairs(text: str) -> dict[str, str]:
    try:
        return {str(theirs): str(ours) for theirs, ours in json.loads(text).items()}
    except (ValueError, AttributeError, RecursionError):
        raise forms.FormRejected(400, _("The form can't be read.")) from None


async def follow(visit: Visit) -> Response:
    """Show how far an import is, and what became of its rows."""
    task_id = visit.request.path_params["task_id"]
    found = visit.console.imports.find(visit.session_id, task_id)
    problem = ""
    if found is None:
        problem = _("This import is not known any more.")
    elif found.catalog != visit.client.catalog:
        problem = _("This import is of the catalog {catalog}: choose that.", catalog=found.catalog)
    if found is None or problem:
        return visit.page("problem", 404, title=_("Not found"), reason="", text=problem)
    rows = visit.kept(REJECTED, found.rejected_id) or b""
    try:
        text = rows.decode("utf-8-sig") if len(rows) <= EDITED else ""
    except UnicodeDecodeError:
        text = ""
    columns = json.dumps(dict(found.chosen.columns or {}))
    values = json.dumps(dict(found.chosen.values))
    return visit.page("import_run", found=found, rows=text, columns=columns, values=values)


async def rejected(visit: Visit) -> Response:
    """Send the file of the rejected rows."""
    found = visit.console.imports.find(visit.session_id, visit.request.path_params["task_id"])
    content = visit.kept(REJECTED, found.rejected_id) if found else None
    if found is None or content is None:
        return PlainTextResponse("not kept any more\n", 404)
    headers = {"content-disposition": f'attachment; filename="{found.rejected_name}"'}
    return Response(content, 200, headers, "application/octet-stream")
