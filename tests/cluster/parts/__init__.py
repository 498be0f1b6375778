"""The parts of `make cluster`, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tests.chaos.model import Report
from tests.cluster.parts.alone import alone
from tests.cluster.parts.disks import disks
from tests.cluster.parts.faults import faults
from tests.cluster.parts.medium import medium
from tests.cluster.parts.overlays import overlays
from tests.cluster.parts.pages import pages
from tests.cluster.parts.policies import policies
from tests.cluster.parts.preflight import preflight
from tests.cluster.parts.production import production
from tests.cluster.parts.restore import restore
from tests.cluster.parts.rollouts import rollouts
from tests.cluster.parts.scaling import scaling
from tests.cluster.parts.small import small
from tests.cluster.parts.stage import Stage
from tests.cluster.parts.thirdparty import thirdparty

PARTS: Final[Mapping[str, Callable[[Stage, Report], None]]] = {
    "overlays": overlays,
    "preflight": preflight,
    "alone": alone,
    "small": small,
    "medium": medium,
    "rollouts": rollouts,
    "policies": policies,
    "faults": faults,
    "scaling": scaling,
    "disks": disks,
    "pages": pages,
    "production": production,
    "thirdparty": thirdparty,
    "restore": restore,
}
