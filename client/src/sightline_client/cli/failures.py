"""Explain errors and how to fix them."""

import re
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, TypeAlias

import grpc
from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show.grids import plain
from sightline_client.errors import SightlineError
from sightline_client.files.model import FileRefused

_OPTIONS = (
    (re.compile(r"^signals\[(\d+)\]\.image"), "--image"),
    (re.compile(r"^signals\[(\d+)\]\.text"), "--text"),
    (re.compile(r"^signals\[(\d+)\]\.product_id"), "--product"),
    (re.compile(r"^signals"), "--image, --text, --product"),
    (re.compile(r"^shopper\.user_id"), "--user"),
    (re.compile(r"^shopper\.visitor_id"), "--visitor"),
    (re.compile(r"^page_size"), "--top"),
    (re.compile(r"^scene"), "--scene"),
    (re.compile(r"^catalog_id"), "--catalog"),
    (re.compile(r"^filter"), "--filter"),
    (re.compile(r"^import_id"), "--import-id"),
    (re.compile(r"^mode"), "--mode"),
    (re.compile(r"^backup_id"), "BACKUP"),
    (re.compile(r"^source_catalog_id"), "--from"),
    (re.compile(r"^force"), "--force"),
)
"""The contract's field → the option that sets it."""

FIXES = MappingProxyType(
    {
        "GATEWAY_UNREACHABLE": "start the suite: `make up`, or name the gateway with --target",
        "HTTP_PORT": "name the gateway's port for gRPC with --target, by default 127.0.0.1:8600",
        "TOKEN_MISSING": "give the file of your token with --token-file; the operator of the "
        "suite creates one: `sightline keys new --name NAME --roles read`",
        "TOKEN_INVALID": "use a token that has not expired and whose key is in GATEWAY_KEYS_FILE, "
        "or create one: `sightline keys new --name NAME --roles read`",
        "ROLE_MISSING": "use a token with one of these roles, or have the role added to `roles` "
        "of its"
        " key in the gateway's GATEWAY_KEYS_FILE",
        "CATALOG_FORBIDDEN": "name a catalog of your token with --catalog, or have this one added"
        " to `catalogs` of its key in the gateway's GATEWAY_KEYS_FILE",
        "ADMIN_PORT_ONLY": "name the gateway's administrative port (its GATEWAY_ADMIN_PORT) with"
        " --target",
        "CATALOG_NOT_FOUND": "name a catalog that is set up with --catalog; `sightline config"
        " check` tries the default one",
        "SCENE_NOT_FOUND": "leave --scene out, or use one that `sightline status` lists",
        "PRODUCT_NOT_FOUND": "use a product id that `sightline products list` shows",
        "IMAGE_UNDECODABLE": "use a complete file in a supported format: JPEG, PNG, WebP, GIF,"
        " AVIF, HEIC, TIFF or BMP",
        "IMAGE_TOO_LARGE": "shrink the photo: 10 MiB and 50 megapixels at most, 25 to search by;"
        " 448 pixels on the short side are plenty",
        "IMAGES_TOO_LARGE": "shrink the photos, or send fewer: together they may have 40 megapixels"
        " unless the embedder's EMBEDDER_MAX_REQUEST_PIXELS says otherwise",
        "SPACE_UNAVAILABLE": "use a version that `sightline spaces list` shows; leave out signals "
        "that none of these spaces supports",
        "FILTER_INVALID": "fix the named condition; `sightline recommend --help` has the"
        " fields and operators",
        "SPACE_NOT_FOUND": "use a version that `sightline spaces list --all` shows",
        "MODEL_NOT_FOUND": "use a version that `sightline models list` shows",
        "EXPERIMENT_NOT_FOUND": "use a name that `sightline experiments list` shows",
        "EVALUATION_NOT_FOUND": "measure it: `sightline models evaluate VERSION`",
        "MODEL_UNPROVEN": "look at the evidence: `sightline models evaluate VERSION --show`;"
        " --force promotes it anyway",
        "JOB_NOT_FOUND": "use an id that `sightline jobs list` shows",
        "TRAINING_DATA_INSUFFICIENT": "import more events, of products that are there:"
        " `sightline products import FILE`, then `sightline events import FILE`",
        "IMPORT_DELETES_TOO_MUCH": "check that the file is complete; if it is, run the command "
        "again with --force",
        "BACKUP_NOT_FOUND": "use one that `sightline backup list` shows; --from names the catalog "
        "it was made of",
        "BACKUP_CATALOG_MISMATCH": "name the catalog of the backup with --from",
        "BACKUP_VERSION_UNSUPPORTED": "restore it with the version that wrote it, or a newer one",
        "BACKUP_DAMAGED": "create another backup, `sightline backup create`: this file was "
        "changed after it was written",
        "BACKUP_UNSIGNED": "restore it where its signing key is configured; --accept-unsigned "
        "restores it anyway, if you trust its origin",
        "AUDIT_SEAL_MISMATCH": "name the archive with the oldest entries that are still stored; see"
        " whether the chain is whole: `sightline audit verify`",
        "AUDIT_TERM": "drop an archive of older entries: `sightline audit archive FOLDER --before"
        " TIME`",
        "VISITOR_PROOF_INVALID": "give --proof, which `sightline events visitor` shows with the id;"
        " a key with the role privacy needs none",
        "CATALOG_NOT_EMPTY": "restore into an empty --catalog, or with --force, which deletes the"
        " products that the backup does not hold",
        "URI_FORBIDDEN": "use an http(s) address that the suite's settings allow, or a file",
        "NOTHING_AVAILABLE": "try again in a moment; `sightline status` says what is down",
        "ANSWER_DEGRADED": "try again in a moment, or accept a lower quality, without "
        "--min-answer-quality; `sightline status` says what is down",
        "INTERNAL": "a fault in the suite, not in your request: see the logs of its services;"
        " after `make up` they are in DATA/logs",
    }
)
"""Reason → what to do about it."""

FIXES_BY_CODE = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "raise --timeout; `sightline status` says"
    " what is slow or down",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "send less per call: at most 12 MiB per query, 32 MiB per "
    "batch of products",
    grpc.StatusCode.UNAVAILABLE: "try again in a moment; `sightline status` says what is down",
    grpc.StatusCode.UNIMPLEMENTED: "the gateway is older than this client: update it",
}


Reported: TypeAlias = SightlineError | FileRefused | OSError
"""Errors that end a command."""


def explain(error: Reported) -> RenderableType:
    """Show an error, each invalid field with its option, and the fix."""
    found = facts(error)
    lines = [Text.assemble((plain(found["reason"]), "bold red"), f": {plain(found['detail'])}")]
    for violation in found.get("fieldViolations", ()):
        option = _option(violation["field"])
        where = f"{option} ({violation['field']})" if option else violation["field"]
        lines.append(Text(f"  {plain(where)}: {plain(violation['description'])}"))
    if advice := found.get("fix"):
        lines.append(Text.assemble((_("Fix: "), "bold"), plain(advice)))
    if seconds := found.get("retryAfterSeconds"):
        wait = _("The suite asks to wait {seconds:g} s before retrying.", seconds=seconds)
        lines.append(Text(wait))
    return Group(*lines)


def facts(error: Reported) -> dict[str, Any]:
    """Return an error with the members that a problem has over HTTP."""
    if isinstance(error, FileRefused):
        return {"reason": "FILE_REFUSED", "detail": str(error), "fix": error.fix}
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return {"reason": "FILE_UNUSABLE", "detail": f"{name}{error.strerror or error}"}
    found: dict[str, Any] = {
        "reason": error.reason or error.code.name,
        "code": error.code.name,
        "detail": error.message,
    }
    if error.violations:
        found["fieldViolations"] = [asdict(each) for each in error.violations]
    if advice := fix(error):
        found["fix"] = advice
    if error.retry_after is not None:
        found["retryAfterSeconds"] = error.retry_after.total_seconds()
    if error.failure.metadata:
        found["metadata"] = dict(error.failure.metadata)
    return found


def fix(error: SightlineError) -> str:
    """Say how to fix an error; "" = not known."""
    known = FIXES.get(error.reason) or FIXES_BY_CODE.get(error.code)
    return _(known) if known else ""


def _option(field: str) -> str:
    return next((option for pattern, option in _OPTIONS if pattern.match(field)), "")
