"""What every Sightline service shares. Knows no service and none of our protos.

Modules, from the top: `server`, `channel` and `jobs` use `interceptors`, `config` and `sql`; those
use `status`, `telemetry` and `deadlines`; all may use `errors`, which is pure.
"""
