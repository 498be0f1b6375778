"""A gateway that authenticates callers: the commands of its page, and each rejection with its Fix.

The gateway stands alone: who is admitted learns that its peers are down.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from tests import certificates
from tests.advice import commands
from tests.engines import ROOT, free_port
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

PAGE = (ROOT / "docs/operate/access.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def typed(page: str) -> list[str]:
    """Return the commands on a page."""
    blocks = [text for kind, text in BLOCK.findall(page) if kind == "console"]
    return [line[2:] for text in blocks for line in text.splitlines()]


TYPED = typed(PAGE)
SIGNING = (ROOT / "docs/operate/keys.md").read_text("utf-8").partition("## Change keys and")[0]
KEYS = typed(SIGNING)
(TOKENS,) = re.findall(r"`(GATEWAY_TOKEN_KEYS_FILE=\S+)`", SIGNING)
ADMITTED = "NOTHING_AVAILABLE"


class Desk:
    """A folder in which the commands run, and a gateway that is started from there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.target = folder, f"127.0.0.1:{free_port()}"
        bin_folder = str(Path(sys.executable).parent)
        self.environment = os.environ | {
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "SIGHTLINE_TARGET": self.target,
            "GATEWAY_PORT": self.target.rpartition(":")[2],
            "GATEWAY_ADMIN_PORT": str(free_port()),
            "GATEWAY_CATALOGS": "default,shoes",
            **{
                f"GATEWAY_{peer}_TARGET": "127.0.0.1:1"
                for peer in ("EMBEDDER", "RETRIEVER", "RANKER")
            },
            "HOME": str(folder),
            "COLUMNS": "200",
        }

    def shell(self, command: str, code: int = 0) -> str:
        """Type a command; the words that it prints. AssertionError when it ends with another."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == code, f"{command}\n{done.stdout}"
        return " ".join(done.stdout.split())

    def gateway(self, setting: str) -> subprocess.Popen[bytes]:
        """Start a gateway with a setting of the page."""
        return subprocess.Popen(
            ["bash", "-c", f"{setting} exec {sys.executable} -m gateway"],
            cwd=self.folder,
            env=self.environment,
        )


def setting() -> str:
    """Return the setting with which the page starts a suite."""
    (found,) = re.findall(r"^(GATEWAY_KEYS_FILE=\S+) make up$", PAGE, re.MULTILINE)
    return str(found)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Yield keys made as the page says, and the gateway that requires them."""
    made = Desk(tmp_path_factory.mktemp("access"))
    for line in [*TYPED, *KEYS]:
        if line.startswith(("sightline keys", "chmod", "mkdir", "openssl")) or line in KEYS:
            made.shell(line)
    process = made.gateway(f"{setting()} {TOKENS}")
    try:
        with grpc.insecure_channel(made.target) as channel:
            grpc.channel_ready_future(channel).result(timeout=SECONDS)
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=SECONDS)


@pytest.mark.parametrize("line", [line for line in TYPED if "recommend --token" in line])
def test_who_has_a_key_is_admitted_as_the_page_says(desk: Desk, line: str) -> None:
    assert ADMITTED in desk.shell(line, code=1)


def test_the_pages_program_is_admitted(desk: Desk) -> None:
    (program,) = (text for kind, text in BLOCK.findall(PAGE) if kind == "python")
    (desk.folder / "shop.py").write_text(program.replace("127.0.0.1:8600", desk.target))
    said = desk.shell(f"{sys.executable} shop.py", code=1)
    assert "Unavailable" in said
    assert (desk.folder / "shop.token").read_text().strip() not in said


def fix(said: str, reason: str) -> str:
    """Return the advice of a rejection with this reason."""
    assert f"{reason}: " in said, said
    return said.partition("Fix: ")[2]


def test_who_names_nobody_is_refused_until_a_key_is_made(desk: Desk) -> None:
    said = desk.shell("sightline recommend", code=1)
    (command,) = commands(fix(said, "TOKEN_MISSING"))
    desk.shell(f"{command.replace('NAME', 'fixed')} --file keys.toml > fixed.token")
    until_admitted(desk, "sightline recommend --token-file fixed.token")


def test_who_guesses_is_refused_until_a_key_is_made(desk: Desk) -> None:
    said = desk.shell("sightline recommend --token slk_guessed", code=1)
    assert "slk_guessed" not in said
    (command,) = commands(fix(said, "TOKEN_INVALID"))
    desk.shell(f"{command.replace('NAME', 'known')} --file keys.toml > known.token")
    until_admitted(desk, "sightline recommend --token-file known.token")


def test_a_key_that_is_deleted_is_no_longer_one(desk: Desk) -> None:
    desk.shell(
        "cp keys.toml before.toml;"
        " sightline keys new --name gone --roles read --file keys.toml > gone.token"
    )
    until_admitted(desk, "sightline recommend --token-file gone.token")
    desk.shell("cp before.toml keys.toml")
    until(desk, "sightline recommend --token-file gone.token", "TOKEN_INVALID")


def test_a_role_or_catalog_that_is_missing_is_added_to_the_key(desk: Desk) -> None:
    ask = "sightline recommend --token-file import.token"
    assert "`roles` of its key" in fix(desk.shell(ask, code=1), "ROLE_MISSING")
    keys = desk.folder / "keys.toml"
    keys.write_text(keys.read_text().replace('roles = ["catalog"]', 'roles = ["catalog", "read"]'))
    until_admitted(desk, ask)
    ask += " --catalog shoes"
    assert "`catalogs` of its key" in fix(desk.shell(ask, code=1), "CATALOG_FORBIDDEN")
    head, tail = keys.read_text().split('name = "import"')
    keys.write_text(f'{head}name = "import"{tail.replace("default", "shoes", 1)}')
    until_admitted(desk, ask)


def test_what_operators_do_has_a_port_of_its_own(desk: Desk) -> None:
    said = desk.shell("sightline status --token-file ops.token", code=1)
    assert "--target" in fix(said, "ADMIN_PORT_ONLY")
    (command,) = (line for line in TYPED if "ops.token" in line and "keys" not in line)
    admin = desk.environment["GATEWAY_ADMIN_PORT"]
    said = desk.shell(command.replace("8609", admin), code=1)  # as the gateway is alone
    assert "ADMIN_PORT_ONLY" not in said
    assert "retriever" in said


@contextmanager
def tls_gateway(desk: Desk, settings: str) -> Iterator[str]:
    """Start another gateway with TLS. Yield its target once it answers."""
    target = f"127.0.0.1:{free_port()}"
    ports = f"GATEWAY_PORT={target.rpartition(':')[2]} GATEWAY_ADMIN_PORT=0"
    process = desk.gateway(f"{ports} GATEWAY_TLS_FOLDER=tls {settings} {setting()}")
    try:
        ask = f"sightline recommend --target {target} --ca ca.crt --cert shop.crt --key shop.key"
        until(desk, ask, "TOKEN_MISSING")
        yield target
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=SECONDS)


@pytest.mark.parametrize("asked_for", ["", "GATEWAY_TLS_CALLERS_CA_FILE=ca.crt"])
def test_a_gateway_that_speaks_tls_is_called_as_the_page_says(desk: Desk, asked_for: str) -> None:
    made = certificates.write(desk.folder / "tls", certificates.authority())
    for name, of in (("ca.crt", "ca.crt"), ("shop.crt", "tls.crt"), ("shop.key", "tls.key")):
        (desk.folder / name).write_bytes((made / of).read_bytes())
    believing, showing = (line for line in TYPED if "ca.crt" in line)
    (program,) = (text for kind, text in BLOCK.findall(PAGE) if kind == "py")
    with tls_gateway(desk, asked_for) as target:
        assert ADMITTED in desk.shell(f"{showing} --target {target}", code=1)
        missing = "GATEWAY_UNREACHABLE"
        assert missing in desk.shell(f"sightline recommend --target {target}", code=1)
        expected = missing if asked_for else ADMITTED
        assert expected in desk.shell(f"{believing} --target {target}", code=1)
        (desk.folder / "secure.py").write_text(
            "from pathlib import Path\ntoken = Path('shop.token').read_text().strip()\n"
            + program.replace("shop.example:8600", target)
            + "with client:\n    client.recommend()\n"
        )
        assert expected in desk.shell(f"{sys.executable} secure.py", code=1)


def test_a_service_says_beforehand_whether_it_would_start(desk: Desk) -> None:
    (command,) = (line for line in TYPED if line.startswith("sightline config check"))
    assert desk.shell(command) == "gateway: settings and files are valid (development)"
    said = desk.shell(f"GATEWAY_MODE=production {command}", code=1)
    assert "GATEWAY_REFLECTION=false" in said
    assert f"`{(check := 'python -m gateway --check')}`" in PAGE
    assert "GATEWAY_KEYS_FILE" in desk.shell(f"GATEWAY_MODE=production {check}", code=2)


def test_a_visitor_is_merged_with_the_proof_that_came_with_the_id(desk: Desk) -> None:
    desk.shell("sightline keys new --name pages --roles read,events --file keys.toml > pages.token")
    until_admitted(desk, "sightline recommend --token-file pages.token")
    asked = "--token-file pages.token"  # on the public port
    said = desk.shell(f"sightline events merge cookie-7 alice {asked}", code=1)
    (command,) = commands(fix(said, "VISITOR_PROOF_INVALID"))
    _, visitor, _, proof = desk.shell(f"{command} {asked}").split()
    merge = f"sightline events merge {visitor} alice --proof {proof} {asked}"
    until(desk, merge, "RANKER_UNAVAILABLE")
    for other in (merge.replace(visitor, "cookie-7"), merge.replace(proof, f"{proof[:-1]}-")):
        assert "VISITOR_PROOF_INVALID" in desk.shell(other, code=1)
    desk.shell("sightline keys new --name desk --roles privacy,events --file keys.toml > d.token")
    trusted = "sightline events merge cookie-7 alice --token-file d.token"
    until(desk, trusted, "RANKER_UNAVAILABLE")


def test_a_key_that_is_added_last_signs_once_the_lines_are_turned_round(desk: Desk) -> None:
    keys = desk.folder / "tokens.keys"
    make, add, turn = KEYS
    assert (keys.stat().st_mode & 0o777, len(keys.read_text().split())) == (0o600, 2)
    former = keys.read_text().split()
    desk.shell(add)
    desk.shell(turn)
    assert keys.read_text().split()[1:] == former[::-1]
    assert keys.stat().st_mode & 0o777 == 0o600
    assert make.endswith("> tokens.keys")


def test_a_gateway_without_its_keys_says_so_and_ends(desk: Desk) -> None:
    said = desk.shell(f"GATEWAY_KEYS_FILE=nowhere.toml {sys.executable} -m gateway", code=2)
    assert "nowhere.toml: [Errno 2] No such file" in said
    assert "Traceback" not in said


def until_admitted(desk: Desk, command: str) -> None:
    """Type it until the gateway has looked at its file again."""
    until(desk, command, ADMITTED)


def until(desk: Desk, command: str, expected: str) -> None:
    end = time.monotonic() + SECONDS
    while expected not in (said := desk.shell(command, code=1)):
        assert time.monotonic() < end, said
