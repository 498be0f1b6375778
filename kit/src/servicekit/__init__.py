"""Code shared by all Sightline services. It knows no service and no Sightline protos.

Modules, from the top: `server`, `channel` and `jobs` use `interceptors`, `config` and `sql`; those
use `status`, `telemetry` and `deadlines`; all may use `errors`, which is pure.
"""

import os

# Read when gRPC is imported, which else prepares for every fork. uvloop starts programs by one, and
# a hundredth of the connections made beside it were cut or hung (grpcio 1.85.1).
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
