"""Advice of the command line on errors, and tests that follow each line of it.

`tests/live/shell/test_fixes.py` runs FOLLOWED, `tests/live/test_start.py` what starts and stops a
suite, and `tests/contracts/test_fixes.py` sees to it that no line of the code is left out.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPEAKERS = (
    ROOT / "client" / "src" / "sightline_client",
    ROOT / "deploy" / "local" / "local_suite",
)
"""Packages whose texts users read on the command line."""
COMMAND = re.compile(r"`((?:sightline|make|pip|du) [^`]+)`")


@dataclass(frozen=True, slots=True)
class Followed:
    """A fault, and the commands that its Fix line names. The test fills in `$name`."""

    reason: str
    """Its reason or, without one, its code."""
    fault: str
    """The command that fails with it."""
    typed: tuple[str, ...]
    """Every command that the line names, then the originally intended one; each ends with 0."""
    catalog: str = "fixes"


FOLLOWED = (
    Followed("SCENE_NOT_FOUND", "recommend --scene nope", ("status", "recommend --scene default")),
    Followed("PRODUCT_NOT_FOUND", "products get nope", ("products list", "products get $product")),
    Followed("IMAGE_UNDECODABLE", "recommend --image $page", ("recommend --image $photo",)),
    Followed("IMAGE_TOO_LARGE", "recommend --image $large", ("recommend --image $photo",)),
    Followed(
        "URI_FORBIDDEN",
        "recommend --image-uri https://photos.example/1.jpg",
        ("recommend --image $photo",),
    ),
    Followed("DEADLINE_EXCEEDED", "recommend --timeout 0.001", ("status", "recommend")),
    Followed("SPACE_NOT_FOUND", "spaces show nope", ("spaces list --all",)),
    Followed("MODEL_NOT_FOUND", "models promote nope", ("models list", "models show $version")),
    Followed(
        "MODEL_UNPROVEN",
        "models promote $version",
        (
            "models evaluate $version --show",
            "models evaluate $version",
            "models promote $version --force",
        ),
    ),
    Followed("JOB_NOT_FOUND", "jobs watch retriever/none", ("jobs list", "jobs watch $job")),
    Followed(
        "IMPORT_DELETES_TOO_MUCH",
        "products import one.csv --images $photos --mode full",
        ("products import one.csv --images $photos --mode full --force",),
    ),
    Followed(
        "BACKUP_NOT_FOUND",
        "backup restore nope",
        ("backup list", "backup restore $backup --force"),
    ),
    Followed("CATALOG_NOT_EMPTY", "backup restore $backup", ("backup restore $backup --force",)),
    Followed(
        "BACKUP_CATALOG_MISMATCH",
        "backup restore $strange --force",
        ("backup restore $strange --from $other --force",),
    ),
    Followed(
        "BACKUP_DAMAGED",
        "backup restore $damaged --force",
        ("backup create", "backup restore $newest --force"),
    ),
    Followed(
        "BACKUP_VERSION_UNSUPPORTED",
        "backup restore $newer --force",
        ("backup restore $backup --force",),
    ),
    Followed(
        "FILTER_INVALID",
        "recommend --filter $condition",
        ("recommend --help", "recommend --filter 'price < 30 EUR'"),
    ),
    Followed(
        "RESOURCE_EXHAUSTED",
        "recommend --image $heavy --image $heavy --image $heavy --image $heavy",
        ("recommend --image $heavy",),
    ),
    Followed(
        "SPACE_UNAVAILABLE",
        "index create --version nope",
        ("spaces list", "index create --version $served"),
    ),
    Followed(
        "TRAINING_DATA_INSUFFICIENT",
        "models train",
        ("products import FILE --images $photos", "events import FILE", "models train"),
        catalog="fixes-empty",
    ),
)
"""Faults in an order in which each leaves the state that the next one needs."""

ELSEWHERE: Mapping[str, str] = {
    "GATEWAY_UNREACHABLE": "tests/live/test_start.py: `make up` and what follows",
    "HTTP_PORT": "tests/unit/client/test_http_port.py: a server of HTTP/1.1",
    "TOKEN_MISSING": "tests/live/test_access.py: a gateway that asks who calls",
    "TOKEN_INVALID": "tests/live/test_access.py: the same",
    "ROLE_MISSING": "tests/live/test_access.py: the same",
    "CATALOG_FORBIDDEN": "tests/live/test_access.py: the same",
    "IMAGES_TOO_LARGE": "tests/wire/test_embedder_flood.py: nine large photos in a request",
    "BACKUP_UNSIGNED": "tests/unit/retriever/backup/test_signatures.py: with and without the key",
    "AUDIT_SEAL_MISMATCH": "tests/wire/test_gateway_audit.py: another archive is dropped",
    "AUDIT_TERM": "tests/wire/test_gateway_audit.py: the entries are young",
    "VISITOR_PROOF_INVALID": "tests/live/test_access.py: a gateway with keys for its tokens",
    "ADMIN_PORT_ONLY": "tests/live/test_access.py: the same",
    "CATALOG_NOT_FOUND": "tests/live/shell/test_fixes.py: the command is about another catalog",
    "UNAVAILABLE": "tests/live/shell/test_fixes.py: the ranker is stopped",
    "NOTHING_AVAILABLE": "tests/live/shell/test_fixes.py: the retriever is stopped",
    "ANSWER_DEGRADED": "tests/live/shell/test_fixes.py: the ranker is stopped",
    "EXPERIMENT_NOT_FOUND": "tests/wire/test_experiments.py: the page is typed, then a wrong name",
    "EVALUATION_NOT_FOUND": "tests/live/shell/test_fixes.py: an evaluation is deleted",
    "INTERNAL": "tests/live/shell/test_fixes.py: a table is taken away, and put back as a log says",
    "UNIMPLEMENTED": "tests/live/shell/test_fixes.py: a gateway without methods, then this one",
}
"""The other lines, and who follows them."""

TYPED_ELSEWHERE: Mapping[str, str] = {
    "make up": "tests/live/test_start.py",
    "make up{which}": "make up, said in `make up` itself",
    "make down": "tests/live/test_start.py",
    "make up PORT_BASE=9600": "tests/live/test_start.py, with the ports that the line names",
    "make up PORT_BASE={other_base}": "tests/live/test_start.py",
    "make setup": "tests/live/test_start.py: make up makes it first",
    "make wines": "tests/live/test_start.py: make up WINES=1 ends with it",
    "du -sh {data}": "tests/live/shell/test_fixes.py, where the disk is said to be full",
    "make images REGISTRY=… PUSH=1": "no registry here; tests/images runs what it builds",
    "pip install ./protos ./client": "tests/contracts/test_installs.py installs both",
    "sightline scenes check": "tests/live/test_commands.py",
    "sightline products status --wait": "tests/live/shell/test_fixes.py",
    "sightline audit archive": "tests/wire/test_gateway_audit.py",
    "sightline models train --promote": "tests/live/shell/test_fixes.py",
    "sightline recommend --help": "tests/live/shell/test_fixes.py",
    "sightline config check": "tests/live/shell/test_fixes.py",
    "sightline models promote {version} --force": "typed for MODEL_UNPROVEN",
    "sightline models evaluate {version} --show": "typed for MODEL_UNPROVEN",
    "sightline events import": "typed for TRAINING_DATA_INSUFFICIENT",
    "sightline products import FILE --images DIR": "tests/live/test_start.py: the first hour",
    "sightline events visitor": "typed for VISITOR_PROOF_INVALID",
    "sightline backup create": "typed for BACKUP_DAMAGED; the same where there is none to list",
    "sightline models train": "typed for TRAINING_DATA_INSUFFICIENT; the same where none is listed",
    "sightline spaces list --all": "no fix: where a name can be looked up",
    "sightline spaces show {version}": "no fix: what comes next",
    "sightline index upgrade --version {version}": "no fix: what comes next",
    "sightline inspect fit NAME DIR": "tests/live/test_inspection.py",
    "sightline inspect promote {name}": "tests/live/test_inspection.py",
    "sightline inspect photo PHOTO --reference {name}": "tests/live/test_inspection.py",
}
"""Commands that are named beside those lines."""


def commands(text: str) -> list[str]:
    """Return the commands that a text names."""
    return COMMAND.findall(text)


def advised() -> set[str]:
    """Return every command that a text of the code names; `{…}` stands for a value filled in."""
    return {
        command
        for folder in SPEAKERS
        for path in sorted(folder.rglob("*.py"))
        for text in _texts(ast.parse(path.read_text(encoding="utf-8")))
        for command in commands(text)
    }


ENTRIES = {"app.call", "app.message", "app.rows", "app.job"}
"""Entries of commands: their second argument is the help, their third the examples."""


def _texts(tree: ast.Module) -> Iterator[str]:
    """Yield all strings except docstrings and the help of commands and options."""
    passed: set[ast.AST] = set()
    for node in ast.walk(tree):
        if node in passed:
            passed |= set(ast.iter_child_nodes(node))
        elif isinstance(node, ast.Expr) or (isinstance(node, ast.keyword) and node.arg == "help"):
            is_text = isinstance(node, ast.keyword) or isinstance(node.value, ast.Constant)
            passed |= set(ast.iter_child_nodes(node)) if is_text else set()
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ENTRIES:
            passed |= set(node.args[1:3])
        elif isinstance(node, ast.JoinedStr):
            passed |= set(ast.iter_child_nodes(node))
            yield "".join(_part(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return f"{{{ast.unparse(part.value)}}}"
    return str(part.value) if isinstance(part, ast.Constant) else ""
