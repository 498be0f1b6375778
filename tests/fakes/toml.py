"""The parser of callers' TOML without its process."""

from typing import Any

from servicekit.decoding import toml_process, untrusted_toml
from servicekit.decoding.wire import Refused


async def parsed(text: str) -> dict[str, Any]:
    """Parse as TomlParser does, in this process."""
    content = text.encode()
    untrusted_toml.check_limits(text, len(content))
    try:
        facts, found = toml_process.answer(b"", content, 0)
    except Refused as error:
        raise untrusted_toml.TomlInvalid(str(error)) from error
    assert found is not None
    (size,) = toml_process.ENTRIES.facts.unpack(facts)
    entries: dict[str, Any] = toml_process.decoded(bytes(found[:size]))
    return entries
