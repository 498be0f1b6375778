"""Base class and types of the tables of manifests."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Plain = Annotated[str, Field(pattern=r"^[^\"\\$\n]{1,200}$")]
"""Pattern of texts that can be quoted in a configuration."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1, le=65536)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Stage = Annotated[str, Field(pattern="^stage_[2-8]$")]


class Table(BaseModel):
    """A table of a manifest. Keys without a default are required, and unknown keys are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
