"""What texts find by their words: the record's own search, which needs no model and no index."""

from gateway.model.branch import Branch
from gateway.model.candidates import Listing
from gateway.model.causes import Peer
from gateway.model.plan import MOST_ASKED
from gateway.model.query import Signal, SignalKind
from gateway.retrieval.parallel import in_parallel
from gateway.state.run import Run
from servicekit.errors import ServiceError


async def by_words(run: Run) -> tuple[Listing, ...]:
    """A list for each text; one that could not be searched for is noted."""
    texts = [signal for signal in run.query.signals if signal.kind is SignalKind.TEXT]
    found = await in_parallel(*(_by_words_of(run, signal) for signal in texts))
    return tuple(listing for listing in found if listing is not None)


async def _by_words_of(run: Run, signal: Signal) -> Listing | None:
    try:
        async with run.trail.stage("words", run.plan.ends.candidates) as note:
            found = await run.house.peers.retriever.words(
                run.query.catalog_id,
                signal.text,
                run.plan.scope,
                top_k=run.plan.top_k,
                exclude=run.query.left_out[:MOST_ASKED],
            )
            note.work = found.work
    except ServiceError as error:
        run.trail.fail(Branch.KEYWORDS, Peer.RETRIEVER, error)
        return None
    run.trail.searched(found)
    away = ", away from it" if signal.negative else ""
    run.trail.named.append(f"{Branch.KEYWORDS}: top {run.plan.top_k}{away} ({found.plan})")
    return Listing(
        Branch.KEYWORDS,
        signal.strength,
        found.columns,
        found.similarities,
        collapsed=found.collapsed,
        signal=signal.index,
        away=signal.negative,
    )
