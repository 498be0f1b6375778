"""What every Sightline service shares. Knows no service and none of our protos.

Modules, from the top: `server`, `channel` and `jobs` use `interceptors`, `config` and `sql`; those
use `status`, `telemetry` and `deadlines`; all may use `errors`, which is pure.
"""

import os

# Read when gRPC is imported. It would prepare for every fork, and uvloop starts programs by one: a
# hundredth of the connections that were made beside such a start were cut or hung (grpcio 1.85.1,
# 2026-11). No process of ours goes on after a fork with the gRPC of its parent.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
