"""Run stand-ins for parts that a bare cluster lacks, until this process is terminated.

`python -m tests.cluster.standins FOLDER NAME...`; it prints "ready" once all of them serve.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from kubernetes import client, config

from tests.cluster.node import SUBNET
from tests.cluster.standins import names, policies, services, volumes
from tests.cluster.standins.mirror import Mirror

NAMES = ("services", "names", "volumes", "policies")


def main(arguments: Sequence[str]) -> int:
    """Start the stand-ins and wait for the end."""
    folder, wanted = Path(arguments[0]), arguments[1:] or NAMES
    api = config.new_client_from_config(str(folder / "admin.kubeconfig"))
    core, discovery = client.CoreV1Api(api), client.DiscoveryV1Api(api)
    served = Mirror(core.list_service_for_all_namespaces)
    slices = Mirror(discovery.list_endpoint_slice_for_all_namespaces)
    if "services" in wanted:
        services.serve(served, slices)
    if "names" in wanted:
        names.serve(f"{SUBNET}.1", served, slices)
    if "volumes" in wanted:
        volumes.serve(core, folder / "volumes")
    if "policies" in wanted:
        networking = client.NetworkingV1Api(api)
        policies.serve(
            Mirror(core.list_pod_for_all_namespaces),
            Mirror(core.list_namespace),
            Mirror(networking.list_network_policy_for_all_namespaces),
            f"{SUBNET}.1",
        )
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
