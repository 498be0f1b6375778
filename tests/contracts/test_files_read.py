"""Every file that a process or a command reads: one that is broken costs nothing but itself.

A module that reads files fails here until it has a row: which file, what a broken one does, and the
test that shows it. Files that are read again while a process serves are broken here, one kind after
the other.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from prometheus_client import REGISTRY

from gateway.callers.keys import Keys
from gateway.callers.signed import public_keys
from gateway.state.experiments import RunningExperiments
from gateway.state.scenes import SceneFiles
from servicekit.config import PeerSettings
from servicekit.keys.keyring import signing_keys
from servicekit.keys.wrapping import FileKeys
from servicekit.rpc.peers import PeerCredentials
from servicekit.rpc.tls import AUTHORITY, Certificates
from servicekit.watched_files import Unreadable
from tests import certificates
from tests.broken_files import WAYS, removed
from tests.code import nodes
from tests.fakes.experiments import Keeper
from tests.unit.gateway.callers.conftest import entry

ROOT = Path(__file__).parents[2]
FOLDERS = (
    *sorted(ROOT.glob("services/*/src")),
    *(ROOT / each / "src" for each in ("kit", "client", "agents", "rules")),
)
READS = {
    *("read_text", "read_bytes", "cat_file", "load_cert_chain", "load_verify_locations"),
    *("open_memmap", "memmap", "fromfile", "file_digest", "copytree", "copyfile"),
    *("ParquetFile", "read_table", "ZipFile", "TarFile", "iterparse", "from_file"),
}
"""Names of functions that read files, of any module."""
LOADS = {"np", "json", "tomllib", "onnx", "pickle", "yaml", "marshal"}
"""Modules whose `load` reads a file."""


class Does(Enum):
    """Effect of a broken file. Its name and problem are told in every case."""

    FORMER = "its former content stays in force, told by log and metric; it is read again"
    SKIPPED = "it is left out alone, and told; all others are used"
    REFUSED = "the one process, request, job or command that needs it ends with a typed error"
    REMADE = "it is a copy of what is known elsewhere: it is ignored, and written again"
    SHIPPED = "it is a part of the package, or of the kernel: none is broken alone"


class Row(NamedTuple):
    files: str
    does: Does
    test: str


HERE = "contracts/test_files_read.py"
RELOADS = f"{HERE}::test_a_file_that_breaks_while_it_is_in_use_costs_nothing_but_itself"
COMMANDS = "unit/client/test_broken_files.py::test_a_broken_file_is_named_and_no_traceback_shown"
TABLES = "unit/client/test_files_tables.py::test_a_file_that_can_not_be_used_is_refused_as_a_whole"
EXPORTS = (
    "unit/ranker/events/test_export.py"
    "::test_a_person_is_erased_from_all_exports_though_files_of_some_are_damaged"
)
SPACES = "unit/embedder/adapters/test_space_metadata.py"
BACKUPS = "unit/retriever/backup/test_damage.py::test_a_damaged_or_hostile_archive_changes_nothing"

ROWS = {
    "embedder.adapters.feature_folder": Row(
        "features of photos, a cache",
        Does.REMADE,
        "unit/embedder/spaces/test_learn.py::test_features_in_a_damaged_file_are_computed_again",
    ),
    "embedder.adapters.onnx": Row(
        "the graph of a backbone",
        Does.REFUSED,
        "unit/embedder/spaces/test_learn.py"
        "::test_a_process_that_dies_is_reported_and_leaves_nothing",
    ),
    "embedder.adapters.onnxruntime.engine": Row(
        "configuration and graph of a model",
        Does.SKIPPED,
        "unit/embedder/adapters/onnxruntime/test_engine.py"
        "::test_a_model_that_can_not_be_loaded_says_what_to_do_and_affects_no_other",
    ),
    "embedder.adapters.reference_store": Row(
        "photos, states and versions of references",
        Does.SKIPPED,
        "unit/embedder/adapters/test_reference_store.py"
        "::test_a_damaged_file_of_a_reference_costs_no_other",
    ),
    "embedder.adapters.space_metadata": Row(
        "categories and map of a fitted space",
        Does.SKIPPED,
        f"{SPACES}::test_names_that_can_t_be_read_are_no_names",
    ),
    "embedder.adapters.space_store": Row(
        "manifests of fitted spaces",
        Does.SKIPPED,
        f"{SPACES}::test_a_damaged_space_is_logged_once_until_its_file_is_another",
    ),
    "embedder.adapters.tokenizers": Row(
        "the tokenizer of a text model",
        Does.REFUSED,
        "unit/embedder/adapters/test_tokenizers.py"
        "::test_another_tokenizer_than_the_model_was_made_with_is_refused",
    ),
    "embedder.fitting.process": Row(
        "what the embedder wrote for one fit; the map of the space that is refined",
        Does.REFUSED,
        "unit/embedder/spaces/test_learn.py::test_a_damaged_space_is_not_refined",
    ),
    "embedder.spaces.fit_process": Row(
        "what the process of one fit wrote",
        Does.REFUSED,
        "unit/embedder/spaces/test_learn.py"
        "::test_a_process_that_dies_is_reported_and_leaves_nothing",
    ),
    "embedder.spaces.promote": Row(
        "the proof of a fitted space",
        Does.REFUSED,
        "unit/embedder/spaces/test_promote.py::test_files_that_were_tampered_with_are_refused",
    ),
    "embedder.wiring": Row(
        "the key of Triton's model control",
        Does.REFUSED,
        f"{HERE}::test_a_broken_file_of_settings_is_named_at_the_start",
    ),
    "gateway.callers.keys": Row("callers' keys", Does.FORMER, RELOADS),
    "gateway.callers.signed": Row("an identity provider's keys", Does.FORMER, RELOADS),
    "gateway.http.comments": Row(
        ".proto files",
        Does.SHIPPED,
        "unit/gateway/http/test_openapi.py::test_every_member_is_described_by_its_proto",
    ),
    "gateway.http.examples": Row(
        "examples of requests",
        Does.SHIPPED,
        "unit/gateway/http/test_openapi.py"
        "::test_each_operation_has_an_example_request_that_the_server_reads",
    ),
    "gateway.http.reference": Row(
        "Swagger UI, of its package",
        Does.SHIPPED,
        "wire/test_http_docs.py::test_the_page_may_load_nothing_but_its_own_files",
    ),
    "gateway.http.fixes": Row(
        "the page of fixes",
        Does.SHIPPED,
        "contracts/test_fixes.py::test_the_tests_that_the_table_names_are_there",
    ),
    "gateway.http.tls": Row(
        "certificates of the HTTP face",
        Does.FORMER,
        "unit/gateway/http/test_certificates.py"
        "::test_a_broken_certificate_leaves_the_former_one_in_use",
    ),
    "gateway.state.experiments": Row("experiments", Does.FORMER, RELOADS),
    "gateway.state.scenes": Row("scenes", Does.FORMER, RELOADS),
    "gateway.state.snapshots.files": Row(
        "snapshots of catalogs",
        Does.REMADE,
        "unit/gateway/state/test_snapshots.py::test_a_damaged_file_is_as_good_as_none",
    ),
    "ranker.adapters.export_store": Row("exports", Does.SKIPPED, EXPORTS),
    "ranker.adapters.kafka": Row(
        "user name and password of the log",
        Does.REFUSED,
        "unit/ranker/adapters/test_kafka.py"
        "::test_files_that_can_not_be_used_are_reported_before_the_start",
    ),
    "ranker.adapters.model_store": Row(
        "models",
        Does.FORMER,
        "unit/ranker/serving/models/test_live.py"
        "::test_a_bad_model_leaves_the_former_serving_and_a_good_one_is_taken_after_it",
    ),
    "ranker.adapters.parquet": Row("exports", Does.SKIPPED, EXPORTS),
    "ranker.domain.pseudonyms": Row(
        "the key of pseudonyms",
        Does.REFUSED,
        "unit/ranker/domain/test_pseudonyms.py"
        "::test_a_missing_short_malformed_or_guessed_key_is_refused",
    ),
    "ranker.settings.recipe_file": Row(
        "the recipe of trainings",
        Does.REFUSED,
        f"{HERE}::test_a_broken_file_of_settings_is_named_at_the_start",
    ),
    "retriever.adapters.durable": Row(
        "a photo that is given again",
        Does.REMADE,
        "unit/retriever/adapters/test_photos.py::test_a_damaged_file_is_written_anew",
    ),
    "retriever.adapters.photos": Row(
        "photos",
        Does.SKIPPED,
        "unit/retriever/indexing/test_embedding_photos.py"
        "::test_a_photo_that_can_not_be_read_holds_up_no_other",
    ),
    "retriever.backup.archive.parquet": Row("a backup", Does.REFUSED, BACKUPS),
    "servicekit.artefacts.backups": Row("a backup", Does.REFUSED, BACKUPS),
    "servicekit.catalogs.known": Row(
        "the list of catalogs",
        Does.REMADE,
        "unit/kit/catalogs/test_known.py::test_a_damaged_file_is_not_used",
    ),
    "servicekit.config": Row(
        "a secret of the settings",
        Does.REFUSED,
        "contracts/test_secrets.py::test_a_secret_may_stand_in_a_file",
    ),
    "servicekit.decoding.fork_server": Row(
        "/proc",
        Does.SHIPPED,
        "unit/kit/decoding/test_pool.py"
        "::test_a_process_that_saw_a_photo_of_a_catalog_sees_none_of_another",
    ),
    "servicekit.keys.keyring": Row("keys of signatures", Does.FORMER, RELOADS),
    "servicekit.sql.local_reads": Row(
        "the record in SQLite",
        Does.REFUSED,
        "unit/kit/sql/test_local_reads.py::test_a_store_that_is_missing_or_damaged_is_reported_as_such",
    ),
    "servicekit.processes.memory": Row(
        "/sys/fs/cgroup",
        Does.SHIPPED,
        "contracts/test_memory.py::test_in_kubernetes",
    ),
    "servicekit.rpc.peers": Row("keys between services", Does.FORMER, RELOADS),
    "servicekit.rpc.tls": Row("certificates", Does.FORMER, RELOADS),
    "sightline_agents.catalog.caller": Row(
        "the token of anonymous requests",
        Does.FORMER,
        "unit/agents/test_caller.py::test_a_request_without_a_token_has_that_of_anonymous_requests",
    ),
    "sightline_agents.catalog.photos": Row(
        "a photo that an agent names",
        Does.REFUSED,
        "unit/agents/test_photos.py::test_no_other_file_is_read",
    ),
    "sightline_client.cli.base.access_token": Row("a token", Does.REFUSED, COMMANDS),
    "sightline_client.cli.base.query": Row("a photo", Does.REFUSED, COMMANDS),
    "sightline_client.cli.commands.scenes": Row("a scene", Does.REFUSED, COMMANDS),
    "sightline_client.cli.commands.synonyms": Row("synonyms", Does.REFUSED, COMMANDS),
    "sightline_client.cli.commands.watch": Row(
        "a watch; photos of a folder",
        Does.SKIPPED,
        "unit/client/test_watches.py::test_photos_are_sent_as_they_appear",
    ),
    "sightline_client.cli.work.asking": Row(
        "photos of a batch",
        Does.SKIPPED,
        "unit/client/test_cli_asking.py::test_a_refused_line_of_a_batch_carries_the_suites_words",
    ),
    "sightline_client.cli.work.remembered": Row("columns of the last run", Does.REMADE, COMMANDS),
    "sightline_client.cli.work.preflight.kubectl": Row(
        "manifests",
        Does.REFUSED,
        "unit/client/test_preflight.py::test_a_manifest_that_can_not_be_read_is_refused",
    ),
    "sightline_client.cli.work.keys": Row("the file of keys", Does.REFUSED, COMMANDS),
    "sightline_client.cli.work.local_suite": Row("what `make up` wrote", Does.REMADE, COMMANDS),
    "sightline_client.files.audit": Row("an archive of audit entries", Does.REFUSED, COMMANDS),
    "sightline_client.files.delimited": Row("a table", Does.REFUSED, TABLES),
    "sightline_client.files.encodings": Row("a table", Does.REFUSED, TABLES),
    "sightline_client.files.lines": Row("a table", Does.REFUSED, TABLES),
    "sightline_client.files.opening": Row("a table", Does.REFUSED, TABLES),
    "sightline_client.files.pages": Row(
        "saved pages",
        Does.SKIPPED,
        "unit/client/test_files_pages.py::test_a_broken_script_is_named_and_the_others_are_read",
    ),
    "sightline_client.files.parquet": Row("a table", Does.REFUSED, TABLES),
    "sightline_client.files.photos": Row(
        "photos of rows",
        Does.SKIPPED,
        "unit/client/test_cli_import.py::test_bad_rows_are_reported_by_number_and_kept_to_be_fixed",
    ),
    "sightline_client.files.shelf_plans": Row("a plan of a shelf", Does.REFUSED, COMMANDS),
    "sightline_client.files.workbook": Row("a table", Does.REFUSED, TABLES),
    "sightline_client.files.xml_records": Row("a feed", Does.REFUSED, TABLES),
    "sightline_client.transport.tls": Row("certificates", Does.REFUSED, COMMANDS),
    "sightline_client.values.photos": Row("a photo", Does.REFUSED, COMMANDS),
}

NO_FILES = {
    "gateway.callers.published": "an address",
    "gateway.servicer.list_tokens": "a sealed token",
    "gateway.servicer.visitors": "a sealed token",
    "gateway.state.tokens": "a sealed token",
    "ranker.backups": "a backup, by servicekit.artefacts",
    "ranker.events.backups.restore": "a file of a backup, by servicekit.artefacts",
    "ranker.record.encrypted_columns": "a sealed text",
    "retriever.backup.archive.former": "a member of a backup, by servicekit.artefacts",
    "retriever.backup.archive.reading": "a member of a backup, by servicekit.artefacts",
    "retriever.backup.backups": "a backup, by servicekit.artefacts",
    "servicekit.artefacts.backup_command": "a backup, by servicekit.artefacts.backups",
    "servicekit.preflight": "an object of a bucket, which it wrote",
    "servicekit.sql.commits": "a file without content: that it is closed is noticed",
    "servicekit.artefacts.backup_files": "a file of a backup, by servicekit.artefacts.backups",
    "sightline_client.api.watches": "a stream",
    "sightline_client.files.rejected": "the mark at the begin of a table that was read",
    "sightline_client.cli.commands.events": "a table, by sightline_client.files",
    "sightline_client.cli.commands.loading": "a table, by sightline_client.files",
    "sightline_client.cli.show.page": "bytes",
    "sightline_client.cli.work.importing": "a table, by sightline_client.files",
    "sightline_client.files.seen": "a database of its own, in memory",
    "sightline_rules.photos": "bytes",
}
"""Modules that open something else, and what."""


def _reads(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr=name) if name in READS:
            return True
        case ast.Call(func=ast.Name("open" | "ZipFile") | ast.Attribute(attr="open" | "fdopen")):
            # What is opened to be written to alone, and folders whose names are made durable.
            said = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
            flags = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            writes = any(str(each).strip("bt") in {"w", "a", "x"} for each in said)
            return not writes and flags.isdisjoint({"O_WRONLY", "O_DIRECTORY", "devnull"})
        case ast.Call(func=ast.Attribute(value=ast.Name(module), attr="load")):
            return module in LOADS
        case ast.Call(func=ast.Attribute(value=ast.Name("sqlite3"), attr="connect")):
            return True
    return False


def readers() -> set[str]:
    """Return the modules that read files."""
    found = set()
    for folder in FOLDERS:
        for path in folder.rglob("*.py"):
            if any(map(_reads, nodes(path))):
                parts = path.relative_to(folder).with_suffix("").parts
                found.add(".".join(each for each in parts if each != "__init__"))
    return found


@cache
def _tests(file: str) -> frozenset[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = nodes(ROOT / "tests" / file)
    return frozenset(each.name for each in found if isinstance(each, functions))


@pytest.mark.when("agents", "client", "kit", "rules", "services", "tests/contracts")
def test_every_module_that_reads_files_is_listed() -> None:
    found = readers()
    assert found - ROWS.keys() - NO_FILES.keys() == set(), "say what a broken file does"
    assert ROWS.keys() | NO_FILES.keys() == found, "these read nothing any more"
    assert not ROWS.keys() & NO_FILES.keys()


@pytest.mark.parametrize("module", ROWS)
def test_a_test_shows_what_a_broken_file_does(module: str) -> None:
    file, _, name = ROWS[module].test.partition("::")
    assert name.startswith("test_")
    assert name in _tests(file)


# Files that are read again


@dataclass(frozen=True)
class Kind:
    """A kind of files that a process reads again while it serves."""

    module: str
    broken: str
    """The file that is broken."""
    write: Callable[[Path, int], None]
    """Writes the first or the second content of all files."""
    use: Callable[[Path], Callable[[], object]]
    """Begins to use a folder's files; returns what returns their content."""
    metric: tuple[str, dict[str, str]]
    valid: frozenset[str] = field(default_factory=frozenset)
    """Ways to break the file that leave another good one, or none, which is fine too."""
    other: Callable[[Path], None] | None = None
    """Changes another file to its second content."""
    starts: bool = False
    """Whether a process starts with the other files if one is broken."""


def _token(folder: Path, number: int) -> None:
    (folder / "keys.toml").write_text(entry("shop", f"t{number}", '["read"]'))


def _used_keys(folder: Path) -> Callable[[], object]:
    keys = Keys(folder / "keys.toml")
    return lambda: [keys.caller(f"t{number}") is not None for number in (0, 1)]


_CURVES = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]


def _jwks(folder: Path, number: int) -> None:
    key = json.loads(ECAlgorithm.to_jwk(_CURVES[number].public_key()))
    (folder / "jwks.json").write_text(json.dumps({"keys": [{**key, "kid": str(number)}]}))


def _used_jwks(folder: Path) -> Callable[[], object]:
    keys = public_keys(folder / "jwks.json")
    return lambda: [each.key_id for each in keys.get().keys]


def _random(*of: object) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()


def _ring(folder: Path, number: int) -> None:
    (folder / "ring.keys").write_text(_random("ring", number) + "\n")


def _used_ring(folder: Path) -> Callable[[], object]:
    keys = signing_keys(folder / "ring.keys")
    return lambda: keys().sign(("test",), b"")


def _used_wrapping(folder: Path) -> Callable[[], object]:
    keys = FileKeys(folder / "ring.keys")
    return lambda: keys.current


def _peer(folder: Path, number: int) -> None:
    for name in ("embedder", "ranker"):
        (folder / f"{name}.key").write_text(_random(name, number)[:40])


def _used_peers(folder: Path) -> Callable[[], object]:
    keys = PeerCredentials.of(PeerSettings(peer_keys_folder=folder)).keys
    assert keys is not None
    return lambda: {str(peer): each[0][0] for peer, each in keys().items()}


_SIGNER = certificates.authority()


def _certificate(folder: Path, number: int) -> None:
    certificates.write(folder, _SIGNER, changed=number + 1)


def _used_certificate(folder: Path) -> Callable[[], object]:
    held = Certificates(folder, folder / AUTHORITY, "peers")
    return held.calling


def _scene(folder: Path, number: int) -> None:
    for name in ("home", "sale"):
        (folder / f"{name}.toml").write_text(f"over_fetch = {number + 3}.0\n")


def _used_scenes(folder: Path) -> Callable[[], object]:
    scenes = SceneFiles(folder)
    return lambda: {name: scenes.get(name).over_fetch for name in ("home", "sale")}


def _experiment(folder: Path, number: int) -> None:
    for name in ("home", "sale"):
        (folder / f"{name}.toml").write_text(
            f'scenes = ["default"]\nstart = 2026-01-01T00:00:00Z\nmetric = "click_rate"\n'
            f'catalog = "{name}"\ndescription = "{number}"\n'
            f'[[arms]]\nname = "one"\nshare = 0.5\n[[arms]]\nname = "two"\nshare = 0.5\n'
        )


def _used_experiments(folder: Path) -> Callable[[], object]:
    found = RunningExperiments(folder, ("home", "sale"), SceneFiles(), Keeper())
    return lambda: {each.name: each.description for each in found._files.get().values()}


def _second(write: Callable[[Path, int], None], name: str) -> Callable[[Path], None]:
    """Return what writes the second content of one of several files."""

    def change(folder: Path) -> None:
        new = folder / "new"
        new.mkdir()
        write(new, 1)
        (new / name).replace(folder / name)
        removed(new)

    return change


def _stale(keys: str) -> tuple[str, dict[str, str]]:
    return "sightline_key_file_stale", {"keys": keys}


_LEAVES = frozenset({"missing"})
KINDS = {
    "callers' keys": Kind(
        "gateway.callers.keys", "keys.toml", _token, _used_keys, _stale("callers")
    ),
    "a provider's keys": Kind(
        "gateway.callers.signed", "jwks.json", _jwks, _used_jwks, _stale("jwks")
    ),
    "signing keys": Kind(
        "servicekit.keys.keyring", "ring.keys", _ring, _used_ring, _stale("signing")
    ),
    "wrapping keys": Kind(
        "servicekit.keys.keyring", "ring.keys", _ring, _used_wrapping, _stale("wrapping")
    ),
    "a peer's keys": Kind(
        *("servicekit.rpc.peers", "ranker.key", _peer, _used_peers, _stale("peers"), _LEAVES),
        _second(_peer, "embedder.key"),
    ),
    **{
        file: Kind("servicekit.rpc.tls", file, _certificate, _used_certificate, _stale("tls"))
        for file in ("tls.crt", "tls.key", "ca.crt")
    },
    "a scene": Kind(
        *("gateway.state.scenes", "sale.toml", _scene, _used_scenes),
        ("sightline_gateway_scenes_stale", {}),
        _LEAVES | {"empty"},
        _second(_scene, "home.toml"),
        starts=True,
    ),
    "an experiment": Kind(
        *("gateway.state.experiments", "sale.toml", _experiment, _used_experiments),
        ("sightline_gateway_experiments_stale", {}),
        _LEAVES,
        _second(_experiment, "home.toml"),
        starts=True,
    ),
}
CASES = [(kind, way) for kind in KINDS for way in WAYS if way not in KINDS[kind].valid]


def test_all_kinds_that_are_read_again_are_broken() -> None:
    assert {kind.module for kind in KINDS.values()} == {
        module for module, row in ROWS.items() if row.test == RELOADS
    }


@pytest.mark.parametrize(("name", "way"), CASES)
def test_a_file_that_is_broken_at_the_start_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, way: str
) -> None:
    kind = KINDS[name]
    kind.write(tmp_path, 0)
    WAYS[way](tmp_path / kind.broken)
    if kind.starts:
        kind.use(tmp_path)
        (said,) = [each for each in _lines(capsys) if "rejected" in each]
        assert REGISTRY.get_sample_value(*kind.metric) == 1
    else:
        with pytest.raises(Unreadable) as caught:
            kind.use(tmp_path)
        said = str(caught.value)
    assert str(tmp_path / kind.broken) in said


@pytest.mark.parametrize(("name", "way"), CASES)
def test_a_file_that_breaks_while_it_is_in_use_costs_nothing_but_itself(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    way: str,
) -> None:
    monkeypatch.setattr("servicekit.watched_files.LOOK_SECONDS", 0.0)
    kind = KINDS[name]
    kind.write(tmp_path, 0)
    used = kind.use(tmp_path)
    before = used()
    WAYS[way](tmp_path / kind.broken)
    if kind.other is not None:
        kind.other(tmp_path)
    capsys.readouterr()

    for _ in range(3):
        found = used()
    assert REGISTRY.get_sample_value(*kind.metric) == 1
    (said,) = [each for each in _lines(capsys) if "rejected" in each]
    assert str(tmp_path / kind.broken) in said

    removed(tmp_path / kind.broken)
    kind.write(tmp_path, 1)
    after = used()
    assert REGISTRY.get_sample_value(*kind.metric) == 0
    assert after != before
    if isinstance(before, dict) and isinstance(after, dict):
        changed = {each for each in before if found[each] != before[each]}  # type: ignore[index]
        assert changed == before.keys() - {Path(kind.broken).stem}
        assert all(found[each] == after[each] for each in changed)  # type: ignore[index]
    else:
        assert found == before


def _lines(capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    written = capsys.readouterr()
    yield from f"{written.out}{written.err}".splitlines()


def test_what_failed_without_a_change_of_the_files_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as too many open files."""
    now = [0.0]
    _token(tmp_path, 0)
    keys = Keys(tmp_path / "keys.toml", clock=lambda: now[0])
    _token(tmp_path, 1)
    with monkeypatch.context() as full:
        full.setattr(Path, "read_text", _full)
        now[0] = 2.0
        assert keys.caller("t1") is None
    now[0] = 40.0
    assert keys.caller("t1") is not None


def _full(*_: Any) -> str:
    raise OSError(24, "Too many open files")


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_file_of_settings_is_named_at_the_start(tmp_path: Path, way: str) -> None:
    from embedder.settings import EmbedderSettings
    from embedder.wiring import control_key
    from ranker.settings.recipe_file import read_recipe

    path = tmp_path / "file"
    path.write_text("epochs = 1")
    WAYS[way](path)
    if way != "empty":  # the recipe has all defaults
        with pytest.raises(ValueError, match=r"can't be read|is not TOML"):
            read_recipe(str(path))
    if way not in {"cut in the middle", "of another kind"}:  # any text is a key
        with pytest.raises(Unreadable, match=str(path)):
            control_key(EmbedderSettings(triton_key_file=path))
