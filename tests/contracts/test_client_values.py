"""The client's values, readers and plain calls follow from the contract and from tables."""

import dataclasses
from collections.abc import Iterator

import pytest
from google.protobuf import descriptor_pool

import sightline_client
from client.generator import table as tables
from client.generator.__main__ import generate, left_over
from client.generator.calls import call_modules
from client.generator.sentences import Sentences, docstring, entry, raises, says_more
from client.generator.values import fields_of
from sightline_client.values import exports


def rows() -> Iterator[tables.ValueRow]:
    for row in tables.load().rows:
        if isinstance(row, tables.ValueRow) and not row.by_hand:
            yield row


def test_the_files_are_what_the_generator_writes_now() -> None:
    made = generate()
    stale = [path.name for path, text in made.items() if path.read_text() != text]
    assert not stale, "run make proto"
    assert not left_over(made), "run make proto"


def test_every_made_class_is_exported_and_has_the_fields_of_its_row() -> None:
    for row in rows():
        kind = getattr(sightline_client, row.name)
        assert kind is getattr(exports, row.name)
        assert [each.name for each in dataclasses.fields(kind)] == [n for n, _ in fields_of(row)]


def test_a_new_field_of_a_message_comes_last_with_a_default() -> None:
    (row,) = (each for each in rows() if each.name == "Alert")
    assert row.required is not None
    shorter = dataclasses.replace(row, required=row.required.removesuffix("image_id").strip())
    assert list(fields_of(shorter))[-2:] == [("image_id", True), ("box", True)]


def test_a_message_without_a_class_is_refused_with_the_table_to_change() -> None:
    with pytest.raises(
        ValueError, match=r"GetWatchRequest has no class: add a line to values\.toml"
    ):
        tables.load().row("sightline.vision.v1.GetWatchRequest")


@pytest.mark.parametrize(
    ("name", "module"), [("vision.v1.Webhook", "webhooks"), ("retriever.v1.Takedown", "operations")]
)
def test_what_a_call_returns_has_the_class_of_its_name_without_a_line(
    name: str, module: str
) -> None:
    assert f'"{name}"' not in tables.TABLE.read_text()
    row = tables.load().row(f"sightline.{name}")
    assert (row.name, row.module) == (name.rpartition(".")[2], module)


def test_comments_are_said_with_the_names_of_python() -> None:
    sentences = Sentences(tables.members(), tables.functions())
    wire = descriptor_pool.Default().FindMessageTypeByName("sightline.common.v1.Job").full_name
    said = sentences.field(f"{wire}.error", {}, optional=True)
    assert said == "Why the job failed. Set only with FAILED."
    assert sentences.field(f"{wire}.start_time", {}, optional=True).endswith("None before that.")
    assert sentences.field(f"{wire}.done", {"total": "all"}, optional=False).startswith(
        "Units of work done, 0 to ``all``."
    )


def test_a_method_without_a_line_becomes_a_call_with_the_comments_of_the_contract() -> None:
    text = call_modules()["watch_service_calls"]
    made = text[text.index("    async def delete_watch") : text.index("    async def send_frames")]
    assert "DeleteWatch" not in tables.call_rows()["WatchServiceCalls"]
    assert made.startswith(
        "    async def delete_watch(self, watch_id: str, *, timeout: float | None = None) -> bool:"
    )
    assert '"""Delete a watch with its alerts and photos.' in made
    assert "watch_id: Id of the watch." in made
    assert ").deleted" in made


def test_every_public_method_of_a_service_is_a_function_of_the_client() -> None:
    for method, name in tables.functions().items():
        assert hasattr(sightline_client.SightlineClient, name), method


def test_errors_are_listed_by_the_class_that_is_raised() -> None:
    said = raises("WATCH_NOT_FOUND or ETAG_MISMATCH; RETRIEVER_FETCH_HOSTS, CATALOG_NOT_FOUND")
    assert said == {"NotFound": "WATCH_NOT_FOUND, CATALOG_NOT_FOUND", "Conflict": "ETAG_MISMATCH"}


def test_texts_that_only_repeat_a_name_are_left_out() -> None:
    assert not says_more("The rule.", "rule_id")
    assert not says_more("", "rule_id")
    assert says_more("The rule that raised it.", "rule_id")


@pytest.mark.parametrize("length", range(80, 110))
def test_docstrings_fit_into_lines(length: int) -> None:
    lines = docstring("word " * (length // 5) + "end.", 4).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith('    """word')
    assert lines[-1].endswith('"""')
    assert max(map(len, entry("name", "word " * length, 12).splitlines())) <= 100
