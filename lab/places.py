"""Folders and pages of the laboratory."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.harness.machine import ROOT

LAB = ROOT / "lab"
RESULTS = LAB / "results"
RESEARCH = LAB / "research"
_BENCHES: Mapping[Path, str] = {
    RESEARCH / "autoscaling.md": "capacity new_pods",
    RESEARCH / "console.md": "console",
    RESEARCH / "deliveries.md": "deliveries",
    RESEARCH / "detect.md": "detect",
    RESEARCH / "diversity.md": "diversity",
    RESEARCH / "embedder.md": "ablation accuracy embedding faces gpu",
    RESEARCH / "experiments.md": "experiments",
    RESEARCH / "fairness.md": "exposure",
    RESEARCH / "inspect.md": "inspect misfits",
    RESEARCH / "labels.md": "labels",
    RESEARCH / "no-good-match.md": "no_good_match",
    RESEARCH / "objectives.md": "objectives",
    RESEARCH / "performance.md": "beside http idle_catalogs listing million_users shelves suggest",
    RESEARCH / "personal.md": "personal",
    RESEARCH / "photos.md": "clutter photo_parts photo_search",
    RESEARCH / "private-counts.md": "private_counts",
    RESEARCH
    / "quality.md": "new_films posters quality sequence side_features small_shops time_folds",
    RESEARCH / "shelf-plans.md": "shelf_plans",
    RESEARCH / "texts.md": "corrections dictionaries texts",
    RESEARCH / "watch.md": "watch watch_beside watch_counts",
}
"""Benches that write a page."""


def _pages() -> Iterator[tuple[str, Path]]:
    for page, benches in _BENCHES.items():
        yield from ((name, page) for name in benches.split())


PAGES = dict(_pages())
"""Page of each bench's tables."""
BLOCKS = {"texts": ("texts", "texts_languages")}
"""Names of a page's blocks, of benches that have several or one of another name."""
