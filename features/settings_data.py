"""The programme file's section on data: where each table is, and how its columns and values map to ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from features.settings import Settings

MAY_BE_ANONYMOUS: Final = ("orders", "events")

_ONLY_FOR: Mapping[str, tuple[str, ...]] = {
    "one_row_per": ("orders",),
    "consents": ("contacts",),
    "anonymous": MAY_BE_ANONYMOUS,
    "negative_is_return": ("orders",),
}


class Source(Settings):
    """Where one table is, and how its columns and values map to ours."""

    path: str | None = Field(None, description="Parquet or CSV file, or a glob of them, relative to the programme file")
    url: str | None = Field(None, description="SQLAlchemy URL; with `table`. `${NAME}` is read from the environment")
    table: str | None = Field(None, description="table or view name at `url`")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = Field(",", description="CSV only")
    decimal: Literal[".", ","] = Field(".", description="CSV only: decimal mark of numbers")
    thousands: Annotated[str, Field(max_length=1)] = Field("", description="CSV only: what groups digits by three")
    currency_sign: str = Field("", description="CSV only: what amounts are written with, such as $ or 元; need not be")
    encoding: str = Field("utf-8", description="CSV only, e.g. gbk")
    datetime_format: str | None = Field(
        None,
        description="when times are not ISO 8601: a strptime format, or unix (seconds), unix_ms, excel (days)",
    )
    one_row_per: Literal["order", "product"] = Field(
        "order", description="orders only: `product` where an order has a row per product; amounts are then added up"
    )
    consents: dict[str, str] = Field(
        default_factory=dict,
        description="contacts only: channel = the programme's column of consents, where a row has all of a member's",
    )
    anonymous: bool = Field(
        False, description="orders and events only: rows without a member are nobody's, and left out"
    )
    negative_is_return: bool = Field(False, description="orders only: a negative amount is a return's")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="our column = the programme's column, or for an amount two of them, `price * quantity`",
    )
    values: dict[str, str] = Field(
        default_factory=dict, description="the programme's event, incentive or channel = ours"
    )

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.path is None) == (self.url is None):
            raise ValueError("give either `path` or `url` with `table`")
        if (self.url is None) != (self.table is None):
            raise ValueError("`url` and `table` go together")
        if self.thousands == self.decimal:
            raise ValueError("`thousands` and `decimal` must differ")
        return self


class Trials(Settings):
    """A test run elsewhere, as a flat table with one row per unit."""

    path: str = Field(description="Parquet or CSV file, relative to the programme file")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="ours = theirs, of unit_id, incentive_id, recalled, value and, if there, propensity, "
        "policy_segment, cost",
    )
    incentives: dict[str, str] = Field(default_factory=dict, description="our incentive id = theirs")
    control_id: str = Field("control", description="their incentive id for 'nothing sent'")
    covariates: tuple[str, ...] = Field((), description="their columns known before assignment, to adjust for")
    policy_segments: tuple[str, ...] = Field(
        (), description="policy segments it speaks for, where it has no such column"
    )


class Data(Settings):
    """The programme's tables. Only orders are required."""

    orders: Source
    members: Source | None = None
    order_lines: Source | None = None
    events: Source | None = None
    offers: Source | None = None
    contacts: Source | None = None
    identities: Source | None = None
    trials: tuple[Trials, ...] = Field((), description="tests run elsewhere; one table or a list of them")

    @model_validator(mode="after")
    def _shapes_where_they_belong(self) -> Data:
        sources: dict[str, Source | None] = {name: getattr(self, name) for name in type(self).model_fields}
        for name, source in sources.items():
            said = source.model_dump(exclude_defaults=True) if isinstance(source, Source) else {}
            for key, tables in _ONLY_FOR.items():
                if key in said and name not in tables:
                    raise ValueError(f"{name}: `{key}` is for {' and '.join(tables)}")
        return self

    @field_validator("trials", mode="before")
    @classmethod
    def _one_or_several(cls, given: object) -> object:
        return [given] if isinstance(given, Mapping) else given
