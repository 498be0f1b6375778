"""Serve clothing's filled suite of one release until standard input ends.

Run by the Python of that release, in its folder, so every import here must exist in it. The first
line of standard output is JSON: the gateway's address, the processes' ids by name, and the ids of
products and users.
"""

import json
import sys

from bench.cases.monolith import clothing
from bench.cases.monolith.filled import filled


def main() -> None:
    """Start the suite, say where it is, and stop it when standard input ends."""
    root, files = clothing.here()
    filling = clothing.filling(root, files)
    with filled(filling, lambda line: print(line, file=sys.stderr)) as (suite, facts):
        served = {
            "gateway": suite.addresses()["gateway"],
            "data": str(suite.layout.data),
            "programs": {status.name: status.pid for status in suite.status() if status.pid},
            "products": list(facts.products),
            "users": list(facts.users),
        }
        print(json.dumps(served), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
