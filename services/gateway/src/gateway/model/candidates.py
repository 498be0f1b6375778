"""The values of sightline_core.candidates, by the name under which the gateway knows them."""

from sightline_core.candidates import CandidateList, Contributions, FusedCandidates, falling

__all__ = ["CandidateList", "Contributions", "FusedCandidates", "falling"]
