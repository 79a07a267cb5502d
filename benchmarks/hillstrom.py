"""A real randomised test of two e-mails (Hillstrom): effects beside plain differences in means, uplift beside peers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from choice_rules import recorded
from offer_logs import AS_OF
from seeds import ROOT, Measured, Part, Record
from uplift_peers import CONTROL, EMAILS, KNOWN, uplift_beside_peers

from features.programme import parse_programme
from training.effects import effects_of_log
from training.trials import trial_log

SOURCES = (Path(__file__), ROOT / "benchmarks" / "uplift_peers.py", ROOT / "training" / "uplift.py")


def hillstrom_part(file: Path) -> Part:
    """Everything measured on the real test, once."""

    def measure(seed: int) -> Measured:
        return {"records": effects_beside_means(file) + uplift_beside_peers(file)}

    def summarise(seen: Sequence[Measured]) -> list[Record]:
        records: list[Record] = seen[0]["records"]
        return records

    return Part("hillstrom", 1, measure, summarise, SOURCES)


def effects_beside_means(file: Path) -> list[Record]:
    """Compare effects on visit and spend of a real randomised test with differences in means."""
    given = pd.read_parquet(file)
    given["unit_id"] = np.arange(len(given))
    trials = {
        "path": str(file), "columns": {"incentive_id": "segment", "recalled": "visit", "value": "spend"},
        "incentives": EMAILS, "control_id": CONTROL, "covariates": KNOWN, "policy_segments": ["low__mid"],
    }  # fmt: skip
    catalogue = [{"id": id_, "name_en": id_, "name_zh": id_} for id_ in EMAILS]
    data = {"orders": {"path": "none.csv"}, "trials": trials}
    settings = parse_programme({"name": "Hillstrom", "currency": "USD", "data": data, "incentives": catalogue})
    policy = effects_of_log(trial_log(given, settings.data.trials[0], settings), settings, AS_OF)
    records = []
    for effect in policy.effects:
        if effect.policy_segment == "low__mid":
            treated, control = (
                given[given["segment"] == EMAILS[effect.incentive_id]],
                given[given["segment"] == CONTROL],
            )
            for outcome, estimate in (("visit", effect.recall), ("spend", effect.margin)):
                mean = treated[outcome].mean() - control[outcome].mean()
                se = np.sqrt(treated[outcome].var() / len(treated) + control[outcome].var() / len(control))
                name = f"Hillstrom, {effect.incentive_id} e-mail, {outcome}"
                records += [
                    recorded(
                        f"{name}: effect", estimate.value, f"within half a standard error of {mean:.5f}",
                        abs(estimate.value - mean) <= se / 2,
                    ),
                    recorded(f"{name}: standard error over that of the difference in means", estimate.se / se,
                            "at most 1", estimate.se <= se),
                ]  # fmt: skip
    return records
