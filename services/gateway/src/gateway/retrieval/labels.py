"""Search by the words of the labels on photos, beside the search by how they look."""

from collections.abc import Collection, Container, Iterator, Sequence
from dataclasses import replace

from gateway.model.causes import Peer
from gateway.model.plan import RequestPlan
from gateway.model.query import RequestQuery, Signal
from gateway.model.retrieved import BranchResult, failed, merged
from gateway.retrieval.embedding import photo_error
from gateway.retrieval.keywords import by_words
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.branch import Branch
from sightline_core.opaque_messages import Box, LabelLine
from sightline_core.search import NearestProducts
from sightline_rules.words import words_of

LEAST_MATCH = 0.15
"""Match of words from which a product's reasons say what the label reads."""
MOST_SHOWN = 8
"""Words of a label that a reason says."""
MOST_TEXT = 4_096


async def by_label(run: RequestContext, photo: Signal) -> BranchResult:
    """Return the products that have words of the label on a photo, or in its box, and what was
    read."""
    label = run.trace.labels.get(photo.index)
    if label is None:
        query = run.query
        try:
            async with run.trace.stage("labels", run.plan.ends.candidates) as note:
                embedder = run.peers.embedder
                label = await embedder.read_label(query.catalog_id, photo, query.priority)
                note.work = label.work
        except ServiceError as error:
            if refused := photo_error(photo, error):
                raise refused from error
            return failed(Branch.LABELS, Peer.EMBEDDER, error)
        if photo.box is not None:
            lines = [line for line in label.lines if is_within(line, photo.box)]
            label = replace(label, lines=lines)
    text = "\n".join(line.text for line in label.lines)[:MOST_TEXT]
    read = BranchResult(labels={photo.index: label})
    if not text:
        return read
    near = await by_words(run, photo, text)
    shown = {item: each for found in near.found for item, each in _shown(found, label.lines)}
    return merged([read, replace(near, read=shown)])


def unread(query: RequestQuery, plan: RequestPlan, labels: Container[int]) -> tuple[int, ...]:
    """Return the indexes of photos whose labels were wanted and are not among those read."""
    if Branch.LABELS not in plan.branches:
        return ()
    return tuple(each.index for each in query.labelled if each.index not in labels)


def _shown(found: NearestProducts, lines: Sequence[LabelLine]) -> Iterator[tuple[str, str]]:
    """Yield the products that match well, with the words of a label that they have."""
    matches = zip(found.columns.product_ids, found.similarities, strict=True)
    good = {product_id for product_id, match in matches if match >= LEAST_MATCH}
    for product_id, words in found.label_words.items():
        if product_id in good and words:
            yield product_id, as_shown(lines, frozenset(words))


def as_shown(lines: Sequence[LabelLine], words: Collection[str]) -> str:
    """Return those of some folded words that a label has, as it shows them, in its order."""
    shown = dict.fromkeys(
        part
        for line in lines
        for part in line.text.split()
        if not set(words).isdisjoint(words_of(part))
    )
    return " ".join([*shown][:MOST_SHOWN])


def is_within(line: LabelLine, box: Box) -> bool:
    """Return whether the middle of a line is within a box."""
    middle_x = sum(corner.x for corner in line.corners) / max(len(line.corners), 1)
    middle_y = sum(corner.y for corner in line.corners) / max(len(line.corners), 1)
    return box.left <= middle_x <= box.right and box.top <= middle_y <= box.bottom
