"""Settings of the process beside those of its services."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from servicekit.config import ProcessSettings


class AllSettings(ProcessSettings):
    """Settings of several services in one process."""

    model_config = SettingsConfigDict(env_prefix="ALL_")

    http: bool = True
    """If true, the process also answers the gateway's calls over HTTP (`GATEWAY_HTTP_…`)."""

    blocked_seconds: float = Field(default=1.5, ge=0, le=600)
    """Seconds after which the process ends, with the stacks of its threads in its log, when a
    service blocks the event loop of all. 0: never."""
