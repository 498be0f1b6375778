"""`python -m local_suite up | down | run | status | stop | start`.

Environment variables: DATA and PORT_BASE identify the suite; ENGINE is its vector index, TARGET
whether its services run apart, all in one process, or some in one (default: by the size of DATA),
INFERENCE what runs the models (default: by TARGET), MODELS the photo models, the default one first
(default: by TARGET), TRACES the host of a trace collector, VISION=1 adds the service of cameras and
shelves, and PROGRAM is the program to stop or start.
"""

import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_suite.model import SuiteError
from local_suite.programs import console, sightline, usual_target
from local_suite.suite import Suite, stored_facts

_DATA = ".data/suite"
_PORT_BASE = "8600"
_GATEWAY = f"127.0.0.1:{_PORT_BASE}"
"""Default target of the command line."""
_PHOTO = "examples/wines/images/100062.jpg"
_COMMANDS = ("up", "down", "run", "status", "stop", "start")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one command. Return 0 for success, 1 for a failure (explained on stderr), 2 for wrong
    usage.

    `status` returns 0 if all programs are healthy, 1 if one is not, 3 if no suite runs.
    """
    if len(arguments) != 1 or arguments[0] not in _COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        suite = from_environment(arguments[0], environment)
        match arguments[0]:
            case "up":
                signal.signal(signal.SIGTERM, signal.default_int_handler)
                suite.up()
                _introduce(suite, environment)
            case "run":
                suite.run(ready=lambda: print(f"{_lines(suite)}\nCtrl-C stops it."))
            case "down":
                was_running = suite.running()
                suite.down()
                print("stopped" if was_running else f"no suite runs in {suite.layout.data}")
            case "stop":
                suite.stop(environment.get("PROGRAM", ""), kill=True)
            case "start":
                suite.start(environment.get("PROGRAM", ""))
            case _:
                return _status(suite)
    except SuiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the started programs were stopped", file=sys.stderr)
        return 130
    return 0


def from_environment(command: str, environment: Mapping[str, str]) -> Suite:
    """Return the suite that DATA, PORT_BASE, CATALOGS, ENGINE, TARGET, INFERENCE, MODELS, TRACES
    and VISION name.

    A running suite's own settings take precedence.
    """
    data = Path(environment.get("DATA") or _DATA)
    given = {
        "port_base": environment.get("PORT_BASE") or _PORT_BASE,
        "catalogs": environment.get("CATALOGS") or "default",
        "engine": environment.get("ENGINE") or "lite",
        "target": environment.get("TARGET")
        or usual_target(data, environment.get("ENGINE") or "lite"),
        "inference": environment.get("INFERENCE") or "",
        "models": environment.get("MODELS") or "",
        "traces": environment.get("TRACES") or "",
        "vision": environment.get("VISION") or "",
    }
    facts = given if command in ("up", "run") else {**given, **stored_facts(data)}
    try:
        port_base = int(str(facts["port_base"]))
    except ValueError:
        raise SuiteError(f"PORT_BASE={facts['port_base']} is not a number") from None
    catalogs = _names(facts["catalogs"])
    programs = sightline(
        data,
        port_base,
        catalogs,
        engine=str(facts["engine"]),
        traces=str(facts["traces"]),
        target=str(facts["target"]),
        inference=str(facts["inference"]),
        models=_names(facts.get("models", "")),
        vision=bool(facts.get("vision")),
    )
    whole = (*programs, console(port_base, catalogs[0]))
    return Suite(data, whole, facts={**given, "again": _again(data, given)})


def _names(text: object) -> list[str]:
    return [name.strip() for name in str(text).split(",") if name.strip()]


def _again(data: Path, given: Mapping[str, str]) -> str:
    """Return the command that starts this suite again."""
    usual = {"port_base": _PORT_BASE, "catalogs": "default", "engine": "lite"}
    usual |= {"traces": "", "inference": "", "models": "", "vision": ""}
    usual["target"] = usual_target(data, given["engine"])
    other = [f"{n.upper()}={shlex.quote(v)}" for n, v in given.items() if v != usual[n]]
    return " ".join(["make up", *other])


def _introduce(suite: Suite, environment: Mapping[str, str]) -> None:
    print(_lines(suite))
    which = f" DATA={environment['DATA']}" if environment.get("DATA", _DATA) != _DATA else ""
    gateway = suite.addresses()["gateway"]
    target = "" if gateway == _GATEWAY else f" --target {gateway}"
    print(
        f"""
What to type next:
  {suite.console}
      in a browser: the console, to ask with a photo, and why a product is shown or not
  make wines{which}
      100 wines with photos, 1,000 ratings and a model, if you have nothing to load yet
  .venv/bin/sightline products import FILE{target}
      your own products, from a table of any shape; --help says how
  .venv/bin/sightline recommend --image {_PHOTO} --top 5{target}
      products that look like a photo
  .venv/bin/sightline status{target}
      health and status of all parts
  make down{which}
      stop it; what was loaded stays for the next `make up{which}`"""
    )


def _lines(suite: Suite) -> str:
    addresses = [f"  {name:<10} {address}" for name, address in suite.addresses().items()]
    if suite.http:
        addresses.append(f"  {'http':<10} {suite.http}")
    if suite.console:
        addresses.append(f"  {'console':<10} {suite.console}")
    return "\n".join(["Sightline is up:", *addresses, f"Logs: {suite.layout.logs}/<name>.log"])


def _status(suite: Suite) -> int:
    rows = suite.status()
    print(f"{'program':<18}{'state':<10}{'healthy':<9}{'pid':<9}{'address':<18}log")
    for row in rows:
        answer = "yes" if row.healthy else "no"
        print(
            f"{row.name:<18}{row.state:<10}{answer:<9}{row.pid or '-':<9}"
            f"{row.address or '-':<18}{row.log}"
        )
    if not suite.running():
        return 3
    return 0 if all(row.healthy for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
