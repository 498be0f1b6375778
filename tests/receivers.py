"""The receiver of docs/integrate/webhooks.md."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.waiting import until

PAGE = (Path(__file__).parents[1] / "docs/integrate/webhooks.md").read_text("utf-8")


@asynccontextmanager
async def page_receiver(
    secret: str, port: int, folder: Path
) -> AsyncIterator[asyncio.StreamReader]:
    """Run the page's receiver. Yield what it prints, once it accepts connections: a message that is
    refused before is tried again minutes later."""
    (code,) = re.findall(r'^```python title="receiver.py"\n(.*?)^```', PAGE, re.M | re.S)
    file = folder / "receiver.py"
    await asyncio.to_thread(file.write_text, code)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(file)),
        env=os.environ | {"WEBHOOK_SECRETS": secret, "PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        await until(lambda: _accepts(port))
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
