"""Print the counts beside their limits."""

import argparse
import dataclasses
import json

import tests.calls
from tests.calls.counting import Shown
from tests.calls.limits import limited, limits, lower
from tests.calls.processes import count
from tests.calls.profilers import Counted


def main() -> None:
    """Count, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.calls", description=tests.calls.__doc__)
    parser.add_argument(
        "--top", type=int, default=0, metavar="N", help="print N files and functions of each"
    )
    parser.add_argument("--callers", default="", metavar="PART", help="print who calls a function")
    parser.add_argument(
        "--bytecodes", action="store_true", help="print files and functions by bytecodes"
    )
    parser.add_argument("--apart", action="store_true", help="run each service in its own process")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--lower", action="store_true", help="lower the limits to the counts")
    given = parser.parse_args()
    found = count(Shown(given.top, given.callers, given.bytecodes), apart=given.apart)
    totals = {name: sum(each.values(), Counted()) for name, each in found.items()}
    if given.lower:
        lower({key: n for name, each in totals.items() for key, n in limited(name, each).items()})
    if given.json:
        print(json.dumps({name: dataclasses.asdict(each) for name, each in totals.items()}))
        return
    print(f"{'':22}{'Python':>8}{'C':>8}{'total':>8}{'limit':>8}{'bytecodes':>12}{'limit':>8}")
    for name, processes in found.items():
        most = [limits().get(key, 0) for key in limited(name, totals[name])]
        print(_row(name, totals[name], *most))
        for process, each in processes.items() if len(processes) > 1 else ():
            print(_row(f"  {process}", each))


def _row(name: str, counted: Counted, most: int = 0, most_bytecodes: int = 0) -> str:
    calls = f"{name:22}{counted.python:8,}{counted.c:8,}{counted.calls:8,}"
    if not most:
        return calls
    bytecodes = f"{counted.bytecodes:12,}{most_bytecodes:8,}" if counted.bytecodes else ""
    return f"{calls}{most:8,}{bytecodes}"


if __name__ == "__main__":
    main()
