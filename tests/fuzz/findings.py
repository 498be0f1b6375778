"""Findings as files that can be sent again."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.model import Call, Caller, Finding


def write(folder: Path, findings: Sequence[Finding]) -> list[Path]:
    """Write one JSON file for each finding, with numbers after those of existing files."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = len(list(folder.glob("*.json")))
    paths = []
    for number, finding in enumerate(findings, start=taken + 1):
        call, answer = finding.call, finding.answer
        name = call.method.rpartition("/")[2] if call else finding.check
        path = folder / f"{number:04}-{name}.json"
        content = {
            "check": finding.check,
            "why": finding.why,
            "method": call.method if call else None,
            "request": base64.b64encode(call.request).decode() if call else None,
            "seconds": call.seconds if call else None,
            "metadata": call.metadata if call else None,
            "caller": call.caller if call else None,
            "code": answer.code if answer else None,
            "message": answer.message if answer else None,
        }
        path.write_text(json.dumps(content, indent=1) + "\n")
        paths.append(path)
    return paths


def read(path: Path) -> Call:
    """Return the call of a finding. Raise ValueError if it has none."""
    content = json.loads(path.read_text())
    if not content.get("method"):
        raise ValueError(f"{path} holds no request: {content.get('why')}")
    return Call(
        method=content["method"],
        request=base64.b64decode(content["request"]),
        seconds=content["seconds"],
        metadata=tuple((name, value) for name, value in content["metadata"]),
        caller=Caller(content["caller"]),
    )
