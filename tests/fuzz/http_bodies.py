"""Bodies of every encoding and compression, sent to the HTTP server by callers without a token and
with one: refused by a typed error, in bounded memory and processor time."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import random
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import httpx

from tests.engines import free_port
from tests.fuzz.model import Outcome

MOST_GROWN = 64 * 2**20
"""Maximum bytes of memory that one body may take."""
MOST_SECONDS = 1.0
"""Maximum processor seconds of one body."""
TOKEN = "fuzz-" + sha256(b"fuzz").hexdigest()
PATHS = ("/v1/catalogs/default:recommend", "/v1/catalogs/default/products:upsert")
FORM = b'--b\r\nContent-Disposition: form-data; name="request"\r\n\r\n%s\r\n--b--\r\n'


def texts(chance: random.Random) -> dict[str, bytes]:
    """Return texts that are costly to a reader which parses before it counts."""
    size = chance.choice((2**10, 2**16, 2**20, 2**23))
    return {
        "keys": b'{"z":"\\":"' + b"".join(b',"%x":1' % n for n in range(size // 9)) + b"}",
        "lists": b'{"z":[' + b"[]," * (size // 3) + b"[]]}",
        "levels": b'{"z":' + b"[" * (size // 2) + b"]" * (size // 2) + b"}",
        "objects": b"[" + b"{}," * (size // 3) + b"{}]",
        "quotes": b'{"z":"' + b'\\"' * (size // 2) + b'"}',
        "digits": b'{"pageSize":' + b"9" * size + b"}",
        "zeros": bytes(size),
        "noise": chance.randbytes(size),
    }


def bodies(text: bytes) -> dict[str, tuple[dict[str, str], bytes]]:
    """Return a text in every encoding, with the headers that name it."""
    kind, packed = {"content-type": "application/json"}, gzip.compress(text)
    form = {"content-type": "multipart/form-data; boundary=b"}
    coded = {name: kind | {"content-encoding": name} for name in ("gzip", "deflate", "br")}
    return {
        "plain": (kind, text),
        "gzip": (coded["gzip"], packed),
        "gzip twice": (coded["gzip"], gzip.compress(packed)),
        "gzip cut": (coded["gzip"], packed[: len(packed) // 2]),
        "deflate": (coded["deflate"], zlib.compress(text)),
        "br": (coded["br"], packed),
        "form": (form, FORM % text),
        "form in gzip": (form | coded["gzip"] | form, gzip.compress(FORM % text)),
        "form of lines": (form, b"\r\n--" * (len(text) // 4)),
        "utf-16": (kind, text.decode("latin-1").encode("utf-16")),
        "photo": ({"content-type": "image/jpeg"}, text),
        "protobuf": ({"content-type": "application/proto"}, text),
        "no type": ({}, text),
    }


async def check(seed: int, rounds: int = 6) -> Outcome:
    """Send the bodies. Raises OSError if the server does not start."""
    chance, statuses = random.Random(seed), Counter[int]()
    worst, grown, faults = 0.0, 0, list[str]()
    async with (
        _server() as (address, pid),
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        for _ in range(rounds):
            for of, text in texts(chance).items():
                for form, (headers, body) in bodies(text).items():
                    token = chance.choice(({}, {"authorization": f"Bearer {TOKEN}"}))
                    memory, seconds = _resident(pid), _processor(pid)
                    path = address + chance.choice(PATHS)
                    answer = await client.post(path, content=body, headers=headers | token)
                    grown = max(grown, _resident(pid) - memory)
                    worst = max(worst, spent := _processor(pid) - seconds)
                    statuses[answer.status_code] += 1
                    status = answer.status_code  # a photo is refused by a peer, which is away
                    typed = (400 <= status < 500 or status == 503) and "reason" in answer.json()
                    refused = bool(token) or answer.status_code == 401
                    if not (typed and refused and spent < MOST_SECONDS):
                        faults.append(f"{of} as {form}: {answer.status_code}, {spent:.1f} s")
    held = not faults and grown < MOST_GROWN
    said = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
    measured = f"{said}; one took {worst:.2f} s and {grown / 2**20:.0f} MiB at most"
    return Outcome(held, "; ".join([measured, *faults[:5]]))


@asynccontextmanager
async def _server() -> AsyncIterator[tuple[str, int]]:
    """Run a gateway with keys, without its peers, and its HTTP server. Yield the latter's address
    and process id."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        keys, socket = Path(folder) / "keys.toml", Path(folder) / "gateway.sock"
        digest = sha256(TOKEN.encode()).hexdigest()
        keys.write_text(
            f'[[keys]]\nname = "fuzz"\nsha256 = "{digest}"\nroles = ["read"]\ncatalogs = ["*"]\n'
        )
        keys.chmod(0o600)
        settings = {
            "GATEWAY_PORT": "0",
            "GATEWAY_SOCKET": str(socket),
            "GATEWAY_KEYS_FILE": str(keys),
            "GATEWAY_HTTP_PORT": str(port),
            "GATEWAY_HTTP_GATEWAY_TARGET": f"unix:{socket}",
        }
        made = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module),
                env=os.environ | settings,
                cwd=folder,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            for module in ("gateway", "gateway.http")
        ]
        try:
            await _answers(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}", made[1].pid
        finally:
            for each in made:
                with contextlib.suppress(ProcessLookupError):
                    each.kill()
                await each.wait()


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=60)


async def _answers(address: str) -> None:
    async with _client() as client:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if (await client.post(address + PATHS[0], json={})).status_code == 401:
                    return
            await asyncio.sleep(0.1)
    raise OSError("the HTTP server does not answer")


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
