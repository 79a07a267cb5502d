"""The programme file's sections on members: windows looked at, tiers, lifecycle states and personas."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from features.settings import Amount, Days, Identifier, Settings, Share, Tier


class Windows(Settings):
    """Window lengths, as data: every windowed feature exists once per entry."""

    days: tuple[Days, ...] = (28, 91, 364)
    short_days: tuple[Days, ...] = Field((7, 28, 91), description="for events, which come more often than orders")

    @field_validator("days", "short_days")
    @classmethod
    def _rising(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if not days or list(days) != sorted(set(days)):
            raise ValueError("window lengths must rise strictly")
        return days


class Category(Settings):
    """What the programme knows of a product category."""

    life_days: Days = Field(description="how long a member typically buys it, e.g. baby goods: 730")


class Tiers(Settings):
    """Value tiers, by annualised historic value (the 80/20 rule)."""

    high_share: Share = Field(0.2, description="share of members in the high tier")
    mid_share: Share = Field(0.3, description="share of members in the tier below; the rest is low")

    @model_validator(mode="after")
    def _at_most_all(self) -> Tiers:
        if self.high_share + self.mid_share > 1:
            raise ValueError("high_share + mid_share must not exceed 1")
        return self


class States(Settings):
    """Lifecycle states, from the member's own cadence."""

    at_risk_gaps: Annotated[float, Field(gt=0)] = Field(1.0, description="active up to so many typical gaps")
    lapsed_gaps: Annotated[float, Field(gt=0)] = Field(2.0, description="at risk up to so many typical gaps")
    short_days: Days = Field(30, description="lapsed_short up to so many days beyond that")
    mid_days: Days = Field(90, description="lapsed_mid up to so many days beyond that")
    prior_gaps: Amount = Field(2.0, description="weight of the programme's median gap, in gaps of the member's own")

    @model_validator(mode="after")
    def _rising(self) -> States:
        if not (self.at_risk_gaps < self.lapsed_gaps and self.short_days < self.mid_days):
            raise ValueError("at_risk_gaps must be below lapsed_gaps, and short_days below mid_days")
        return self


class Persona(Settings):
    """A named kind of member. The first persona whose conditions all hold is the member's."""

    name: Identifier = Field(description="used in decisions and in `exclude_personas`")
    when: tuple[str, ...] = Field(min_length=1, description="conditions `column op number`, all of which must hold")
    tiers: tuple[Tier, ...] = Field((), description="only in these tiers; empty: any")
