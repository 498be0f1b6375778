"""Serve clothing's filled suite of one release, with its safeguards, until standard input ends.

Run by the Python of that release, in its folder, so every import here must exist in it. The first
line of standard output is JSON: the gateway's address, a caller's token, the authority of its
certificate, and the processes' ids by name.
"""

import json
import sys
import tempfile
from pathlib import Path

from bench.cases.monolith import clothing
from bench.cases.monolith.filled import another, filled
from lab.cases.safeguards import Safe


def main() -> None:
    """Start the suite, say where it is, and stop it when standard input ends."""
    root, files = clothing.here()
    filling = clothing.filling(root, files)
    with tempfile.TemporaryDirectory(prefix="sightline-safe-") as name:
        with filled(filling, lambda line: print(line, file=sys.stderr)):
            pass  # it is kept from now on
        safe = Safe.made(Path(name))
        with another(filling, lambda data: safe.programs(filling.programs(data))) as suite:
            served = {
                "gateway": suite.addresses()["gateway"],
                "data": str(suite.layout.data),
                "programs": {each.name: each.pid for each in suite.status() if each.pid},
                "token": safe.token,
                "authority": (safe.folder / "tls" / "ca.crt").read_text(),
            }
            print(json.dumps(served), flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
