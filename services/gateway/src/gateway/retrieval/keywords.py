"""Keyword search of texts in the record, which needs no model and no index."""

from gateway.model.causes import Peer
from gateway.model.plan import MOST_ASKED
from gateway.model.query import Signal, SignalKind
from gateway.model.retrieved import BranchResult, failed, merged
from gateway.retrieval.parallel import in_parallel
from gateway.retrieval.similar import listing_of, result_of
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.branch import Branch
from sightline_core.changed import changed


async def by_keywords(run: RequestContext) -> BranchResult:
    """Return a list for each text that could be searched."""
    texts = [signal for signal in run.query.signals if signal.kind is SignalKind.TEXT]
    return merged(await in_parallel(*(_of_text(run, signal) for signal in texts)))


async def _of_text(run: RequestContext, signal: Signal) -> BranchResult:
    try:
        async with run.trace.stage("words", run.plan.ends.candidates) as note:
            found = await run.peers.retriever.keywords(
                run.query.catalog_id,
                signal.text,
                run.plan.scope,
                top_k=run.plan.top_k,
                exclude=run.query.left_out[:MOST_ASKED],
                language_code=run.text_language,
                correct=run.query.corrects(signal),
                guess_language=not run.query.says_language,
            )
            note.work = found.work
    except ServiceError as error:
        return failed(Branch.KEYWORDS, Peer.RETRIEVER, error)
    result = result_of(run, listing_of(Branch.KEYWORDS, signal.strength, found, signal), found)
    corrected = {signal.index: found.corrected_text} if found.corrected_text else {}
    return changed(result, corrected=corrected)
