"""The shape of the code: files and functions that fit a screen or a few, little of it twice.

Each number may only get better; where it does, lower it here.
"""

import ast
import re
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$|/_generated/|/migrations/|/versions/\d")
PRODUCT = ("services", "kit", "rules", "client/src")
"""Where code runs that users install; the rest are tests, benches and examples."""

MOST_LINES = 400
"""In a file."""
ALL_LINES = 67_600 + 7_100 + 11_100 + 3_000
"""In all files of the product; behind it what was added since: who may call what, peers, TLS, a
port for operators, production mode; signatures, proofs of visitors, the audit log; limits and
quotas; confined decoders; takedowns, secrets from files; jobs by caller, TLS to Triton, engines
asked again, certificates' ends; unread answers; one picture in thousands of products, idle
workers, reads of one state, a Triton that hangs; photos of failed writes. Then recommenders by
counts, scenes, anchors, controls, facets, a snapshot, matches, experiments, replays, heat maps.
Then traces, roll-outs that wait for their tables, what autoscaling goes by and what shows that a
loop lives; backups of events and models; a log that events wait in. It was 69,228 in 0.5.6, and
65,200 was the layout's goal."""
MEDIAN, NINE_TENTHS = 5, 16
"""Lines of functions, without their docstrings."""
RUN = 6
"""As many lines that stand twice, but for imports, comments and brackets, are a pair."""
PAIRS = 19
"""It was 118 in 0.5.6. Left are signatures of ports beside what implements them, and values of the
client that repeat those of a service, as the client installs without the services."""


@cache
def files(*folders: str) -> Sequence[Path]:
    found = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *(f"{each}/*.py" for each in folders)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [name for name in found.stdout.splitlines() if not GENERATED.search(name)]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def product() -> Sequence[Path]:
    return files(*PRODUCT)


def length(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_no_file_is_long() -> None:
    everywhere = files(*PRODUCT, "bench", "deploy", "examples", "tests", "docs", "client")
    assert len(everywhere) > 1_000
    long = {str(path.relative_to(ROOT)): length(path) for path in everywhere}
    assert not {name: lines for name, lines in long.items() if lines > MOST_LINES}


def test_the_product_does_not_grow_by_itself() -> None:
    assert 10_000 < sum(map(length, product())) <= ALL_LINES


def bodies() -> Iterator[int]:
    """Lines of each function, without its docstring."""
    for path in product():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                said = ast.get_docstring(node) is not None
                body = node.body[1:] if said else node.body
                yield (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    lines = sorted(bodies())
    assert len(lines) > 1_000
    assert statistics.median(lines) <= MEDIAN
    assert lines[len(lines) * 9 // 10] <= NINE_TENTHS


def spoken(path: Path) -> list[tuple[int, str]]:
    """The lines of a file that say something, with their numbers."""
    text = path.read_text("utf-8")
    imports = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(map(str.strip, text.splitlines()), start=1)
    return [(n, it) for n, it in lines if it and n not in imports and not it.startswith("#")]


def pairs(some: Sequence[Path]) -> set[tuple[str, str, int]]:
    """Places that share RUN lines: both files, and how far apart their numbers are."""
    places = defaultdict(set)
    for path in some:
        lines = spoken(path)
        for start in range(len(lines) - RUN + 1):
            run = tuple(line for _, line in lines[start : start + RUN])
            if sum(len(line) > 3 for line in run) >= RUN - 2:
                places[run].add((str(path), lines[start][0]))
    return {
        (one, other, first - second)
        for found in places.values()
        for (one, first), (other, second) in combinations(sorted(found), 2)
    }


def test_little_stands_twice() -> None:
    found = pairs(product())
    assert len(found) <= PAIRS, "\n".join(map(str, sorted(found)))


def test_what_stands_twice_is_found(tmp_path: Path) -> None:
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    text = "\n".join(f"number_{n} = {n}" for n in range(RUN))
    one.write_text(f"import os\n{text}\n")
    other.write_text(f"{text}\n")
    assert len(pairs([one, other])) == 1
    other.write_text(text.replace("number_3", "another"))
    assert not pairs([one, other])
