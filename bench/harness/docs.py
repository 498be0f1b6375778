"""Writes a bench's tables into its page, between two comments."""

from pathlib import Path

from bench.harness.machine import ROOT
from bench.harness.model import BenchResult, BenchTable
from bench.harness.report import verdict

EMBEDDER = ROOT / "docs" / "research" / "embedder.md"
PERFORMANCE = ROOT / "docs" / "research" / "performance.md"
EXPERIMENTS = ROOT / "docs" / "research" / "experiments.md"
AUTOSCALING = ROOT / "docs" / "research" / "autoscaling.md"
PRIVATE_COUNTS = ROOT / "docs" / "operate" / "private-counts.md"
PHOTOS = ROOT / "docs" / "research" / "photos.md"
TEXTS = ROOT / "docs" / "research" / "texts.md"
FAIRNESS = ROOT / "docs" / "merchandise" / "fairness.md"
QUALITY = ROOT / "docs" / "research" / "quality.md"
SUGGEST = ROOT / "docs" / "integrate" / "suggest.md"
NEW_PODS = ROOT / "docs" / "operate" / "autoscaling.md"
PAGES = {
    "at_rest": ROOT / "docs" / "operate" / "one-process.md",
    "idle_catalogs": ROOT / "docs" / "operate" / "catalogs.md",
    "beside": PERFORMANCE,
    "accuracy": EMBEDDER,
    "embedding": EMBEDDER,
    "ablation": EMBEDDER,
    "capacity": AUTOSCALING,
    "detect": ROOT / "docs" / "research" / "detect.md",
    "monolith": PERFORMANCE,
    "experiments": EXPERIMENTS,
    "diversity": ROOT / "docs" / "research" / "diversity.md",
    "exposure": FAIRNESS,
    "faces": EMBEDDER,
    "http": PERFORMANCE,
    "listing": PERFORMANCE,
    "inspect": ROOT / "docs" / "research" / "inspect.md",
    "misfits": ROOT / "docs" / "research" / "inspect.md",
    "photo_clicks": PHOTOS,
    "photo_parts": PHOTOS,
    "photo_search": PHOTOS,
    "posters": QUALITY,
    "quality": QUALITY,
    "labels": ROOT / "docs" / "research" / "labels.md",
    "watch_counts": ROOT / "docs" / "research" / "watch.md",
    "watch_beside": ROOT / "docs" / "research" / "watch.md",
    "watch": ROOT / "docs" / "research" / "watch.md",
    "gpu": EMBEDDER,
    "new_films": QUALITY,
    "new_pods": NEW_PODS,
    "no_good_match": ROOT / "docs" / "research" / "no-good-match.md",
    "objectives": ROOT / "docs" / "research" / "objectives.md",
    "private_counts": PRIVATE_COUNTS,
    "sequence": QUALITY,
    "shelves": PERFORMANCE,
    "shelf_plans": ROOT / "docs" / "research" / "shelf-plans.md",
    "side_features": QUALITY,
    "sizes": PERFORMANCE,
    "suggest": SUGGEST,
    "deliveries": ROOT / "docs" / "research" / "deliveries.md",
    "corrections": TEXTS,
    "texts": TEXTS,
}
"""Page of each bench's tables."""


def write(name: str, result: BenchResult, page: Path | None = None) -> None:
    """Replace the text between the bench's comments by its tables and goals. Do nothing for a bench
    without a page or without measurements. Raise ValueError if the page lacks the comments.
    """
    path = page or PAGES.get(name)
    if path is None or not result.tables:
        return
    start, end = marks(name)
    text = path.read_text()
    before, found, rest = text.partition(start)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{path} has no {start} … {end}")
    parts = [_markdown(table) for table in result.tables]
    if result.goals:
        parts.append("\n".join(f"- {verdict(goal)}" for goal in result.goals))
    joined = "\n\n".join(parts)
    path.write_text(f"{before}{start}\n{joined}\n{end}{after}")
    for picture, content in result.pictures.items():
        (path.parent / picture).write_text(content, encoding="utf-8")


def marks(name: str) -> tuple[str, str]:
    """Return the comments before and after a bench's tables."""
    return f"<!-- bench {name} -->", f"<!-- end of bench {name} -->"


def _markdown(table: BenchTable) -> str:
    rows = [table.headers, ("---",) * len(table.headers), *table.rows]
    lines = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join((f"**{table.title}.** {table.caption}", "", *lines))
