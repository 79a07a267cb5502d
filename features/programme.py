"""The programme file as frozen settings: everything that differs from shop to shop, and no logic."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator

from features.errors import InputError
from features.settings import Amount, Days, Family, Language, Settings, Share
from features.settings_data import Data
from features.settings_incentives import Guardrails, Incentive, Phases
from features.settings_members import Category, Persona, States, Tiers, Windows


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


class Training(Settings):
    """How models are fitted. One default for every programme."""

    snapshots: Annotated[int, Field(ge=1, le=60)] = Field(6, description="most past dates to learn from")
    snapshot_step_days: Days = Field(28, description="days between them")
    most_rows: Annotated[int, Field(ge=1_000)] = Field(
        1_000_000,
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
    tracking: str = Field(
        "mlruns",
        description="where MLflow keeps runs and models: a folder, or the http(s) address of a server that is shared",
    )
    model: str = Field(
        "winback", description="name in the model registry; two programmes in one folder each need their own"
    )
    keep_publications: int = Field(8, ge=1, description="how many dates' decisions the store keeps, the latest")
    needs_approval: bool = Field(
        False, description="whether a send list leaves only once an admin has approved it in the console"
    )

    @field_validator("tracking")
    @classmethod
    def _folder_or_server(cls, place: str) -> str:
        if "://" in place and not place.startswith(("http://", "https://")):
            raise ValueError("give a folder, or the address of an MLflow server, which begins with http:// or https://")
        return place


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
