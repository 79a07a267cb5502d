"""A peer library on the same log: DoubleML's interactive regression model (AIPW), per segment and arm."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from choice_rules import recorded
from offer_logs import AS_OF, MONDAY, draw_log, draw_truth, programme
from seeds import ROOT, Measured, Part, Record

from training.effects import effects_frame, effects_of_log

PYTHON = ROOT / "build" / "doubleml" / "bin" / "python"
"""Made by `make bench-evidence`."""

SCRIPT = Path(__file__).with_name("doubleml_fit.py")


def peer_part(offers: int, seeds: int) -> Part:
    """Effects on recall beside the peer's, and the time both take on one core."""
    settings, name = programme(), f"beside DoubleML, {offers // 1000}k offers"

    def measure(seed: int) -> Measured:
        rng = np.random.default_rng([offers, seed, 11])
        log = draw_log(rng, draw_truth(rng), offers)
        started = time.perf_counter()
        policy = effects_of_log(log, settings, AS_OF)
        seconds = time.perf_counter() - started
        theirs, their_seconds = _theirs(log.offers)
        ours = effects_frame(policy)[["policy_segment", "incentive_id", "recall_value", "recall_se"]]
        both = ours.merge(theirs, on=["policy_segment", "incentive_id"], validate="one_to_one")
        apart = (both["recall_value"] - both["value"]) / both["se"]
        return {
            "apart": apart.tolist(),
            "se_ratio": (both["recall_se"] / both["se"]).tolist(),
            "seconds": seconds,
            "their_seconds": their_seconds,
        }

    def summarise(seen: Sequence[Measured]) -> list[Record]:
        apart = np.concatenate([one["apart"] for one in seen])
        ratio = float(np.median(np.concatenate([one["se_ratio"] for one in seen])))
        typical, mean = float(np.sqrt(np.mean(apart**2))), float(apart.mean())
        time_ratio = sum(one["seconds"] for one in seen) / sum(one["their_seconds"] for one in seen)
        return [
            recorded(f"{name}: distance of effects on recall, in standard errors, root mean square", typical,
                     f"at most .5; {len(apart)} effects", typical <= 0.5),
            recorded(f"{name}: mean difference, in standard errors", mean, "within .1 of 0", abs(mean) <= 0.1),
            recorded(f"{name}: standard error over theirs, median", ratio, "at most 1.02", ratio <= 1.02),
            recorded(f"{name}: time over theirs (ours: three outcomes and the decision, theirs: recall)", time_ratio,
                     "at most 1", time_ratio <= 1),
        ]  # fmt: skip

    return Part(f"peer-{offers}", seeds, measure, summarise, (Path(__file__), SCRIPT))


def _theirs(offers: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Have the peer estimate the effects; return them and the seconds it took, start-up apart."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        week_number = ((offers["week"] - MONDAY).dt.days // 7).astype(float)
        offers.assign(week_number=week_number).to_parquet(folder / "log.parquet")
        subprocess.run([PYTHON, SCRIPT, folder], check=True, stdout=subprocess.DEVNULL)
        return pd.read_parquet(folder / "effects.parquet"), json.loads((folder / "seconds.json").read_text())
