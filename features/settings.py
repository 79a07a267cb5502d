"""What every section of the programme file is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Language = Literal["en", "zh"]
Tier = Literal["high", "potential", "mid", "low"]
State = Literal["new", "active", "at_risk", "lapsed_short", "lapsed_mid", "lapsed_long", "unknown"]
Family = Literal["rfm", "cadence", "engagement", "price", "breadth", "care", "journey"]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=1, le=3650)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class Settings(BaseModel):
    """Frozen and strict: an unknown key is an error, not a silently ignored wish."""

    model_config = ConfigDict(frozen=True, extra="forbid")
