"""Print the size and shape of the code (`make trends`); it never fails.

`make trends COMMITS="A..B C"` also prints the hand-written files that each change touched: what a
new field, key or setting costs. A change is a commit or a range of commits.
"""

import argparse
import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import grimp

ROOT = Path(__file__).parents[1]
PRODUCT = ("services", "kit", "rules", "core", "client/src", "agents/src", "console/src")
"""Folders of the code that users install."""
VALUES = tomllib.loads((ROOT / "client/generator/values.toml").read_text())
MADE_VALUES = "|".join(["exports", "products", *(name for name in VALUES if "doc" in VALUES[name])])
GENERATED = re.compile(
    r"_pb2|/_generated/|^docs/reference/|image\.binpb$|\.lock$|\.mo$|/recipe\.toml$|released\.toml$|\.svg$"
    rf"|/sightline_client/(convert/from_wire|values/({MADE_VALUES}))\.py$"
    r"|^deploy/monitoring/(dashboards/|slo\.rules\.yaml)|^deploy/k8s/components/monitoring/rules\.yaml$|^(bench|lab)/results/"
)
MIGRATIONS = re.compile(r"/migrations/|/versions/\d")
NOT_COUNTED = re.compile(r"(^|/)(tests?|docs)/|\.md$|(^|/)mkdocs\.yml$")
"""Files that belong to any change: tests and pages (the changelog is a page)."""
TOTALS = {
    "product: all but tests and lab": lambda name: not name.startswith(("tests/", "lab/")),
    "tests": lambda name: name.startswith("tests/"),
    "lab, with its own tests": lambda name: name.startswith("lab/"),
}
"""Which files count for each sum of lines."""
WRITTEN = re.compile(
    r"\.(py|proto|sh|ts|js|mjs|go|java|php|cs|c|yaml|yml|toml|css|html|j2)$"
    r"|(^|/)(Dockerfile|Makefile)$"
)
"""Files of code and configuration; pages and data are not."""
SHOWN = 10
"""Rows of each list of the longest or most."""


class Length(NamedTuple):
    """Lines of a file or function."""

    lines: int
    name: str


@cache
def tracked(*places: str) -> Sequence[str]:
    """Return the hand-written files that Git knows or would add, relative to the root."""
    asked = ["ls-files", "-co", "--exclude-standard", *places]
    names = (name for name in git(*asked).splitlines() if not GENERATED.search(name))
    return [name for name in names if (ROOT / name).is_file()]


def git(*arguments: str) -> str:
    """Return the output of a Git command. Raises CalledProcessError when it fails."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def product() -> list[Path]:
    """Return the Python files that users install, without migrations."""
    names = (name for name in tracked(*PRODUCT) if name.endswith(".py"))
    return [ROOT / name for name in names if not MIGRATIONS.search(name)]


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file."""
    return ast.parse(path.read_text("utf-8"))


def functions(paths: Iterable[Path]) -> Iterator[tuple[Path, ast.FunctionDef]]:
    """Yield every function and method with its file."""
    for path in paths:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node  # type: ignore[misc]


def body_lines(function: ast.FunctionDef) -> int:
    """Return the lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def python_lines() -> Counter[str]:
    """Return the lines of hand-written Python of each service and top-level folder."""
    found = Counter[str]()
    for name in tracked("*.py"):
        house, _, rest = name.partition("/")
        package = rest.partition("/")[0] if house == "services" else house
        found[package] += len((ROOT / name).read_text("utf-8").splitlines())
    return found


def total_lines() -> dict[str, int]:
    """Return the lines of code and configuration, without generated files and pages, by house."""
    names = [name for name in tracked(".") if WRITTEN.search(name) and not name.startswith("docs/")]
    lines = {name: (ROOT / name).read_bytes().count(b"\n") for name in names}
    return {
        house: sum(count for name, count in lines.items() if counts(name))
        for house, counts in TOTALS.items()
    }


def longest_files() -> list[Length]:
    """Return the longest Python files of the product, longest first."""
    found = [
        Length(len(path.read_text("utf-8").splitlines()), str(path.relative_to(ROOT)))
        for path in product()
    ]
    return sorted(found, reverse=True)


def longest_functions() -> list[Length]:
    """Return the longest functions of the product, longest first."""
    found = [
        Length(body_lines(node), f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
        for path, node in functions(product())
    ]
    return sorted(found, reverse=True)


def arrows(package: str = "ranker") -> set[tuple[str, str]]:
    """Return the imports between the packages and modules directly below a package."""
    graph = grimp.build_graph(package, cache_dir=None)
    found = set()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            one, other = (name.split(".")[1:2] for name in (importer, imported))
            if one and other and one != other:
                found.add((one[0], other[0]))
    return found


def repeated_classes() -> dict[str, list[str]]:
    """Return the public class names of the product that are defined more than once, with files."""
    found = defaultdict(list)
    for path in product():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    return {name: files for name, files in found.items() if len(files) > 1}


def repeated_files() -> dict[str, int]:
    """Return the file names of the product that occur more than once, with how often."""
    names = Counter(path.name for path in product() if path.name != "__init__.py")
    return {name: count for name, count in names.most_common() if count > 1}


NOUN_CLAUSE = re.compile(
    r"(Whether|What|Those|Who|Whoever|How|Where|That|Of|Nobody|One|Some|The|An?|Every|Each|All|Its"
    r"|By|For|As|With|Which|Same|No|Nothing|None|If|When|Why|In|On|At|To|From|Many|Most|Least|This"
    r"|These|Like|Not|Only|Than|Then|It|Also|Any|Two|Both|Ids?|Text|Rows?|True|False)\b"
)


MADE_PAGES = ("docs/privacy.md", "docs/operate/retention.md", "docs/integrate/errors.md")
"""Pages outside of docs/reference that `make reference` writes."""
MADE_TABLE = re.compile(r"<!-- ([a-z ]+) -->\n.*?<!-- end[a-z ]* -->", re.DOTALL)
"""A table of a page that a script writes, such as those of sizes."""


def words() -> dict[str, int]:
    """Return the words of pages: of the product's, by hand and generated, and of others."""
    found = Counter[str]()
    for name in git("ls-files", "-co", "--exclude-standard", "*.md").splitlines():
        path = ROOT / name
        if path.is_file():
            text = path.read_text("utf-8")
            by_hand = 0 if _is_generated(name) else len(MADE_TABLE.sub("", text).split())
            kind = {"docs": "docs", "lab": "lab"}.get(name.partition("/")[0], "elsewhere")
            if name.startswith("CHANGELOG"):
                kind = "changelog"
            found[f"{kind}, by hand" if kind == "docs" else kind] += by_hand
            found["docs, generated" if kind == "docs" else kind] += len(text.split()) - by_hand
    return dict(found)


def _is_generated(page: str) -> bool:
    return page in MADE_PAGES or (
        page.startswith("docs/reference/") and not page.endswith(("README.md", "api.md"))
    )


def noun_clauses() -> tuple[int, int]:
    """Return how many function docstrings begin with a noun clause, and how many there are."""
    said = [ast.get_docstring(node) for _, node in functions(product()) if not _is_property(node)]
    texts = [text for text in said if text]
    return sum(bool(NOUN_CLAUSE.match(text)) for text in texts), len(texts)


def _is_property(function: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(each) for each in function.decorator_list)


def touched(change: str) -> list[str]:
    """Return the hand-written files that a commit or a range touched, without tests and pages.

    Raises CalledProcessError when Git does not know the change.
    """
    extent = change if ".." in change else f"{change}^1..{change}"
    names = git("diff", "--name-only", "--no-renames", extent).splitlines()
    return [name for name in names if not (GENERATED.search(name) or NOT_COUNTED.search(name))]


def show(title: str, rows: Iterable[object]) -> None:
    """Print a title and its indented rows."""
    print(title, *(f"  {row}" for row in rows), "", sep="\n")


def report() -> None:
    """Print all trends of the working tree."""
    shown = [f"{lines:>7,} {name}" for name, lines in python_lines().most_common()]
    show("Lines of Python by package, without generated code", shown)
    show("Words of pages", (f"{count:>7,} {kind}" for kind, count in words().items()))
    totals = [f"{lines:>7,} {name}" for name, lines in total_lines().items()]
    show("Lines of code and configuration, without generated files and docs/", totals)
    for what, found in (("files", longest_files()), ("functions", longest_functions())):
        middle, ninth = found[len(found) // 2].lines, found[len(found) // 10].lines
        title = f"Longest {what} of the product, of {len(found):,} (median {middle}, 90% {ninth})"
        show(title, (f"{lines:>4} {name}" for lines, name in found[:SHOWN]))
    between = Counter(importer for importer, _ in arrows())
    title = f"Arrows between the ranker's packages: {between.total()}"
    show(title, (f"{count:>3} from {name}" for name, count in between.most_common(SHOWN)))
    classes = repeated_classes()
    often = sorted(classes, key=lambda name: -len(classes[name]))
    title = f"Public class names with two or more definitions: {len(classes)}"
    show(title, (f"{len(classes[name]):>3} {name}" for name in often[:SHOWN]))
    files = repeated_files()
    title = f"File names that occur more than once: {len(files)}"
    show(title, (f"{count:>3} {name}" for name, count in [*files.items()][:SHOWN]))
    nouns, said = noun_clauses()
    results = (path for house in ("bench", "lab") for path in (ROOT / house).glob("results/*.json"))
    kilobytes = sum(path.stat().st_size for path in results) / 1e3
    show(f"Function docstrings that begin with a noun clause: {nouns / said:.0%} of {said:,}", ())
    show(f"Results of benches: {kilobytes:,.0f} kB", ())


def main(arguments: Sequence[str]) -> int:
    """Print the trends, or the files that the given changes touched."""
    parser = argparse.ArgumentParser(prog="python -m tests.trends", description=__doc__)
    parser.add_argument("changes", nargs="*", metavar="change", help="a commit, or a range A..B")
    changes = parser.parse_args(arguments).changes
    for change in changes:
        files = touched(change)
        show(f"{change}: {len(files)} files beside tests, pages and generated code", files)
    if not changes:
        report()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
