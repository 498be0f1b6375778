"""MkDocs hooks: the site also holds pages that stand elsewhere in the repository.

A link to one of them leads to its page of the site. A link to any other file of the repository,
such as a .proto, becomes the file's path in plain text, as the site does not have the file. A
Mermaid diagram becomes the picture that was made of it, as the site loads no script.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from docs import diagrams
from gateway.http import openapi
from gateway.http.contract import public_methods

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = {
    "client/README.md": "integrate/python.md",
    "client/typescript/README.md": "integrate/typescript.md",
    "deploy/k8s/README.md": "operate/kubernetes.md",
    "deploy/triton/README.md": "operate/triton.md",
    "deploy/milvus-cluster/README.md": "operate/milvus-cluster.md",
    "services/gateway/README.md": "project/gateway.md",
    "services/embedder/README.md": "project/embedder.md",
    "services/retriever/README.md": "project/retriever.md",
    "services/ranker/README.md": "project/ranker.md",
    "bench/README.md": "project/bench.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
}
"""Pages of the repository → where the site has them."""
OPENAPI = "reference/openapi.json"
"""What the page of all calls shows; the running suite sends it at /openapi.json."""
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]*)((?:#[^)\s]*)?)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand elsewhere in the repository, and the description of all calls."""
    for source, uri in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=text))
    files.append(File.generated(config, OPENAPI, content=_described()))
    return files


def _described() -> str:
    """Return the description of all calls over HTTP."""
    made = openapi.describe(public_methods(), openapi.sources(), "http://127.0.0.1:8680")
    return json.dumps(made, ensure_ascii=False)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite links to where the site has the target, and diagrams to their pictures.

    Raise PluginError for a link within the repository that leads nowhere, and for a diagram
    without a picture.
    """
    sources = {uri: source for source, uri in ELSEWHERE.items()}
    uri = page.file.src_uri
    here = Path(sources.get(uri, f"docs/{uri}")).parent

    def led(match: re.Match[str]) -> str:
        text, name, head = match.groups()
        if not name or ":" in name:
            return match[0]
        there = os.path.normpath(here / name)
        if not (ROOT / there).exists():
            raise PluginError(f"{uri}: there is no {there}")
        inside = ELSEWHERE.get(there) or _within(there)
        if inside is None:
            return text if there in text else f"{text} (`{there}`)"
        return f"[{text}]({os.path.relpath(inside, Path(uri).parent)}{head})"

    def drawn(match: re.Match[str]) -> str:
        path = diagrams.picture(match[1])
        if not path.exists():
            raise PluginError(f"{uri}: a diagram has no picture: make pictures ONLY=diagrams")
        there = os.path.relpath(path, ROOT / "docs" / Path(uri).parent)
        return f"![{diagrams.title(match[1])}]({there})"

    return diagrams.FENCE.sub(drawn, LINK.sub(led, markdown))


def _within(there: str) -> str | None:
    """Return the path of a file on the site; None outside docs/ and for a folder."""
    if there.startswith("docs/") and (ROOT / there).is_file():
        return there.removeprefix("docs/")
    return None
