"""docs/operate/security.md and lab/research/callers.md: each row of their tables names existing
tests, and their figures are those of the code.
"""

import re
from pathlib import Path

from servicekit.admission import access, entry_limits, limits
from servicekit.config import ServerSettings
from servicekit.decoding.limits import DecodingSettings
from sightline.common.v1 import limits_pb2
from sightline.gateway.v1 import admin_service_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline_rules import filter_checks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operate/security.md").read_text("utf-8")
ATTACKS = (ROOT / "lab/research/callers.md").read_text("utf-8")


def lines(head: str, page: str = PAGE) -> list[list[str]]:
    """Return the cells of each row of the table with this head."""
    table = page.partition(head)[2].partition("\n\n")[0]
    rows = [row.strip("|").split(" | ") for row in table.splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows]


def hold(row: str, shown: str) -> None:
    """Check that the tests in the last cell of a row exist."""
    tests = re.findall(r"`(tests/[^`]+)`", shown)
    assert tests, f"{row}: nothing shows it"
    for test in tests:
        assert "def test_" in (ROOT / test).read_text("utf-8"), test


def test_each_promise_names_who_is_stopped_and_tests_that_there_are() -> None:
    rows = lines("| asset |")
    assert len(rows) >= 10
    for asset, attacker, stops, shown in rows:
        assert all((asset, attacker, stops)), asset
        hold(asset, shown)


def test_what_a_caller_could_cost_stands_beside_what_bounds_it_now() -> None:
    rows = lines("| sent by one caller |", ATTACKS)
    assert len(rows) >= 9
    for sent, cost, bound, shown in rows:
        assert all((sent, cost, bound)), sent
        hold(sent, shown)


def test_the_bounds_are_those_of_the_code() -> None:
    bounds = " ".join(row[2] for row in lines("| sent by one caller |", ATTACKS))
    signals = pb.RecommendRequest.DESCRIPTOR.fields_by_name["signals"]
    given, decoding = ServerSettings(), DecodingSettings()
    for figure in (
        f"received within {limits.ARRIVAL:.0f} s",
        f"{signals.GetOptions().Extensions[limits_pb2.max_items]} signals",
        f"{entry_limits.ITEMS:,} entries a list",
        f"{limits.ENTRIES:,} in all",
        f"{entry_limits.FIELDS:,} fields",
        f"{filter_checks.MAX_PARTS} parts",
        f"{filter_checks.MAX_LOOKS:,} comparisons",
        f"{given.max_streams:,} streams",
        f"{given.max_streams_per_connection} a connection",
        f"{decoding.decode_memory_bytes >> 20:,} MiB for all photos",
        f"{decoding.decode_seconds:.0f} s a photo",
    ):
        assert figure in bounds
    assert given.stream_seconds == 3_600
    assert "one hour each" in bounds


def test_reports_are_asked_for_in_private_where_github_looks() -> None:
    page = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "Report a vulnerability" in page
    assert "docs/operate/security.md" in page
    assert "SECURITY.md" in PAGE


def test_each_template_of_a_page_has_a_content_security_policy() -> None:
    pages = [
        path
        for folder in ("client", "examples", "deploy", "services")
        for path in (ROOT / folder).rglob("*.html.j2")
        if ".venv" not in path.parts and "<html" in path.read_text("utf-8")
    ]
    assert len(pages) >= 7
    for path in pages:
        head = path.read_text("utf-8").partition("<html")[2].partition("<body>")[0]
        first = head.partition("<style>")[0]
        assert "{{ shared.head() }}" in first or "Content-Security-Policy" in first, path


def test_scene_texts_of_callers_are_parsed_for_the_operators_port_alone() -> None:
    service = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
    for call in ("CheckScene", "DiffScene"):
        assert access.rule(f"{service}/{call}").admin
