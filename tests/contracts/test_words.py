"""Plain English, and one word for one thing: words that are retired do not come back.

Pages have none of them. Code may have as many as LEFT says and no more: lower a number when you
clean a folder. Fenced and quoted code on pages is what programs say, and counts where they say it.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

RETIRED: Mapping[str, str] = {
    "catalogue": "catalog",
    "told|tells": "reported, shown, returned",
    "mend|mends|mended|mending": "fix",
    "lost on (?:the|its|their) way": "degraded, dropped",
    "houses?": "dependencies, project",
    "(?-i:Haul)": "BranchResult",
    "(?-i:Trail)": "RequestTrace",
    "(?-i:Standing)": "GenerationSnapshot",
    "(?-i:Descent)|ladders?": "fallback, fallback chain",
    "(?-i:Rests)": "per-key backoff",
    "nominees?|nominat(?:e|es|ed|ing|ion|ions)": "candidates, generate candidates",
    "strangers?": "cold-start (unseen) shoppers or items; untrusted files",
    "(?-i:TextTakers)": "TextQuerySpaces",
    "doubt|doubts|doubted": "category mismatch",
    "survivors?": "filter matches",
    "addends?": "contributions",
    "doors?": "adapter, entry point",
    "rooms": "modules, layers",
    "no product passes": "no products match the filter",
    "of which currency": "missing currency: write 30 EUR",
    "no message of this call": "cannot parse the request",
    "holds all of the catalog": "up to date",
    "wait for their vector": "pending embedding",
    "shares of its sides": "fractions of width and height",
    "neither shown nor refuted": "inconclusive",
    "likeness is not handed on": "matching is not transitive",
}
"""A pattern → what to say instead. Case counts only where a class has the word as its name."""

LEFT: Mapping[str, Mapping[str, int]] = {
    "catalogue": {
        "bench": 2,
        "client": 3,
        "examples": 13,
        "protos": 1,
        "services": 14,
        "tests": 48,
    },
    "told|tells": {"bench": 2, "examples": 3, "tests": 2},
    "mend|mends|mended|mending": {"protos": 1, "services": 3, "tests": 2},
    "houses?": {"tests": 4},
    "nominees?|nominat(?:e|es|ed|ing|ion|ions)": {
        "bench": 10,
        "client": 1,
        "protos": 7,
        "services": 17,
        "tests": 18,
    },
    "doubt|doubts|doubted": {
        "bench": 20,
        "client": 22,
        "deploy": 1,
        "protos": 10,
        "services": 14,
        "tests": 31,
    },
}
"""Places that still have a word, by pattern and top-level folder. They may only become fewer."""

PAGES = ("docs", "README.md", "CONTRIBUTING.md", "bench/README.md", "services/*/README.md")
CODE = ("bench", "client", "deploy", "examples", "kit", "protos", "rules", "services", "tests")
ENDINGS = {".css", ".j2", ".js", ".proto", ".py", ".sh", ".toml", ".yaml", ".yml"}
GENERATED = re.compile(r"docs/reference/|protos/.*_pb2|tests/contracts/test_words\.py$")
QUOTED = re.compile(
    r"^```.*?^```$|<!-- (bench \w+) -->.*?<!-- end of \1 -->|`[^`\n]*`|\]\([^)\s]*\)",
    re.DOTALL | re.MULTILINE,
)
"""Of a page: what programs print, and where a link leads."""
CODES = re.compile(r"\b[A-Z][A-Z0-9_]{3,}\b")
"""Reason codes and settings: they are published, and stay."""


def tracked(*places: str) -> Iterator[Path]:
    """The files of these places that git knows, without generated ones."""
    found = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *places],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in found.stdout.splitlines():
        if not GENERATED.search(name) and (ROOT / name).is_file():
            yield Path(name)


def pattern(words: str) -> re.Pattern[str]:
    """Finds the words in text, and as parts of snake_case and CamelCase names."""
    start, end = r"(?-i:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))", r"(?-i:(?![a-z]))"
    return re.compile(f"{start}(?:{words}){end}", re.IGNORECASE)


@cache
def pages() -> Mapping[Path, str]:
    return {
        path: QUOTED.sub(
            lambda found: "\n" * found[0].count("\n"), (ROOT / path).read_text("utf-8")
        )
        for path in tracked(*PAGES)
        if path.suffix == ".md"
    }


@cache
def code() -> Mapping[Path, str]:
    return {
        path: CODES.sub("", (ROOT / path).read_text("utf-8"))
        for path in tracked(*CODE)
        if path.suffix in ENDINGS
    }


@pytest.mark.parametrize("words", RETIRED)
def test_no_page_has_a_retired_word(words: str) -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, text in pages().items()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern(words).search(CODES.sub("", line))
    ]
    assert not found, f"say {RETIRED[words]}:\n" + "\n".join(found)


@cache
def suspects() -> Mapping[Path, str]:
    """The code that has some retired word: it alone is looked through for each."""
    some = pattern("|".join(RETIRED))
    return {path: text for path, text in code().items() if some.search(text)}


def places(words: str) -> Counter[str]:
    """How often each folder's code has the words."""
    found = pattern(words)
    counts: Counter[str] = Counter()
    for path, text in suspects().items():
        counts[path.parts[0]] += len(found.findall(text))
    return +counts


@pytest.mark.parametrize("words", RETIRED)
def test_code_has_no_more_retired_words_than_before(words: str) -> None:
    allowed = Counter(LEFT.get(words, {}))
    more = places(words) - allowed
    assert not more, f"say {RETIRED[words]}; too many by {dict(more)}"


def test_there_is_something_to_read() -> None:
    assert len(pages()) > 50
    assert len(code()) > 500
    assert set(LEFT) <= set(RETIRED)
