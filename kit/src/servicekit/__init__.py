"""Code shared by all Sightline services. It knows no service and no Sightline protos.

Modules, from the top: `server`, `channel` and `jobs` use `interceptors`, `config` and `sql`; those
use `status`, `telemetry` and `deadlines`; all may use `errors`, which is pure.
"""

import os

# gRPC reads this when it is imported, and otherwise runs its fork handlers at every fork. uvloop
# forks to start programs, and 1% of the connections opened meanwhile broke or hung (grpcio 1.85.1).
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
