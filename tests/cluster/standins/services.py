"""Stand-in for kube-proxy: iptables rules that send a Service's address to its ready pods."""

from __future__ import annotations

import subprocess
import threading
import time

from tests.cluster.standins.mirror import Document, Mirror

CHAIN = "SERVICES"


def rules(services: list[Document], slices: list[Document]) -> list[str]:
    """Return the rules of the table nat."""
    made = []
    for service in services:
        fixed = service["spec"].get("clusterIP", "None")
        if fixed == "None":
            continue
        meta = service["metadata"]
        for port in service["spec"].get("ports", []):
            ends = _ends(meta["namespace"], meta["name"], port.get("name", ""), slices)
            protocol = port.get("protocol", "TCP").lower()
            match = f"-d {fixed}/32 -p {protocol} -m {protocol} --dport {port['port']}"
            for place, end in enumerate(ends):
                left = len(ends) - place
                chance = f"-m statistic --mode random --probability {1 / left:.5f} "
                made.append(
                    f"-A {CHAIN} {match} {chance if left > 1 else ''}-j DNAT --to-destination {end}"
                )
    return made


def _ends(namespace: str, name: str, port: str, slices: list[Document]) -> list[str]:
    found = []
    for each in slices:
        meta = each["metadata"]
        owner = meta.get("labels", {}).get("kubernetes.io/service-name")
        if (meta["namespace"], owner) != (namespace, name):
            continue
        for number in each.get("ports") or []:
            if number.get("name", "") != port:
                continue
            found += [
                f"{end['addresses'][0]}:{number['port']}"
                for end in each.get("endpoints") or []
                if end.get("conditions", {}).get("ready", True)
            ]
    return sorted(found)


def serve(services: Mirror, slices: Mirror) -> None:
    """Keep the rules current, in a thread."""
    for command in (
        f"iptables -t nat -N {CHAIN}",
        f"iptables -t nat -A PREROUTING -j {CHAIN}",
        f"iptables -t nat -A OUTPUT -j {CHAIN}",
    ):
        subprocess.run(command.split(), check=True)

    def keep() -> None:
        before: list[str] | None = None
        while True:
            wanted = rules(services.all(), slices.all())
            if wanted != before:
                lines = ["*nat", f":{CHAIN} - [0:0]", *wanted, "COMMIT", ""]
                given = "\n".join(lines)
                subprocess.run(
                    ["iptables-restore", "--noflush"], input=given, text=True, check=True
                )
                before = wanted
            time.sleep(0.5)

    threading.Thread(target=keep, daemon=True).start()
