"""Every module that reads files: which, what a broken one does, and the test that shows it."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


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


AGAIN = "contracts/test_files_read_again.py"
RELOADS = f"{AGAIN}::test_a_file_that_breaks_while_it_is_in_use_costs_nothing_but_itself"
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
    "embedder.bringing.bring": Row(
        "reference vectors, photos and manifests that a command names",
        Does.REFUSED,
        "unit/embedder/bringing/test_bring.py::test_wrong_options_are_named",
    ),
    "embedder.bringing.held_photos": Row(
        "a table of photos and products",
        Does.REFUSED,
        "unit/embedder/bringing/test_bring.py::test_wrong_options_are_named",
    ),
    "embedder.bringing.parity": Row(
        "reference vectors",
        Does.REFUSED,
        "unit/embedder/bringing/test_bring.py::test_a_reference_that_does_not_fit_is_refused",
    ),
    "embedder.bringing.preprocessor": Row(
        "preprocessor_config.json",
        Does.REFUSED,
        "unit/embedder/bringing/test_preprocessor.py::test_a_file_that_is_no_json_is_refused",
    ),
    "embedder.bringing.trial_process": Row(
        "the network of the file that is brought",
        Does.REFUSED,
        "unit/embedder/bringing/test_brought_file.py::test_what_cannot_be_served_is_refused_with_what_to_do",
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
        "what the embedder wrote for one fit",
        Does.REFUSED,
        "unit/embedder/spaces/test_learn.py"
        "::test_a_process_that_dies_is_reported_and_leaves_nothing",
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
        f"{AGAIN}::test_a_broken_file_of_settings_is_named_at_the_start",
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
    "gateway.state.scenes.copies": Row(
        "copies of published scenes",
        Does.REMADE,
        "unit/gateway/state/test_recorded_scenes.py::test_a_restart_without_the_record_uses_copies",
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
        f"{AGAIN}::test_a_broken_file_of_settings_is_named_at_the_start",
    ),
    "retriever.adapters.dictionaries": Row(
        "dictionaries",
        Does.SKIPPED,
        "unit/retriever/domain/test_dictionaries.py::test_a_broken_file_is_left_out_alone",
    ),
    "servicekit.artefacts.durable": Row(
        "a photo that is given again",
        Does.REMADE,
        "unit/retriever/adapters/test_photos.py::test_a_damaged_file_is_written_anew",
    ),
    "servicekit.artefacts.content_store": Row(
        "photos",
        Does.SKIPPED,
        "unit/retriever/indexing/test_embedding_photos.py"
        "::test_a_photo_that_can_not_be_read_holds_up_no_other",
    ),
    "retriever.adapters.milvus.index": Row(
        "the authority of the engine's certificate",
        Does.REFUSED,
        f"{AGAIN}::test_a_broken_file_of_settings_is_named_at_the_start",
    ),
    "retriever.preflight": Row(
        "the authority of the engine's certificate",
        Does.REFUSED,
        "unit/retriever/test_preflight.py::test_a_file_without_a_certificate_is_named_with_its_fix",
    ),
    "retriever.wiring": Row(
        "the authority of the engine's certificate",
        Does.REFUSED,
        f"{AGAIN}::test_a_broken_file_of_settings_is_named_at_the_start",
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
    "sightline_client.cli.base.query": Row("a photo; a scene; synonyms", Does.REFUSED, COMMANDS),
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
    "sightline_client.files.tables": Row(
        "words and names, of its package",
        Does.SHIPPED,
        "unit/client/test_export_columns.py::test_every_documented_column_is_in_one_table",
    ),
    "sightline_client.files.workbook": Row("a table", Does.REFUSED, TABLES),
    "sightline_client.files.xml_records": Row("a feed", Does.REFUSED, TABLES),
    "sightline_client.transport.tls": Row("certificates", Does.REFUSED, COMMANDS),
    "sightline_client.values.photos": Row("a photo", Does.REFUSED, COMMANDS),
    "vision.adapters.former_references": Row(
        "references of an embedder up to 0.43",
        Does.REFUSED,
        "unit/vision/test_move_references.py::test_a_damaged_version_is_told_and_costs_no_other",
    ),
    "vision.backup.archive": Row(
        "a backup",
        Does.REFUSED,
        "unit/vision/test_backups.py::test_damaged_or_hostile_watches_change_nothing",
    ),
    "vision.inspection.files": Row(
        "photos of a draft; the memory of a reference",
        Does.SKIPPED,
        "unit/vision/inspection/test_inspection_use_cases.py"
        "::test_a_damaged_photo_of_a_draft_costs_no_other",
    ),
    "vision.move": Row(
        "the address of a retriever's record",
        Does.REFUSED,
        "unit/vision/test_move.py::test_a_file_without_an_address_is_named",
    ),
    "sightline_console.settings": Row(
        "the console's secret at the identity provider",
        Does.REFUSED,
        "unit/console/test_settings.py::test_options_that_can_not_work_are_told",
    ),
}

NO_FILES = {
    "gateway.callers.published": "an address",
    "gateway.servicer.list_tokens": "a sealed token",
    "gateway.servicer.visitors": "a sealed token",
    "gateway.state.tokens": "a sealed token",
    "ranker.backups": "a backup, by servicekit.artefacts",
    "ranker.events.backups.restore": "a file of a backup, by servicekit.artefacts",
    "ranker.record.encrypted_columns": "a sealed text",
    "retriever.backup.archive.reading": "a member of a backup, by servicekit.artefacts",
    "retriever.backup.backups": "a backup, by servicekit.artefacts",
    "vision.backups": "a backup, by servicekit.artefacts",
    "servicekit.artefacts.backup_command": "a backup, by servicekit.artefacts.backups",
    "servicekit.artefacts.store": "a file of its caller's",
    "servicekit.whole_files": "a file of its caller's",
    "servicekit.preflight": "an object of a bucket, which it wrote",
    "servicekit.sql.commits": "a file without content: that it is closed is noticed",
    "servicekit.artefacts.backup_files": "a file of a backup, by servicekit.artefacts.backups",
    "sightline_client.files.rejected": "the mark at the begin of a table that was read",
    "sightline_client.cli.commands.events": "a table, by sightline_client.files",
    "sightline_client.cli.commands.loading": "a table, by sightline_client.files",
    "sightline_client.cli.show.page": "bytes",
    "sightline_client.cli.work.importing": "a table, by sightline_client.files",
    "sightline_client.files.sheet_reading": "a part of a table, by files.workbook",
    "sightline_client.files.workbook_parts": "a part of a table, by files.workbook",
    "sightline_client.files.seen": "a database of its own, in memory",
    "sightline_console.screens.product_files": "rejected rows, which it wrote",
    "sightline_console.screens.product_photos": "an entry of a zip in memory",
    "sightline_rules.photos": "bytes",
}
"""Modules that open something else, and what."""
