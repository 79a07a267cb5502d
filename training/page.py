"""The demo's page: what was found about a programme, laid out for reading."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment
from matplotlib.figure import Figure

from serving.jobs import Rows
from serving.policy_table import PolicyTable
from training.effects import effects_frame
from training.explain import as_svg

BACKTEST_CHURN = ["model", "auc", "log_loss", "brier", "ece", "ece_band_low", "ece_band_high"]
BACKTEST_VALUE = ["model", "rmse", "tweedie_deviance", "spearman", "normalised_gini", "total_bias"]

MEANINGS = {
    "not_lapsed": "orders in the member's own rhythm; nothing to win back",
    "no_effect": "offers enough to tell, and none recalls this kind of member",
    "not_worth_it": "something recalls this kind of member, but costs more than it brings",
    "insufficient_evidence": "too few randomised offers to this kind of member; a test would tell",
    "observational_only": "past offers were targeted, not randomised, so what they did cannot be known",
    "ineligible": "nothing that works is meant for this member",
    "consent": "the member has not agreed to be contacted on the channel",
    "cooldown": "got an offer lately; its response window must close first",
    "message_cap": "already gets as many messages a week as the programme allows",
    "cost_cap": "the offer would cost too large a share of what the member is worth",
    "not_moved": "what recalls this kind of member is expected to cost more than it brings with this one",
}
"""What each reason to send nothing means."""


@dataclass(frozen=True)
class Picture:
    """A figure as SVG, and what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Part:
    """What the page says of one programme."""

    title: str
    provenance: tuple[str, ...]
    as_of: str
    currency: str
    figures: dict[str, float | int | str]
    warnings: tuple[str, ...]
    backtest_as_of: str
    backtest_tables: dict[str, Rows]
    pictures: tuple[Picture, ...]
    segments: Rows
    members: Rows
    verdict: tuple[str, ...]
    decisions: Rows
    meanings: dict[str, str]
    choices: Rows = ()
    choices_caption: str = ""
    effects: tuple[Picture, ...] = ()
    reports: tuple[str, ...] = ()


def write_page(parts: list[Part], file: Path, *, minutes: str, next_steps: tuple[str, ...]) -> None:
    """Write the page as one file that needs no network."""
    source = files("training").joinpath("templates/demo.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True).from_string(source).render(parts=parts, minutes=minutes, next_steps=next_steps)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(file)


def segment_rows(decisions: pd.DataFrame) -> Rows:
    """Count members and add up money by tier and state, the most at stake first."""
    grouped = decisions.groupby(["tier", "state"])
    rows = grouped.agg(
        members=("member_id", "size"),
        mean_churn_probability=("churn_probability", "mean"),
        expected_value=("expected_value", "sum"),
        value_at_stake=("value_at_stake", "sum"),
    )
    return records(rows.sort_values("value_at_stake", ascending=False).reset_index())


def decision_rows(decisions: pd.DataFrame) -> Rows:
    """Count members and add up expected recalls and cost by what was decided, the most frequent first."""
    offered = decisions["recommended_incentive"].notna()
    outcome = decisions["recommended_incentive"].where(offered, "no offer: " + decisions["no_offer_reason"].astype(str))
    grouped = decisions.assign(decision=outcome).groupby("decision")
    rows = grouped.agg(
        members=("member_id", "size"),
        assigned=("assigned_incentive", "count"),
        expected_recalls=("expected_recall", lambda recalls: recalls.sum(min_count=1)),
        expected_cost=("expected_cost", lambda costs: costs.sum(min_count=1)),
        value_at_stake=("value_at_stake", "sum"),
    )
    return records(rows.sort_values("members", ascending=False).reset_index())


def meanings(decisions: pd.DataFrame) -> dict[str, str]:
    """Explain the reasons to send nothing that occur."""
    occurring = set(decisions["no_offer_reason"].dropna())
    return {reason: meaning for reason, meaning in MEANINGS.items() if reason in occurring}


def example_members(decisions: pd.DataFrame, count: int = 3) -> Rows:
    """Choose members with most at stake, of different decisions as far as possible, a recommended incentive first."""
    decision = decisions["recommended_incentive"].fillna(decisions["no_offer_reason"])
    ordered = decisions.assign(decision=decision).sort_values(["value_at_stake", "member_id"], ascending=[False, True])
    turn = ordered.groupby("decision").cumcount()
    nothing = ordered["recommended_incentive"].isna()
    rarity = -ordered["decision"].map(decision.value_counts())
    ranked = ordered.assign(turn=turn, nothing=nothing, rarity=rarity).sort_values(["turn", "nothing", "rarity"])
    return records(ranked.head(count))


def choice_rows(policy: PolicyTable, truth: pd.DataFrame, true_choices: pd.DataFrame) -> Rows:
    """Put the incentive chosen per policy segment beside what the simulator knows."""
    true_effects = {(row["policy_segment"], row["incentive_id"]): row for row in records(truth)}
    known = true_choices.set_index("policy_segment")["cheapest_effective"].fillna("nothing")
    rows = []
    for segment, choice in policy.choices.items():
        effect = true_effects.get((segment, choice.incentive_id))
        rows.append(
            {
                "policy_segment": segment,
                "chosen": choice.incentive_id or f"nothing: {choice.reason}",
                "true_cheapest_effective": known[segment],
                "true_recall_of_chosen": effect and effect["recall"],
                "true_net_value_of_chosen": effect and effect["net_value"],
            }
        )
    return rows


def effects_figure(policy: PolicyTable, truth: pd.DataFrame, *, most_segments: int | None = None) -> Figure:
    """Show each estimated effect on recall with its simultaneous interval, and the truth as a cross.

    With ``most_segments``, only so many policy segments are shown, those with a chosen incentive first.
    """
    shown = effects_frame(policy).merge(truth[["policy_segment", "incentive_id", "recall"]])
    shown = shown.dropna(subset=["recall_value"]).reset_index(drop=True)
    chosen_first = (
        shown.groupby("policy_segment", sort=False)["chosen"].any().sort_values(ascending=False, kind="stable")
    )
    shown = shown[shown["policy_segment"].isin(chosen_first.index[:most_segments])].reset_index(drop=True)
    rows = np.arange(len(shown))[::-1]
    figure = Figure(figsize=(8.0, 1.2 + 0.19 * len(shown)), layout="constrained")
    axes = figure.subplots()
    bounds = shown[["recall_simultaneous_low", "recall_simultaneous_high"]].to_numpy()
    spread = np.abs(bounds - shown[["recall_value"]].to_numpy()).T
    for chosen, colour, label in ((False, "#767676", "estimate, not chosen"), (True, "#0072B2", "chosen")):
        mask = (shown["chosen"] == chosen).to_numpy()
        axes.errorbar(
            shown["recall_value"][mask], rows[mask], xerr=spread[:, mask], fmt="o", color=colour, ms=4, label=label
        )
    axes.plot(shown["recall"], rows, "x", color="#D55E00", ms=5, label="truth")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(rows, [f"{s} · {i}" for s, i in zip(shown["policy_segment"], shown["incentive_id"], strict=True)])
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("Effect on recall (added share of members who order again), 95 % simultaneous intervals")
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
    axes.margins(y=0.02)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def picture(figure: Figure, caption: str) -> Picture:
    """Keep a figure for the page."""
    return Picture(as_svg(figure), caption)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Lay out a frame as records of plain values; missing ones are None."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [
        {str(name): value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
        for row in plain.to_dict("records")
    ]
