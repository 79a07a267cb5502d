"""The pipeline one would write first: pandas group-bys, scikit-learn's wrappers, shap's TreeExplainer.

It computes about half of the features, so it is let off lightly.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import shap

from serving.bundle import ModelBundle
from serving.scoring import booster


def run(
    folder: Path, today: str, members: int, bundle: ModelBundle, clocked: Callable[[str], AbstractContextManager[None]]
) -> None:
    """Run it on the first so many members."""
    ids = pd.read_parquet(folder / "members.parquet", columns=["member_id"])["member_id"].sort_values()[:members]
    tables = {
        name: pd.read_parquet(folder / f"{name}.parquet", filters=[("member_id", "in", list(ids))])
        for name in ("orders", "events")
    }
    with clocked("features"):
        table = features(tables["orders"], tables["events"], pd.Timestamp(today))
    model = lgb.LGBMClassifier(n_estimators=booster(bundle.models["churn"].text).num_trees(), num_leaves=15, verbose=-1)
    value = lgb.LGBMRegressor(n_estimators=booster(bundle.models["value"].text).num_trees(), num_leaves=15, verbose=-1)
    inputs = pd.concat(
        [table.add_suffix(f"_{copy}") for copy in range(len(bundle.feature_names) // table.shape[1])], axis=1
    )
    label = np.random.default_rng(1).random(len(inputs)) < 0.5
    model.fit(inputs, label)
    value.fit(inputs, table["value"])
    with clocked("trees"):
        scores = pd.DataFrame(
            {"churn": model.predict_proba(inputs)[:, 1], "value": value.predict(inputs)}, index=inputs.index
        )
    with clocked("SHAP"):
        explained = pd.DataFrame(shap.TreeExplainer(model).shap_values(inputs), inputs.index, inputs.columns)
    with clocked("reasons"):
        scores["reasons"] = explained.apply(lambda row: ", ".join(row.abs().nlargest(3).index), axis=1)
    with clocked("write"), tempfile.TemporaryDirectory() as scratch:
        scores.to_parquet(Path(scratch) / "scores.parquet")
        with closing(sqlite3.connect(Path(scratch) / "scores.db")) as connection:
            scores.to_sql("scores", connection)


def features(orders: pd.DataFrame, events: pd.DataFrame, today: pd.Timestamp) -> pd.DataFrame:
    """Compute recency, frequency, money, gaps, discounts and engagement, one row per member."""
    orders = orders.assign(age=(today - orders["ordered_at"].dt.normalize()).dt.days)
    money = ["net_amount", "margin_amount", "discount_amount"]
    orders[money] = orders[money].astype(float)
    placed = orders[orders["return_of"].isna()].sort_values(["member_id", "ordered_at"])
    by_member = placed.groupby("member_id")
    parts = [
        by_member["age"].agg(recency="min", tenure="max", orders="size"),
        orders.groupby("member_id")["margin_amount"].sum().rename("value"),
        by_member["discount_amount"].sum().rename("discount"),
        by_member["net_amount"].agg(["sum", "max", "mean"]),
        placed[placed["discount_amount"] == 0].groupby("member_id")["age"].min().rename("full_price"),
        by_member["channel"].nunique().rename("channels"),
        orders[orders["return_of"].notna()].groupby("member_id").size().rename("returns"),
    ]
    for days in (28, 91, 364):
        lately = orders[orders["age"] <= days].groupby("member_id")
        parts.append(lately[["net_amount", "margin_amount"]].sum().add_suffix(f"_{days}"))
        parts.append(placed[placed["age"] <= days].groupby("member_id").size().rename(f"orders_{days}"))
    gap = -by_member["age"].diff()
    gaps = gap[gap > 0].groupby(placed["member_id"])
    parts.append(gaps.agg(["count", "mean", "median", "max", "std", "first", "last"]).add_prefix("gap_"))
    events = events.assign(age=np.ceil((today - events["occurred_at"]) / pd.Timedelta(days=1)))
    for kind in ("visit", "add_to_cart", "message_sent", "message_opened", "message_clicked", "points_earned"):
        own = events[events["event"] == kind]
        parts.append(own.groupby("member_id")["age"].min().rename(f"last_{kind}"))
        parts += [own[own["age"] <= days].groupby("member_id").size().rename(f"{kind}_{days}") for days in (7, 28, 91)]
    return pd.concat(parts, axis=1).fillna({"value": 0.0})
