"""The public data sets arrive whole, in the form their programme files describe."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.errors import InputError
from features.programme import load_programme
from features.sources import Loaded, load_tables
from serving.segments import check_personas
from training.demo_data import write_dataset, write_table

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the repository's, with the data sets where the programme files expect them."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "programmes").mkdir()
    write_dataset("cdnow", folder / "data" / "cdnow")
    write_dataset("complete_journey", folder / "demo" / "complete_journey")
    return folder


@pytest.fixture(scope="module")
def journey(root: Path) -> dict[str, pd.DataFrame]:
    return {file.stem: pd.read_parquet(file) for file in (root / "demo" / "complete_journey").iterdir()}


def load(name: str, root: Path) -> Loaded:
    programme = load_programme(REPOSITORY / "programmes" / f"{name}.toml")
    check_personas(programme)
    return load_tables(programme.model_copy(update={"folder": root / "programmes"}))


def test_every_cdnow_order_arrives_through_its_programme_file(root):
    loaded = load("cdnow", root)
    orders = loaded.tables.orders.to_pyarrow().to_pandas()
    assert len(orders) == 69_659
    assert orders["member_id"].nunique() == 23_570
    assert float(orders["net_amount"].sum()) == 2_500_315.63
    assert (orders["net_amount"] == 0).sum() == 80
    assert orders["ordered_on"].astype(str).agg(["min", "max"]).tolist() == ["1997-01-01", "1998-06-30"]
    assert not any(finding.set_aside for finding in loaded.findings)


def test_several_cdnow_orders_of_a_customer_on_one_day_are_kept_apart(root):
    orders = pd.read_csv(root / "data" / "cdnow" / "orders.csv", dtype=str)
    assert orders["order_no"].is_unique
    assert orders.duplicated(["customer", "date"]).sum() == 2_068


def test_complete_journey_loads_through_its_programme_file_with_nothing_set_aside(root):
    loaded = load("complete_journey", root)
    assert not any(finding.set_aside for finding in loaded.findings)
    assert loaded.tables.orders.count().to_pyarrow().as_py() == 155_848
    assert loaded.tables.order_lines.count().to_pyarrow().as_py() == 1_469_307


def test_baskets_add_up_to_the_items_in_them(journey):
    orders, lines = journey["orders"], journey["order_lines"]
    assert orders["member_id"].nunique() == len(journey["members"]) == 2_469
    assert round(orders["net_amount"].sum(), 2) == round(lines["net_amount"].sum(), 2)
    sums = lines.groupby("order_id")["net_amount"].sum()
    assert (orders.set_index("order_id")["net_amount"] - sums).abs().max() < 0.005


def test_campaigns_and_redemptions_become_events_and_offers(journey):
    assert journey["events"]["event"].value_counts().to_dict() == {"message_sent": 6_589, "coupon_redeemed": 2_102}
    targeted = journey["offers"][journey["offers"]["incentive_id"] != "control"]
    assert targeted["campaign_id"].nunique() == 27
    assert targeted["incentive_id"].value_counts().to_dict() == {"camp_a": 3_647, "camp_b": 2_368, "camp_c": 574}


def test_the_offer_log_claims_no_randomisation(journey):
    assert "propensity" not in journey["offers"]


def test_a_household_is_no_control_while_a_campaign_runs_for_it(journey):
    offers = journey["offers"]
    control = offers[offers["incentive_id"] == "control"]
    targeted = offers[offers["incentive_id"] != "control"]
    same_day = control.merge(targeted, on=["member_id", "assigned_at"])
    assert same_day.empty
    first_order = journey["orders"].groupby("member_id")["ordered_at"].min()
    assert (control["member_id"].map(first_order) < control["assigned_at"]).all()


def test_an_unknown_data_set_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="cdnow, complete_journey"):
        write_dataset("tafeng", tmp_path)


def test_an_interrupted_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    write_table(pd.DataFrame({"a": [1]}), tmp_path / "orders.parquet")

    def fail(_self: pd.DataFrame, path: Path, **_: object) -> None:
        path.write_bytes(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(OSError, match="disk full"):
        write_table(pd.DataFrame({"a": [2]}), tmp_path / "orders.parquet")
    monkeypatch.undo()
    assert pd.read_parquet(tmp_path / "orders.parquet")["a"].tolist() == [1]
