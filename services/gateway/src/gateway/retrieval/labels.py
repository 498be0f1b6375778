"""Search by the words of the labels on photos, beside the search by how they look."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from gateway.model.causes import Peer
from gateway.model.peers import ReadLabel
from gateway.model.plan import MOST_ASKED
from gateway.model.query import Signal
from gateway.model.retrieved import BranchResult, failed, merged
from gateway.retrieval.embedding import photo_error
from gateway.retrieval.parallel import in_parallel
from gateway.retrieval.similar import listing_of, result_of
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.branch import Branch
from sightline_core.opaque_messages import Box, LabelLine
from sightline_rules.words import words_of

LEAST_MATCH = 0.15
"""Match of words from which a product's reasons say what the label reads."""
MOST_SHOWN = 8
"""Words of a label that a reason says."""
MOST_TEXT = 4_096


async def by_labels(run: RequestContext) -> BranchResult:
    """Return the products that have words of the labels on the request's photos, and what was
    read."""
    photos = [each for each in run.query.labelled if each in run.plan.labelled]
    return merged(await in_parallel(*(_of_photo(run, photo) for photo in photos)))


def unread(run: RequestContext) -> tuple[int, ...]:
    """Return the indexes of photos whose labels were wanted and were not read."""
    if Branch.LABELS not in run.plan.branches:
        return ()
    return tuple(each.index for each in run.query.labelled if each.index not in run.trace.labels)


async def _of_photo(run: RequestContext, photo: Signal) -> BranchResult:
    try:
        known = run.trace.labels.get(photo.index)
        label = await _read(run, photo) if known is None else known
    except ServiceError as error:
        if refused := photo_error(photo, error):
            raise refused from error
        return failed(Branch.LABELS, Peer.EMBEDDER, error)
    text = "\n".join(line.text for line in label.lines)[:MOST_TEXT]
    read = BranchResult(labels={photo.index: label})
    return merged([read, await _near(run, photo, text, label.lines)]) if text else read


async def _read(run: RequestContext, photo: Signal) -> ReadLabel:
    """Return the texts in a photo, or in its box. Raises ServiceError."""
    async with run.trace.stage("labels", run.plan.ends.candidates) as note:
        label = await run.peers.embedder.read_label(run.query.catalog_id, photo, run.query.priority)
        note.work = label.work
    if photo.box is None:
        return label
    return replace(label, lines=[line for line in label.lines if is_within(line, photo.box)])


async def _near(
    run: RequestContext, photo: Signal, text: str, lines: Sequence[LabelLine]
) -> BranchResult:
    """Return the products that have words of a label."""
    try:
        async with run.trace.stage("words", run.plan.ends.candidates) as note:
            found = await run.peers.retriever.keywords(
                run.query.catalog_id,
                text,
                run.plan.scope,
                top_k=run.plan.top_k,
                exclude=run.query.left_out[:MOST_ASKED],
                labelled=True,
            )
            note.work = found.work
    except ServiceError as error:
        return failed(Branch.LABELS, Peer.RETRIEVER, error)
    result = result_of(run, listing_of(Branch.LABELS, photo.strength, found, photo), found)
    matches = zip(found.columns.product_ids, found.similarities, strict=True)
    good = {product_id for product_id, match in matches if match >= LEAST_MATCH}
    shown = {
        product_id: as_shown(lines, frozenset(words))
        for product_id, words in found.label_words.items()
        if product_id in good and words
    }
    return replace(result, read=shown)


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
