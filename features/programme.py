"""The programme file as frozen settings: everything that differs from shop to shop, and no logic."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from features.errors import InputError

Language = Literal["en", "zh"]
Tier = Literal["high", "potential", "mid", "low"]
State = Literal["new", "active", "at_risk", "lapsed_short", "lapsed_mid", "lapsed_long", "unknown"]
Family = Literal["rfm", "cadence", "engagement", "price", "breadth", "care", "journey"]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=1, le=3650)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


BETTING_HOLDOUT = 0.2
"""What was not proven beforehand has to be measured afterwards."""


class Settings(BaseModel):
    """Frozen and strict: an unknown key is an error, not a silently ignored wish."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Settings):
    """Where one table is, and how its columns and values map to ours."""

    path: str | None = Field(None, description="Parquet or CSV file, or a glob of them, relative to the programme file")
    url: str | None = Field(None, description="SQLAlchemy URL; with `table`. `${NAME}` is read from the environment")
    table: str | None = Field(None, description="table or view name at `url`")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = Field(",", description="CSV only")
    decimal: Literal[".", ","] = Field(".", description="CSV only: decimal mark of numbers")
    thousands: Annotated[str, Field(max_length=1)] = Field("", description="CSV only: what groups digits by three")
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
    columns: dict[str, str] = Field(default_factory=dict, description="our column = the programme's column")
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
            if isinstance(source, Source) and source.one_row_per != "order" and name != "orders":
                raise ValueError(f"{name}: `one_row_per` is for orders")
            if isinstance(source, Source) and source.consents and name != "contacts":
                raise ValueError(f"{name}: `consents` is for contacts")
        return self

    @field_validator("trials", mode="before")
    @classmethod
    def _one_or_several(cls, given: object) -> object:
        return [given] if isinstance(given, Mapping) else given


class Horizons(Settings):
    """How far ahead churn and value look."""

    churn_days: Days = Field(91, description="a member churns who does not order within so many days")
    value_days: Days = Field(91, description="expected value is over so many days")
    more_days: tuple[Days, ...] = Field(
        (), description="decisions also say how likely an order is within each of these"
    )

    @field_validator("more_days")
    @classmethod
    def _all_differ(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if list(days) != sorted(set(days)):
            raise ValueError("more_days must rise strictly")
        return days


class Eligible(Settings):
    """Who is scored: everybody, or members who ordered lately."""

    ordered_within_days: Days | None = Field(
        None, description="only members with an order in the last N days; absent: all"
    )


class Value(Settings):
    """What a member's value is measured in."""

    margin_rate: Share | None = Field(
        None, description="assumed margin as a share of revenue, where orders carry no margin; absent: value is revenue"
    )
    redemptions_in_orders: bool = Field(
        False, description="orders' amounts are already reduced by the incentives redeemed on them"
    )


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


class IncentiveEligibility(Settings):
    """Who may get an incentive. Empty means no restriction."""

    tiers: tuple[Tier, ...] = Field((), description="only members of these tiers")
    states: tuple[State, ...] = Field((), description="only members in these states")
    exclude_personas: tuple[Identifier, ...] = Field((), description="not for these personas")
    min_orders: Annotated[int, Field(ge=0)] = Field(0, description="only members with so many orders")


class IncentiveChannel(Settings):
    """One of several channels an incentive may go by."""

    channel: Identifier = Field(description="how it is sent; consent is asked for this channel")
    contact_cost: Amount = Field(0.0, description="per member contacted through it, channel fee included")


class Incentive(Settings):
    """Something that can be sent to bring a member back, and what it costs."""

    id: Identifier = Field(description="as in the offer log")
    name_en: str = Field(description="name shown in English")
    name_zh: str = Field(description="name shown in Chinese")
    channel: Identifier = Field("email", description="how it is sent; consent is asked for this channel")
    contact_cost: Amount = Field(0.0, description="per member contacted, channel fee included")
    channels: tuple[IncentiveChannel, ...] = Field(
        (), description="instead of `channel` and `contact_cost` where there is a choice of channels"
    )
    face_value: Amount = Field(0.0, description="per redemption, at cost to the programme")
    setup_cost: Amount = Field(0.0, description="once per campaign, whatever its size")
    ladder: Identifier | None = Field(
        None, description="incentives of one ladder differ in face value alone; deeper ones recall no fewer"
    )
    eligible: IncentiveEligibility = Field(IncentiveEligibility(), description="who may get it")

    @model_validator(mode="after")
    def _one_way_to_say_channels(self) -> Incentive:
        if self.channels and {"channel", "contact_cost"} & self.model_fields_set:
            raise ValueError("give either `channels`, or `channel` and `contact_cost`")
        if len({one.channel for one in self.channels}) < len(self.channels):
            raise ValueError("`channels` names a channel twice")
        return self

    @property
    def arms(self) -> tuple[Incentive, ...]:
        """What can be assigned: itself, or where it has several channels one incentive `id@channel` for each."""
        if not self.channels:
            return (self,)
        alike = {name: getattr(self, name) for name in type(self).model_fields if name != "channels"}
        return tuple(
            Incentive.model_construct(**{**alike, "id": f"{self.id}@{by.channel}", **by.model_dump()})
            for by in self.channels
        )


class Guardrails(Settings):
    """Limits no recommendation may cross, and how sure we must be."""

    mode: Literal["proven", "best_bet"] = Field(
        "proven", description="send what was proven to work; or, where nothing was, what is expected to pay, as a bet"
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(0.95, description="familywise, of the effect on recall")
    recall_floor: Share = Field(0.0, description="an effect on recall must be above this to count")
    detectable_recall: Annotated[float, Field(gt=0, le=1)] = Field(
        0.02, description="the effect on recall, above the floor, that a test should be able to show"
    )
    loss_tolerance: Amount = Field(0.0, description="money per member the lower bound of net value may fall below zero")
    upgrade_margin: Amount = Field(
        0.0, description="money per member a dearer incentive must surely bring beyond the cheapest effective one"
    )
    min_treated: Annotated[int, Field(ge=1)] = Field(200, description="fewer offers than this are no evidence")
    min_control: Annotated[int, Field(ge=1)] = Field(200, description="fewer controls than this are no evidence")
    response_days: Days = Field(28, description="window in which an order counts as a response to an offer")
    cooldown_days: Days = Field(28, description="from one assignment to the next; at least `response_days`")
    messages_per_week: Annotated[float, Field(gt=0)] = Field(5.0, description="no offer to members sent more than this")
    cost_share: Share = Field(0.08, description="of historic annual value plus 12-month value if active")
    consent_default: bool | None = Field(
        None, description="consent where there is no contacts table; must be stated then"
    )
    accept_observational: bool = Field(False, description="let effects of unrandomised offers decide")
    control_id: str = Field("control", description="the incentive id that stands for 'nothing sent' in the offer log")
    holdout_share: Share = Field(
        0.05, description="of members, never treated, drawn anew each quarter; by default 0.2 where bets are made"
    )
    exploration_share: Share = Field(
        0.05, description="of assignments, drawn evenly among all a member may get, control included; 0: none"
    )
    pause_losers: bool = Field(
        False,
        description="stop sending what was measured to lose money, until the end of the next quarter",
    )
    seed: str = Field("winback", description="salt of the hashes that draw the holdout and the assignments")

    @model_validator(mode="before")
    @classmethod
    def _bets_are_measured(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("mode") == "best_bet":
            return {"holdout_share": BETTING_HOLDOUT, **given}
        return given

    @model_validator(mode="after")
    def _cooldown_covers_response(self) -> Guardrails:
        if self.cooldown_days < self.response_days:
            raise ValueError(
                "cooldown_days must be at least response_days, or one offer is measured in another's window"
            )
        return self


class Phases(Settings):
    """What share of a planned budget goes to which phase of a campaign."""

    test: Share = Field(0.1, description="first, to members drawn by lot")
    burst: Share = Field(0.7, description="then to those who bring most per unit of cost")
    tail: Share = Field(0.2, description="last, to the others")

    @model_validator(mode="after")
    def _add_up(self) -> Phases:
        if abs(self.test + self.burst + self.tail - 1) > 1e-9:
            raise ValueError("test, burst and tail must add up to 1")
        return self


class Training(Settings):
    """How models are fitted. One default for every programme."""

    snapshots: Annotated[int, Field(ge=1, le=60)] = Field(6, description="most past dates to learn from")
    snapshot_step_days: Days = Field(28, description="days between them")
    most_rows: Annotated[int, Field(ge=1_000)] = Field(
        3_000_000,
        description="most members to learn from, past dates added up; of more some are drawn, rare segments whole",
    )
    leave_out: tuple[Family, ...] = Field(
        (), description="families of features that models do not read; personas and guardrails still do"
    )
    trusted_features: tuple[str, ...] = Field(
        (), description="honest features that the leakage guard refused by name; it lets them pass"
    )
    seed: int = Field(7, description="same seed, same data: same model")
    threads: Annotated[int, Field(ge=1)] = Field(2, description="processor cores to use")


class Service(Settings):
    """What the service that answers the CRM allows, watches and spends."""

    requests_per_minute: Annotated[int, Field(ge=1)] = Field(
        6_000, description="per key; so many may come at once, and so many per minute for long"
    )
    alert_threshold: Share = Field(0.5, description="an alert is raised when a churn probability rises to this")
    offer_budget: Amount | None = Field(
        None, description="what the offers written down by the service may cost per calendar month; absent: no limit"
    )


class Output(Settings):
    """Where results are kept, relative to the programme file."""

    store_url: str = Field(
        "sqlite:///var/winback.db",
        description="SQLAlchemy URL; a relative SQLite path is the file's; programmes may share it",
    )
    tracking: str = Field("mlruns", description="MLflow's local home: mlflow.db and artifacts")
    model: str = Field(
        "winback", description="name in the model registry; two programmes in one folder each need their own"
    )
    keep_publications: int = Field(8, ge=1, description="how many dates' decisions the store keeps, the latest")
    needs_approval: bool = Field(
        False, description="whether a send list leaves only once an admin has approved it in the console"
    )


class Programme(Settings):
    """A loyalty programme, as its file describes it."""

    name: str = Field(description="shown on reports")
    timezone: str = Field("UTC", description="IANA name; times that carry no zone are local to it, and so are dates")
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code of every amount")]
    language: Language = Field("en", description="language to write in where the member's is unknown")
    data: Data
    horizons: Horizons = Horizons()
    eligible: Eligible = Eligible()
    value: Value = Value()
    windows: Windows = Windows()
    categories: dict[str, Category] = Field(default_factory=dict)
    journey_points: dict[str, Amount] = Field(default_factory=dict, description="AIPL points per event; empty: ours")
    tiers: Tiers = Tiers()
    states: States = States()
    personas: tuple[Persona, ...] = ()
    incentives: tuple[Incentive, ...] = ()
    guardrails: Guardrails = Guardrails()
    phases: Phases = Phases()
    training: Training = Training()
    service: Service = Service()
    output: Output = Output()
    folder: Path = Field(Path(), exclude=True, description="set when loaded; relative paths start here")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {name!r}; use an IANA name such as 'Asia/Shanghai'") from error
        return name

    @field_validator("journey_points")
    @classmethod
    def _known_events(cls, points: dict[str, float]) -> dict[str, float]:
        if points:
            from features.schemas import EVENTS

            for name in points:
                if name not in EVENTS:
                    near = difflib.get_close_matches(name, EVENTS, n=1)
                    hint = f"did you mean {near[0]!r}?" if near else f"known events: {', '.join(sorted(EVENTS))}"
                    raise ValueError(f"{name!r} is not in the event vocabulary; {hint}")
        return points

    @model_validator(mode="after")
    def _unique_ids(self) -> Programme:
        for what, names in (
            ("incentive", [i.id for i in self.incentives]),
            ("persona", [p.name for p in self.personas]),
        ):
            if repeated := sorted({n for n in names if names.count(n) > 1}):
                raise ValueError(f"{what} {', '.join(repeated)} is defined more than once")
        rungs = [(i.ladder, i.face_value) for i in self.incentives if i.ladder]
        if repeated := sorted({ladder for ladder, value in rungs if rungs.count((ladder, value)) > 1}):
            raise ValueError(f"incentives of ladder {', '.join(repeated)} must differ in face value")
        if self.guardrails.control_id in {i.id for i in self.incentives}:
            raise ValueError(f"control_id {self.guardrails.control_id!r} is also an incentive")
        return self

    @property
    def arms(self) -> tuple[Incentive, ...]:
        """What can be assigned besides control: every incentive, once per channel."""
        return tuple(arm for incentive in self.incentives for arm in incentive.arms)

    def path(self, relative: str) -> Path:
        """Resolve a path of the programme file against the file's own folder."""
        return self.folder / relative

    def instant(self, when: date | datetime | str) -> datetime:
        """Turn a date or time, local unless it says otherwise, into naive UTC, the form every table uses.

        A date means its first moment in the programme's time zone.
        """
        if isinstance(when, str):
            try:
                when = datetime.fromisoformat(when)
            except ValueError as error:
                raise InputError(f"{when!r} is not a date; write it as 2026-01-31") from error
        if not isinstance(when, datetime):
            when = datetime(when.year, when.month, when.day)
        if when.tzinfo is None:
            when = when.replace(tzinfo=ZoneInfo(self.timezone))
        try:
            return when.astimezone(UTC).replace(tzinfo=None)
        except OverflowError as error:
            raise InputError(f"{when.isoformat()} is too near the ends of the calendar") from error

    def local_date(self, instant: datetime) -> date:
        """Return the calendar date of a naive UTC instant in the programme's time zone."""
        return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(self.timezone)).date()


def load_programme(file: Path | str) -> Programme:
    """Read and check a programme file.

    Raises
    ------
    InputError
        If the file is missing, is not TOML, or does not fit; the message names each field and what is expected.
    """
    path = Path(file)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"no programme file {path}; name one with --programme FILE") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from error
    return parse_programme(content, folder=path.resolve().parent, name=str(path))


def parse_programme(content: Mapping[str, Any], *, folder: Path = Path(), name: str = "programme") -> Programme:
    """Check a programme given as a mapping; ``name`` is what error messages call it."""
    if "folder" in content:
        raise InputError(f"{name}: unknown key 'folder'")
    try:
        return Programme.model_validate({**content, "folder": folder})
    except ValidationError as error:
        problems = "\n".join(f"  {_describe(problem)}" for problem in error.errors())
        raise InputError(f"{name} does not fit:\n{problems}") from error


def _describe(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"{where or 'file'}: {problem['msg'].removeprefix('Value error, ')}"
    known = _fields_at(problem["loc"][:-1])
    near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return f"{where}: unknown key; {hint}"


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys the settings at a validation error's location accept."""
    model: Any = Programme
    for part in location:
        if isinstance(part, int):
            continue
        model = (
            next((m for m in _models_in(model.model_fields[part].annotation)), model)
            if part in model.model_fields
            else model
        )
    return sorted(set(model.model_fields) - {"folder"})


def _models_in(annotation: Any) -> list[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
