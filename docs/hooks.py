"""MkDocs hooks: the site also holds pages that stand elsewhere in the repository.

A link to one of them leads to its page of the site. A link to any other file of the repository,
such as a .proto, becomes the file's path in plain text, as the site does not have the file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = {
    "client/README.md": "integrate/python.md",
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
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]*)((?:#[^)\s]*)?)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that stand elsewhere."""
    for source, uri in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Leads the links of a page to where the site has what they mean.

    PluginError for a link within the repository that leads nowhere.
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

    return LINK.sub(led, markdown)


def _within(there: str) -> str | None:
    """The path of a file as the site has it; None outside docs/ and of a folder."""
    if there.startswith("docs/") and (ROOT / there).is_file():
        return there.removeprefix("docs/")
    return None
