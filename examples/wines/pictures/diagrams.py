"""Mermaid diagrams of pages as SVG, for the site of docs/, which loads no script."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path

from playwright.sync_api import Browser

from docs.diagrams import PAGES, fences, picture
from examples.wines.demo.model import DemoFailed

VERSION = "11.12.1"
DIGEST = "3bd65ddefe97fb2e01d976a01d4078f8d773bfc56c6a75a9abf08b564ce0f8b2"
"""SHA-256 of the package as npm's registry has it."""
CACHE = Path(__file__).resolve().parents[3] / ".cache" / "mermaid"
OPTIONS = {
    "startOnLoad": False,
    "theme": "neutral",
    "fontFamily": "DejaVu Sans, Verdana, sans-serif",
    "htmlLabels": False,
    "flowchart": {"htmlLabels": False, "useMaxWidth": False},
}
"""Labels are SVG text, because HTML within an SVG is not shown if the SVG is an image."""


def take(browser: Browser) -> None:
    """Write the picture of each diagram and delete those of former diagrams."""
    made = {}
    for page in PAGES:
        for diagram in fences(page.read_text("utf-8")):
            made[picture(diagram)] = diagram
    for path, diagram in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_svg(browser, diagram), "utf-8")
    for path in next(iter(made)).parent.glob("*.svg"):
        if path not in made:
            path.unlink()


def _svg(browser: Browser, diagram: str) -> str:
    tab = browser.new_page()
    tab.add_script_tag(content=_script())
    tab.evaluate("options => mermaid.initialize(options)", OPTIONS)
    svg: str = tab.evaluate("text => mermaid.render('d', text).then(made => made.svg)", diagram)
    tab.close()
    return svg.replace("<br>", "<br/>") + "\n"


def _script() -> str:
    """Return Mermaid's script, taken out of its package. Raise DemoFailed when it is another."""
    archive = CACHE / f"mermaid-{VERSION}.tgz"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "pack", "--silent", f"mermaid@{VERSION}", "--pack-destination", CACHE],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    if sha256(archive.read_bytes()).hexdigest() != DIGEST:
        raise DemoFailed(f"{archive} is not the package that was checked: delete it")
    with tarfile.open(archive) as package, tempfile.TemporaryDirectory() as folder:
        package.extract("package/dist/mermaid.min.js", folder, filter="data")
        return (Path(folder) / "package/dist/mermaid.min.js").read_text("utf-8")
