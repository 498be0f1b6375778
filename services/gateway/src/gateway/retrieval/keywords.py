"""Keyword search of texts in the record, which needs no model and no index."""

from gateway.model.causes import Peer
from gateway.model.plan import MOST_ASKED
from gateway.model.query import Signal
from gateway.model.retrieved import BranchResult, failed
from gateway.retrieval.similar import listing_of, result_of
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.branch import Branch
from sightline_core.changed import changed


async def by_words(run: RequestContext, signal: Signal, label: str = "") -> BranchResult:
    """Return the products that have words of a text, or of the label on a photo."""
    query, plan, branch = run.query, run.plan, Branch.LABELS if label else Branch.KEYWORDS
    try:
        async with run.trace.stage("words", plan.ends.candidates) as note:
            found = await run.peers.retriever.keywords(
                query.catalog_id,
                label or signal.text,
                plan.scope,
                top_k=plan.top_k,
                exclude=query.left_out[:MOST_ASKED],
                language_code="" if label else run.text_language,
                correct=query.corrects(signal),
                labelled=bool(label),
                guess_language=not (label or query.says_language),
            )
            note.work = found.work
    except ServiceError as error:
        return failed(branch, Peer.RETRIEVER, error)
    listing = listing_of(branch, signal.strength, found, signal)
    corrected = {signal.index: found.corrected_text} if found.corrected_text else {}
    return changed(result_of(plan.top_k, listing, found), corrected=corrected)
