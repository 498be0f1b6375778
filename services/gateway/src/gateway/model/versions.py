"""The values of sightline_core.versions, by the name under which the gateway knows them."""

from sightline_core.versions import Freshness, SpaceVersion, StageTiming, Versions

__all__ = ["Freshness", "SpaceVersion", "StageTiming", "Versions"]
