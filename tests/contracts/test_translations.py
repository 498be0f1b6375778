"""Pages in Chinese follow their English pages: sections, code, links and figures.

A section is compared by what both languages share; a sentence that changes without any of it is not
noticed.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WANTED = sorted(
    str(page.relative_to(ROOT))
    for pattern in ("README.md", "docs/README.md", "docs/start/*.md", "docs/tutorials/*.md")
    for page in ROOT.glob(pattern)
)
"""English pages that have to be there in Chinese too."""
NOT_YET: list[str] = []
"""Those of them that are not translated yet, sorted."""
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"`([^`]+)`")
FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
KIND = re.compile(r"^ *(- |\d+\. |\|)")
"""How a list item or a row begins."""
CUT = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for a code block while the text around it is read."""


def in_chinese(page: str) -> str:
    """Return the path of a page's counterpart."""
    if page == "README.md":
        return "README.zh.md"
    return f"docs/zh/{page.removeprefix('docs/')}"


PAIRS = {page: in_chinese(page) for page in WANTED if (ROOT / in_chinese(page)).exists()}
ENGLISH = {chinese: english for english, chinese in PAIRS.items()}
CHINESE = sorted(
    str(page.relative_to(ROOT))
    for pattern in ("*.zh.md", "docs/zh/**/*.md")
    for page in ROOT.glob(pattern)
)


@dataclass(frozen=True)
class Shared:
    """Parts of a section that are equal in both languages."""

    level: int
    layout: tuple[str, ...]
    """The kinds of its parts in order: paragraphs, list items, table rows, code blocks."""
    blocks: tuple[str, ...]
    code: frozenset[str]
    """Code within its sentences."""
    links: tuple[str, ...]
    """English pages and positions of headings that it links to, sorted."""
    figures: frozenset[str]


def read(page: str) -> str:
    """Return a page's text without the line that links to the other language."""
    title, _, _, rest = (ROOT / page).read_text("utf-8").split("\n", 3)
    return f"{title}\n{rest}"


def sections(page: str, text: str) -> list[tuple[str, Shared]]:
    """Return each section of a page: its heading, and what it shares with the other language."""
    blocks = iter(FENCE.findall(text))
    parts = HEADING.split(FENCE.sub(CUT, text))[1:]
    return [
        (title, shared(page, len(marks), f"{title}\n{body}", blocks))
        for marks, title, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]


def shared(page: str, level: int, text: str, blocks: Iterator[str]) -> Shared:
    """Return what a section shares. Takes its code blocks from `blocks`."""
    words = LINK.sub("]", text)
    return Shared(
        level=level,
        layout=tuple(layout(text)),
        blocks=tuple(next(blocks) for _ in range(text.count(CUT))),
        code=frozenset(" ".join(code.split()) for code in CODE.findall(words)),
        links=tuple(sorted(target(page, *link) for link in LINK.findall(text))),
        figures=frozenset(FIGURE.findall(CODE.sub("", words))),
    )


def layout(text: str) -> Iterator[str]:
    """Yield the kind of each paragraph, code block, list item and table row."""
    for part in re.split(r"\n\s*\n", text.strip()):
        found = [kind for line in part.splitlines() for kind in KIND.findall(line)]
        yield from found or ["code" if part == CUT else "text"]


def target(page: str, name: str, head: str) -> str:
    """Return the English page that a link leads to, and the heading's position if the page has both
    languages. A link from a Chinese page to an English one that is translated is another target."""
    if ":" in name:
        return f"{name}#{head}"
    there = os.path.normpath(Path(page).parent / name) if name else page
    if there not in PAIRS and there not in ENGLISH:
        return f"{there}#{head}"
    at = f"{anchors(there).index(head)}" if head else ""
    wrong = " in English" if page in ENGLISH and there in PAIRS else ""
    return f"{ENGLISH.get(there, there)}#{at}{wrong}"


def anchors(page: str) -> list[str]:
    """Return the anchors of a page's headings, in order."""
    heads = [title.lower() for _, title in HEADING.findall(FENCE.sub("", read(page)))]
    return [re.sub(r"[^\w -]", "", head).strip().replace(" ", "-") for head in heads]


def without_counterpart(
    english: list[tuple[str, Shared]], chinese: list[tuple[str, Shared]]
) -> list[str]:
    """List sections of either page that the other one lacks or has otherwise, with what differs."""
    ours, theirs = ([content for _, content in page] for page in (english, chinese))
    found = []
    for tag, a, b, c, d in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        for one, other in zip_longest(english[a:b], chinese[c:d]) if tag != "equal" else ():
            if one is None or other is None:
                found.append(f"{(one or other)[0]}: has no counterpart")
            else:
                found.append(f"{one[0]} / {other[0]}: {'; '.join(differences(one[1], other[1]))}")
    return found


def differences(one: Shared, other: Shared) -> Iterator[str]:
    """Yield what differs between a section's languages."""
    for name in (field.name for field in fields(Shared)):
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine != theirs:
            if isinstance(mine, frozenset):
                mine, theirs = sorted(mine - theirs), sorted(theirs - mine)
            yield f"{name} {mine!r} in English, {theirs!r} in Chinese"


def test_every_page_of_readme_start_and_tutorials_is_there_in_chinese() -> None:
    assert len(WANTED) > 15
    assert [page for page in WANTED if page not in PAIRS] == NOT_YET


def test_every_chinese_page_has_an_english_one() -> None:
    assert [page for page in CHINESE if page not in ENGLISH] == []


@pytest.mark.parametrize(("page", "chinese"), PAIRS.items())
def test_a_page_has_the_same_sections_in_both_languages(page: str, chinese: str) -> None:
    english = sections(page, read(page))
    assert without_counterpart(english, sections(chinese, read(chinese))) == []


@pytest.mark.parametrize(("page", "chinese"), PAIRS.items())
def test_each_page_begins_with_a_link_to_the_other_language(page: str, chinese: str) -> None:
    for here, there, language in ((page, chinese, "中文"), (chinese, page, "English")):
        link = f"[{language}]({os.path.relpath(there, Path(here).parent)})"
        assert (ROOT / here).read_text("utf-8").split("\n")[1:4] == ["", link, ""]


PAGE = """# Title

Some `code` and 100 wines.

## First

- one
- two

```
# no heading
```

## Second

See [the wines](README.md).
"""


def compared(chinese: str) -> list[str]:
    """Compare an invented page with its translation."""
    here, there = "docs/start/README.md", "docs/zh/start/README.md"
    return without_counterpart(sections(here, PAGE), sections(there, chinese))


def test_a_translation_has_nothing_to_list() -> None:
    words = {"Some": "一些", "wines": "酒", "First": "一", "one": "甲", "Second": "二", "See": "见"}
    text = re.sub("|".join(words), lambda word: words[word[0]], PAGE)
    assert text != PAGE
    assert compared(text) == []


def test_sections_without_a_counterpart_are_listed() -> None:
    first, second = (PAGE.index(f"## {title}") for title in ("First", "Second"))
    assert compared(PAGE[:first] + PAGE[second:]) == ["First: has no counterpart"]
    assert compared(PAGE[:second]) == ["Second: has no counterpart"]
    assert compared(f"{PAGE}\n## Third\n") == ["Third: has no counterpart"]


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("## First", "### First", "level"),
        ("- two\n", "", "layout"),
        ("# no heading", "# none", "blocks"),
        ("`code`", "`cod`", "code"),
        ("(README.md)", "(concepts.md)", "links"),
        ("(README.md)", "(../../start/README.md)", "links"),
        ("100", "10", "figures"),
    ],
)
def test_a_section_that_differs_is_listed(old: str, new: str, differs: str) -> None:
    (found,) = compared(PAGE.replace(old, new))
    assert f": {differs} " in found
