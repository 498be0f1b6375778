"""The npm package of the TypeScript client, built and installed as a caller installs it."""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.files import link
from tests.tools import tool
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[1]
CLIENT = ROOT / "client" / "typescript"
CACHE = ROOT / ".cache" / "npm"
PAGE = "https://example.com/you/sightline"
"""The project's page, which the package names."""
TOOLS = ("typescript", "esbuild", "@types/node")
"""Packages that an installation has beside the client: those that build it."""
QUIET = {"ignore_scripts": "true", "audit": "false", "fund": "false", "prefer_offline": "true"}


@dataclass(frozen=True)
class Shop:
    """A folder in which the package is installed."""

    folder: Path
    environment: Mapping[str, str]

    async def run(self, *command: str, **environment: str) -> str:
        """Run a command in the folder. Return its output; AssertionError if it fails."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, errors = await asyncio.wait_for(process.communicate(), SECONDS)
        assert process.returncode == 0, (printed + errors).decode()
        return printed.decode()

    async def evaluate(self, code: str, **values: Any) -> Any:
        """Run a module that sets `result`, with everything of the package and the values in
        scope. Return the result, in which big integers are texts."""
        given = "".join(f"const {name} = {json.dumps(each)};\n" for name, each in values.items())
        shown = "(_, each) => typeof each === 'bigint' ? String(each) : each"
        module = (
            'import * as sightline from "sightline-client";\n'
            f"let result;\n{given}{code}\n"
            f"console.log(JSON.stringify(result ?? null, {shown}));\n"
        )
        return json.loads(await self.run("node", "--input-type=module", "--eval", module))

    def script(self) -> str:
        """Return the script that sends a page's events."""
        return self.file("events.min.js").read_text("utf-8")

    def file(self, name: str) -> Path:
        """Return a built file of the package."""
        return self.folder / "node_modules" / "sightline-client" / "dist" / name


def environment() -> dict[str, str]:
    """Return the environment of npm: no script of a package is run, and nothing is reported."""
    return os.environ | options()


def options() -> dict[str, str]:
    """Return the variables of `environment` that are npm's."""
    for each in ("node", "npm"):
        tool(each)
    return {f"npm_config_{name}": value for name, value in QUIET.items()}


def package() -> Path:
    """Return the folder of `make npm`, which is built once for each state of its sources."""
    return _once(_digest(), _build)


def install(folder: Path) -> Shop:
    """Install the package and the tools that build it in a new folder: npm does so once for each
    state of their sources, and other folders get what it made."""
    built = package()
    made = _once(f"{built.name}-installed", lambda new: _install(built, new))
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy2(made / name, folder / name)
    modules = "node_modules"
    shutil.copytree(made / modules, folder / modules, symlinks=True, copy_function=link)
    return Shop(folder, environment())


def _once(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, which `make` fills if no process did so before."""
    made = CACHE / name
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            part = made.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            make(part)
            part.rename(made)
    return made


def _build(folder: Path) -> None:
    _run(ROOT, str(ROOT / "deploy/npm.sh"), OUT=str(folder), PROJECT_URL=PAGE)


def _install(built: Path, folder: Path) -> None:
    (packed,) = built.glob("*.tgz")
    tools = json.loads((CLIENT / "package.json").read_text("utf-8"))["devDependencies"]
    wanted = {name: tools[name] for name in TOOLS}
    manifest = {"private": True, "type": "module", "devDependencies": wanted}
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps(manifest), "utf-8")
    _run(folder, "npm", "install", "--silent", str(packed))


def _digest() -> str:
    """Return a hash of all files that the package is made of."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--")
    sources = ("client/typescript", "protos/sightline/**.proto", "deploy/npm.sh")
    names = subprocess.run([*listed, *sources], cwd=ROOT, capture_output=True, check=True).stdout
    found = hashlib.sha256(PAGE.encode())
    for name in sorted({*names.decode().split("\0")[:-1], "docs/integrate/errors.md", "LICENSE"}):
        if (ROOT / name).exists():
            found.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    return found.hexdigest()[:24]


def _run(folder: Path, *command: str, **further: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment() | further,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
