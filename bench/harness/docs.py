"""Writes a bench's tables into its page, between comments."""

from pathlib import Path

from bench.harness.machine import ROOT
from bench.harness.model import BenchResult, BenchTable, PageBlock
from bench.harness.report import verdict

EMBEDDER = ROOT / "lab" / "research" / "embedder.md"
PERFORMANCE = ROOT / "lab" / "research" / "performance.md"
EXPERIMENTS = ROOT / "lab" / "research" / "experiments.md"
AUTOSCALING = ROOT / "lab" / "research" / "autoscaling.md"
PRIVATE_COUNTS = ROOT / "lab" / "research" / "private-counts.md"
PHOTOS = ROOT / "lab" / "research" / "photos.md"
TEXTS = ROOT / "lab" / "research" / "texts.md"
FAIRNESS = ROOT / "lab" / "research" / "fairness.md"
QUALITY = ROOT / "lab" / "research" / "quality.md"
SUGGEST = PERFORMANCE
NEW_PODS = AUTOSCALING
PAGES = {
    "at_rest": PERFORMANCE,
    "idle_catalogs": PERFORMANCE,
    "beside": PERFORMANCE,
    "accuracy": EMBEDDER,
    "embedding": EMBEDDER,
    "ablation": EMBEDDER,
    "capacity": AUTOSCALING,
    "detect": ROOT / "lab" / "research" / "detect.md",
    "monolith": PERFORMANCE,
    "experiments": EXPERIMENTS,
    "diversity": ROOT / "lab" / "research" / "diversity.md",
    "exposure": FAIRNESS,
    "faces": EMBEDDER,
    "http": PERFORMANCE,
    "listing": PERFORMANCE,
    "inspect": ROOT / "lab" / "research" / "inspect.md",
    "million_users": PERFORMANCE,
    "misfits": ROOT / "lab" / "research" / "inspect.md",
    "photo_clicks": PHOTOS,
    "photo_parts": PHOTOS,
    "photo_search": PHOTOS,
    "posters": QUALITY,
    "quality": QUALITY,
    "labels": ROOT / "lab" / "research" / "labels.md",
    "watch_counts": ROOT / "lab" / "research" / "watch.md",
    "watch_beside": ROOT / "lab" / "research" / "watch.md",
    "watch": ROOT / "lab" / "research" / "watch.md",
    "gpu": EMBEDDER,
    "new_films": QUALITY,
    "new_pods": NEW_PODS,
    "no_good_match": ROOT / "lab" / "research" / "no-good-match.md",
    "objectives": ROOT / "lab" / "research" / "objectives.md",
    "private_counts": PRIVATE_COUNTS,
    "sequence": QUALITY,
    "shelves": PERFORMANCE,
    "shelf_plans": ROOT / "lab" / "research" / "shelf-plans.md",
    "side_features": QUALITY,
    "sizes": PERFORMANCE,
    "suggest": SUGGEST,
    "deliveries": ROOT / "lab" / "research" / "deliveries.md",
    "corrections": TEXTS,
    "texts": TEXTS,
}
"""Page of each bench's tables."""


BLOCKS = {"texts": ("texts", "texts_languages")}
"""Names of a page's blocks, of benches that have several or one of another name."""


def write(name: str, result: BenchResult, page: Path | None = None) -> None:
    """Replace the text between the comments of the bench's blocks by their tables and goals. Do
    nothing for a bench without a page or without measurements. Raise ValueError if the page lacks
    the comments.
    """
    path = page or PAGES.get(name)
    if path is None or not result.tables:
        return
    whole = {name: PageBlock(result.tables, result.goals)}
    text = path.read_text()
    for block, content in (whole if result.page is None else result.page).items():
        start, end = marks(block)
        before, found, rest = text.partition(start)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise ValueError(f"{path} has no {start} … {end}")
        text = f"{before}{start}\n{_shown(content)}\n{end}{after}"
    path.write_text(text)
    for picture, drawn in result.pictures.items():
        (path.parent / picture).write_text(drawn, encoding="utf-8")


def _shown(block: PageBlock) -> str:
    parts = [_markdown(table) for table in block.tables]
    if block.goals:
        parts.append("\n".join(f"- {verdict(goal)}" for goal in block.goals))
    return "\n\n".join(parts)


def marks(name: str) -> tuple[str, str]:
    """Return the comments before and after a block's tables; `name` is mostly the bench's."""
    return f"<!-- bench {name} -->", f"<!-- end of bench {name} -->"


def _markdown(table: BenchTable) -> str:
    rows = [table.headers, ("---",) * len(table.headers), *table.rows]
    lines = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join((f"**{table.title}.** {table.caption}", "", *lines))
