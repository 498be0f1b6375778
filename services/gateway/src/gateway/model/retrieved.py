"""What branches bring in."""

from dataclasses import dataclass

from gateway.model.candidates import Listing
from gateway.model.peers import Nominees


@dataclass(frozen=True, slots=True)
class BranchResult:
    """What one branch brought in."""

    listings: tuple[Listing, ...] = ()
    popular: Nominees | None = None
    """Popular products that the ranker named for a shopper without history: they wait for the case
    that nothing else names candidates."""
    fresh: Listing | None = None
    """New products to give places to: they stand beside whatever is named."""
