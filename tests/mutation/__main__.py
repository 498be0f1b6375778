"""Mutation testing of the request path: list the small faults that its unit tests do not detect.

`make mutants` draws some of all changes to a module and runs the module's own tests on each; a
mutant that they pass is shown to more of its service's. Those that survive and change nothing are
listed with the reason in lab/research/mutation.md; any other is a test that is missing.
"""

import argparse
import json
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.mutation.operators import ROOT, Mutant, Source, source_of
from tests.mutation.trial import TARGETS, tried

PAGE = ROOT / "lab/research/mutation.md"


def equivalents() -> frozenset[tuple[str, str, str]]:
    """Return module, old and new code of the mutants that the page explains."""
    found = re.findall(r"^- `([\w.]+)`: `(.+?)` → `(.+?)`: ", PAGE.read_text("utf-8"), re.MULTILINE)
    return frozenset(found)


def main() -> int:
    """Print the outcome of each mutant. Return 1 if some survived without an explanation."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TARGETS), help="default: all")
    parser.add_argument("--most", type=int, default=40, help="mutants of a module; 0 = all")
    parser.add_argument("--seed", type=int, default=1, help="draws them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=ROOT / ".cache/mutants.json")
    given = parser.parse_args()
    if unknown := sorted(set(given.modules) - set(TARGETS)):
        parser.error(f"no module named {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    os.chdir(ROOT)
    sources = [source_of(module) for module in given.modules]
    drawn = {}
    for source in sources:
        numbers = list(range(len(source.sites)))
        random.Random(given.seed).shuffle(numbers)
        drawn[source.module] = sorted(numbers[: given.most or None])
    possible = {
        (mutant.module, mutant.was, mutant.now)
        for source in sources
        for mutant in map(source.mutant, range(len(source.sites)))
    }
    known, rows, table = equivalents(), [], Counter[tuple[str, str]]()
    for module, was, now in sorted(known - possible):
        if module in given.modules:
            print(f"{PAGE.name} explains what can't be made: {module}: {was} → {now}")
    for source in sources:
        for mutant, result in judged(source, drawn[source.module], given.jobs):
            explained = result == "survived" and (mutant.module, mutant.was, mutant.now) in known
            verdict = "equivalent" if explained else result
            rows.append({**asdict(mutant), "result": verdict})
            table[mutant.module, verdict] += 1
            at = f"{mutant.file}:{mutant.line}"
            print(f"{verdict:10} {at}: {mutant.was} → {mutant.now}", flush=True)
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")
    kinds = ("killed", "timeout", "equivalent", "survived")
    for source in sources:
        counts = ", ".join(f"{table[source.module, kind]} {kind}" for kind in kinds)
        print(f"{source.module}: {len(source.sites)} possible; {counts}")
    return int(any(row["result"] == "survived" for row in rows))


def judged(source: Source, numbers: Sequence[int], jobs: int) -> Iterator[tuple[Mutant, str]]:
    """Yield each mutant with its outcome."""
    results = dict.fromkeys(numbers, "survived")
    for turn in range(len(TARGETS[source.module])):
        left = [number for number in numbers if results[number] == "survived"]
        results |= tried(source, turn, left, jobs)
    for number in numbers:
        yield source.mutant(number), results[number]


if __name__ == "__main__":
    sys.exit(main())
