"""A large programme is simulated in blocks, which make one programme."""

from pathlib import Path

import pandas as pd
import pytest

from features.programme import Programme, load_programme
from training import sim_blocks
from training.sim_blocks import simulate_to
from training.sim_offers import Experiment
from training.simulator import Simulation, simulate

WEEKS, SEED, BRIEF = 30, 4, Experiment(weeks=3)
TABLES = {"orders", "events", "offers", "contacts", "members", "order_lines", "identities"}


@pytest.fixture(scope="module")
def programme() -> Programme:
    return load_programme(Path(__file__).parents[2] / "programme.toml")


@pytest.fixture(scope="module")
def small(programme) -> Simulation:
    return simulate(300, WEEKS, SEED, programme=programme, experiment=BRIEF)


def written(folder: Path, members: int, programme: Programme) -> dict[str, int]:
    return simulate_to(
        folder, members, WEEKS, SEED, programme=programme, experiment=BRIEF, season=1.0, trend_per_year=0.05,
        gap_days=40.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def blocks(programme, tmp_path_factory) -> Path:
    """Three blocks, simulated one after another."""
    folder = tmp_path_factory.mktemp("blocks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sim_blocks, "BLOCK_MEMBERS", 300)
        patch.setattr(sim_blocks, "MOST_PROCESSES", 1)
        rows = written(folder, 700, programme)
    assert rows == {name: len(pd.read_parquet(folder / f"{name}.parquet")) for name in TABLES}
    return folder


def test_one_block_is_what_is_simulated_without_blocks(small, programme, tmp_path):
    written(tmp_path, 300, programme)
    for name, table in small.tables.items():
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / f"{name}.parquet"),
            table.reset_index(drop=True),
            check_dtype=False,
            check_categorical=False,
        )
    for name, table in small.truth.items():
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "truth" / f"{name}.parquet"), table.reset_index(drop=True), check_dtype=False
        )


@pytest.mark.parametrize(
    ("table", "key"),
    [("members", "member_id"), ("orders", "order_id"), ("offers", "offer_id"), ("identities", "alias_id")],
)
def test_ids_of_all_blocks_are_different(blocks, table: str, key: str):
    ids = pd.read_parquet(blocks / f"{table}.parquet")[key]
    assert ids.is_unique
    assert len(ids) > 0


def test_blocks_refer_to_their_own_members_and_orders(blocks):
    read = {name: pd.read_parquet(blocks / f"{name}.parquet") for name in TABLES}
    known = set(read["members"]["member_id"]) | set(read["identities"]["alias_id"])
    assert set(read["orders"]["member_id"]) <= known
    assert set(read["events"]["member_id"]) <= known
    orders = set(read["orders"]["order_id"])
    assert set(read["order_lines"]["order_id"]) <= orders
    assert set(read["events"]["order_id"].dropna()) <= orders
    assert read["members"]["joined_at"].nunique() > 600


def test_blocks_share_the_effects_and_their_truth_is_of_all_offers(blocks, small):
    effects = pd.read_parquet(blocks / "truth" / "effects.parquet")
    drawn = ["policy_segment", "incentive_id", "kind", "gain", "loss", "basket", "redemption"]
    pd.testing.assert_frame_equal(effects[drawn], small.truth["effects"][drawn], check_dtype=False)
    logged = pd.read_parquet(blocks / "offers.parquet")
    assert effects.drop_duplicates("policy_segment")["offers"].sum() == len(logged)
    assert set(pd.read_parquet(blocks / "truth" / "offers.parquet")["offer_id"]) == set(logged["offer_id"])
