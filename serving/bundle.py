"""What training hands to serving: the model bundle and the policy table, as JSON and LightGBM text, never pickle."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.errors import RefusedError
from features.programme import Windows

BUNDLE_FORMAT = 3
POLICY_FORMAT = 2
MANIFEST = "manifest.json"
BUNDLE = "bundle.json"

Floats = NDArray[np.float64]
R = TypeVar("R", bound="Record")

ModelName = Literal["churn", "orders", "value"]
Offset = Literal["prior_churn_logit", "prior_orders_logit", "prior_log_value"]
Evidence = Literal["randomised", "propensity", "observational", "none"]
Grounds = Literal["randomised", "propensity", "observational", "none", "bet"]
"""What a decision rests on: evidence, or a bet on what evidence does not show yet."""


class Record(BaseModel):
    """Frozen, without unknown fields; infinities and NaN survive JSON as strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy with changes; what is worked out from the content is worked out anew."""
        copied = super().model_copy(update=update, deep=deep)
        for worked_out in set(copied.__dict__) - set(type(self).model_fields):
            del copied.__dict__[worked_out]
        return copied


class BetaGeometric(Record):
    """Parameters of MBG/NBD, or of BG/NBD, where nobody leaves before a repeat order; time is in weeks."""

    r: float = Field(gt=0)
    alpha: float = Field(gt=0)
    a: float = Field(gt=0)
    b: float = Field(gt=0)
    leaves_after_first: bool = Field(True, description="whether members may leave after their first order already")


class GammaGamma(Record):
    """Gamma-Gamma parameters of the value per order day."""

    p: float = Field(gt=0)
    q: float = Field(gt=1, description="above 1, or the mean would not exist")
    v: float = Field(gt=0)


class FittedConstants(Record):
    """What is estimated from the whole member base, from rows before ``fitted_at``."""

    fitted_at: datetime
    btyd: BetaGeometric
    spend: GammaGamma
    median_gap_days: float = Field(gt=0, description="of all gaps between order days")
    mean_value_per_order: float = Field(description="per order day; stands in for members without a repeat order")
    high_value_per_year: float = Field(description="tier high from here")
    mid_value_per_year: float = Field(description="tier mid from here")
    potential_value_if_active: float = Field(description="tier potential from here, by the prior's value if active")


class Calibrator(Record):
    """A rising, piecewise linear map from the model's probability to the observed one."""

    x: tuple[float, ...] = Field(min_length=2)
    y: tuple[float, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.x) != len(self.y) or np.any(np.diff(self.x) <= 0) or np.any(np.diff(self.y) < 0):
            raise ValueError("a calibrator needs as many y as x, x rising strictly and y never falling")
        if min(self.y) < 0 or max(self.y) > 1:
            raise ValueError("a calibrator's y are probabilities")
        return self

    def __call__(self, probability: Floats) -> Floats:
        """Map probabilities; those outside the learnt range get the value at its end."""
        return np.interp(probability, self.x, self.y)


class FittedModel(Record):
    """One LightGBM model as text, and the column that was its starting point.

    LightGBM's own predictions leave the offset out; scoring adds it.
    """

    text: str = Field(repr=False)
    objective: str
    offset: Offset | None = None
    offset_weight: float = Field(1.0, ge=0, le=1, description="share of the offset that the trees started from")
    offset_shift: float = Field(0.0, description="what was added to it, so that the start had the right level")
    offset_mean: float = Field(0.0, description="mean offset of the rows trained on")

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The inputs the text says it was trained on, in order."""
        start = "feature_names="
        names = next((line for line in self.text.splitlines() if line.startswith(start)), start)
        return tuple(names.removeprefix(start).split())

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.text.startswith("tree\n") or "\nend of trees\n" not in self.text:
            raise ValueError("the LightGBM text is not whole")
        return self


class ValueSpread(Record):
    """How the values of members who order spread around the value if active, as ratios to it, seen out of time."""

    probability_from: tuple[float, ...] = Field(min_length=1, description="bands of the order probability start here")
    ratios: tuple[tuple[float, ...], ...] = Field(description="per band, the ratio at evenly spaced shares from 0 to 1")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.probability_from[0] != 0 or np.any(np.diff(self.probability_from) <= 0):
            raise ValueError("bands start at 0 and rise")
        if len(self.ratios) != len(self.probability_from) or len({len(ratios) for ratios in self.ratios}) != 1:
            raise ValueError("every band needs as many ratios")
        if any(len(ratios) < 2 or ratios[0] < 0 or np.any(np.diff(ratios) < 0) for ratios in self.ratios):
            raise ValueError("ratios are not negative and never fall")
        return self

    @cached_property
    def shares(self) -> Floats:
        """The shares that the ratios belong to."""
        return np.linspace(0, 1, len(self.ratios[0]))

    def of_members(self, order_probability: Floats) -> Iterator[tuple[NDArray[np.bool_], tuple[float, ...]]]:
        """Yield the members of each band, and its ratios."""
        band = np.searchsorted(self.probability_from, order_probability, side="right") - 1
        for number, ratios in enumerate(self.ratios):
            yield band == number, ratios


class ColumnProfile(Record):
    """How a feature was distributed where the models were trained."""

    quantiles: tuple[float, ...]
    missing_share: float = Field(ge=0, le=1)


class ModelBundle(Record):
    """Everything scoring needs: models, calibrators, constants, and what they were trained on."""

    format: int = BUNDLE_FORMAT
    created_at: datetime
    programme_name: str
    trained_until: datetime = Field(description="nothing from this instant on was seen; naive UTC")
    churn_days: int = Field(ge=1)
    value_days: int = Field(ge=1)
    value_basis: str = Field(description="what value is measured in: margin, or revenue where margin is unknown")
    windows: Windows
    feature_names: tuple[str, ...] = Field(min_length=1, description="model inputs in order, prior columns included")
    constants: FittedConstants
    models: dict[ModelName, FittedModel]
    calibrators: dict[ModelName, Calibrator] = Field(default_factory=dict)
    value_factor: float = Field(1.0, gt=0, description="brings values to the level of the coming window")
    value_spread: ValueSpread
    level_margin: float = Field(ge=0, description="by which the log of a total may be off, either way, at 90 %")
    reference_profile: dict[str, ColumnProfile] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _models_fit(self) -> Self:
        needed = {"churn", "value"} | ({"orders"} if self.value_days != self.churn_days else set())
        if missing := sorted(needed - set(self.models)):
            raise ValueError(f"no model {', '.join(missing)}")
        for name, model in self.models.items():
            if model.feature_names != self.feature_names:
                differing = sorted(set(model.feature_names) ^ set(self.feature_names)) or ["their order"]
                raise ValueError(
                    f"model {name} was trained on other features than the bundle names: {', '.join(differing)}"
                )
        return self

    @cached_property
    def version(self) -> str:
        """Hash of the content; when it was made and how well it did are no part of it.

        Nor is what is as by default, so that an optional field added later leaves it as it was.
        """
        return _digest(self.model_dump_json(exclude={"created_at", "metrics"}, exclude_defaults=True))[:12]


class Estimate(Record):
    """An effect with its standard error; the simultaneous interval holds for all effects of the table at once."""

    value: float
    se: float
    low: float
    high: float
    simultaneous_low: float
    simultaneous_high: float


class Pooled(Record):
    """What to expect of an effect, given the same incentive's effects in other segments too."""

    value: float
    se: float = Field(description="standard deviation of what the effect may be")


class Effect(Record):
    """What one incentive did in one policy segment, against control, per member."""

    policy_segment: str
    incentive_id: str
    n_treated: int
    n_control: int
    recall: Estimate = Field(description="added share of members who order again")
    margin: Estimate = Field(description="added value before the incentive's cost")
    net: Estimate = Field(description="added value after the incentive's cost")
    cost_per_member: float
    redemption_rate: float
    effective_treated: float | None = Field(None, description="equally weighted offers that would tell as much")
    effective_control: float | None = Field(None, description="equally weighted control offers, likewise")
    e_value: float | None = Field(
        None,
        description="risk ratio with which something unseen must go with treatment and with ordering to explain the "
        "pointwise interval of recall away; 1: it reaches zero as it is",
    )
    pooled_recall: Pooled | None = Field(None, description="ranks, and decides nothing that counts as proven")
    pooled_net: Pooled | None = Field(None, description="likewise; what a bet rests on")
    verdict: str
    why: str


class Advantage(Record):
    """What a dearer effective incentive brings beyond a cheaper one in the same segment, compared directly."""

    policy_segment: str
    incentive_id: str
    over: str
    net: Estimate = Field(description="added value after cost, per member")


class Choice(Record):
    """The incentive a policy segment gets, or why it gets none."""

    incentive_id: str | None
    reason: str | None
    why: str = Field("", description="why no cheaper one and, if so, why a dearer one; or why nothing")
    needed_sample: int | None = Field(None, description="members per arm that a test would need")


class Paused(Record):
    """An incentive, by its channel, that surely lost money: in one policy segment, or in all where none is named."""

    policy_segment: str | None
    incentive_id: str


class PolicyTable(Record):
    """Effects and choices per policy segment, with the evidence they rest on."""

    format: int = POLICY_FORMAT
    created_at: datetime
    programme_name: str
    as_of: datetime
    evidence: Evidence
    response_days: int = Field(ge=1)
    confidence: float = Field(gt=0, lt=1)
    offers: int = Field(0, description="offers measured, control included")
    maturing: int = Field(0, description="offers left out because their response window is still open")
    warnings: tuple[str, ...] = Field((), description="what is wrong with the offer log")
    effects: tuple[Effect, ...] = ()
    advantages: tuple[Advantage, ...] = ()
    choices: dict[str, Choice] = Field(default_factory=dict)
    paused: tuple[Paused, ...] = Field((), description="not to be sent, whatever was estimated")

    @cached_property
    def version(self) -> str:
        """Hash of the content; when it was made and what is as by default are no part of it."""
        return _digest(self.model_dump_json(exclude={"created_at"}, exclude_defaults=True))[:12]


class StoredFile(Record):
    """What a file of a bundle held when it was written."""

    bytes: int
    sha256: str


class Manifest(Record):
    """What a bundle's folder holds."""

    format: int
    version: str
    files: dict[Annotated[str, Field(pattern=r"^(bundle\.json|model_[a-z]+\.txt)$")], StoredFile]


def save_bundle(bundle: ModelBundle, folder: Path) -> None:
    """Write a bundle to a folder, replacing what is there; readers see the old one or the new one."""
    texts = {f"model_{name}.txt": model.text for name, model in bundle.models.items()}
    texts[BUNDLE] = bundle.model_dump_json(indent=1, exclude={"models": {"__all__": {"text"}}})
    files = {name: text.encode() for name, text in texts.items()}
    manifest = Manifest(
        format=bundle.format,
        version=bundle.version,
        files={name: StoredFile(bytes=len(data), sha256=_digest(data)) for name, data in sorted(files.items())},
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        for name, data in files.items():
            (new / name).write_bytes(data)
        (new / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        new.rename(folder)


def load_bundle(folder: Path) -> ModelBundle:
    """Read a bundle and check it whole.

    Raises
    ------
    RefusedError
        If a file is missing, truncated or altered, the format is not this program's, or a model does not fit the
        bundle's features.
    """
    stored = _read_json(_read(folder / MANIFEST), folder / MANIFEST)
    _refuse_format(stored, BUNDLE_FORMAT, folder, again="train again")
    manifest = _parse(Manifest, stored, folder / MANIFEST)
    files = {name: _read_checked(folder / name, expected) for name, expected in manifest.files.items()}
    if BUNDLE not in files:
        raise RefusedError(f"{folder / MANIFEST} does not name {BUNDLE}; restore the bundle or train again")
    content = _read_json(files[BUNDLE], folder / BUNDLE)
    content["models"] = _with_texts(content.get("models"), files)
    bundle = _parse(ModelBundle, content, folder)
    if bundle.version != manifest.version:
        raise RefusedError(f"{folder} was altered: its content does not hash to version {manifest.version}")
    return bundle


def save_policy_table(table: PolicyTable, file: Path) -> None:
    """Write a policy table to one JSON file; readers see the old one or the new one."""
    content = table.model_dump(mode="json")
    envelope = {"format": table.format, "sha256": _digest(_canonical(content)), "policy_table": content}
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}-") as scratch:
        new = Path(scratch) / file.name
        new.write_text(json.dumps(envelope, indent=1), encoding="utf-8")
        new.replace(file)


def load_policy_table(file: Path) -> PolicyTable:
    """Read a policy table and check it whole.

    Raises
    ------
    RefusedError
        If the file is missing, truncated or altered, or its format is not this program's.
    """
    envelope = _read_json(_read(file), file)
    _refuse_format(envelope, POLICY_FORMAT, file, again="run `winback effects` again")
    content = envelope.get("policy_table", {})
    if _digest(_canonical(content)) != envelope.get("sha256"):
        raise RefusedError(f"{file} was altered after it was written; restore it or run `winback effects` again")
    return _parse(PolicyTable, content, file)


def _digest(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def _canonical(content: object) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _with_texts(models: object, files: Mapping[str, bytes]) -> object:
    """Put each model's text beside what is said of it; what is laid out otherwise is left for validation to refuse."""
    if not isinstance(models, dict):
        return models
    return {
        name: {**model, "text": files.get(f"model_{name}.txt", b"")} if isinstance(model, dict) else model
        for name, model in models.items()
    }


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RefusedError(f"{file} is missing") from error
    except OSError as error:
        raise RefusedError(f"{file} cannot be read: {error.strerror}") from error


def _read_checked(file: Path, expected: StoredFile) -> bytes:
    data = _read(file)
    if len(data) < expected.bytes:
        raise RefusedError(f"{file} is truncated: {len(data)} of {expected.bytes} bytes")
    if _digest(data) != expected.sha256:
        raise RefusedError(f"{file} was altered after the bundle was written; restore it or train again")
    return data


def _read_json(data: bytes, file: Path) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise RefusedError(f"{file} is not whole JSON (truncated or altered): {error}") from error
    if not isinstance(content, dict):
        raise RefusedError(f"{file} is not a JSON object")
    return content


def _refuse_format(content: Mapping[str, Any], known: int, where: Path, *, again: str) -> None:
    found = content.get("format")
    if type(found) is not int or found < 1:
        raise RefusedError(f"{where} does not say which format it has")
    if found < known:
        raise RefusedError(f"{where} has format {found}, of an earlier winback; this program reads {known}: {again}")
    if found > known:
        raise RefusedError(f"{where} has format {found}, this program reads up to {known}; upgrade winback")


def _parse(kind: type[R], content: object, where: Path) -> R:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'content'}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        )
        raise RefusedError(f"{where} does not fit: {problems}") from error
