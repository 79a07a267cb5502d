import ibis
import numpy as np
import pandas as pd
import pytest
from histories import AS_OF, everything, features, orders, programme

from features import build
from features.build import build_features, feature_table, features_expression
from features.catalogue import feature_names
from features.settings_members import Windows
from features.sources import tables_from_frames


def test_the_feature_table_is_one_row_per_member_sorted_and_all_float():
    by = programme()
    tables = tables_from_frames(by, **everything()).tables
    table = build_features(tables, by.instant(AS_OF), by)
    assert list(table.columns) == ["member_id", "as_of", *feature_names(Windows())]
    assert list(table["member_id"]) == ["a", "b", "c", "d", "no orders"]
    assert set(table["as_of"]) == {pd.Timestamp(AS_OF)}
    assert table["as_of"].dtype == "datetime64[us]"
    assert set(table.drop(columns=["member_id", "as_of"]).dtypes) == {np.dtype("float64")}


def test_features_are_the_same_on_one_and_two_threads():
    pd.testing.assert_frame_equal(
        features(threads=1, **everything(60)), features(threads=2, **everything(60)), check_exact=True
    )


@pytest.mark.parametrize("member_id", ["a", "no orders"])
def test_a_member_has_the_same_features_alone_and_among_all(member_id):
    by = programme()
    tables = tables_from_frames(by, **everything()).tables
    among_all = features(**everything()).loc[[member_id]]
    alone = type(tables)(**{n: table.filter(table.member_id == member_id) for n, table in vars(tables).items()})
    got = build_features(alone, by.instant(AS_OF), by).set_index("member_id")
    pd.testing.assert_frame_equal(got, among_all, check_exact=True)


def test_ratios_have_at_most_six_decimals():
    table = features(**everything()).drop(columns="as_of")
    pd.testing.assert_frame_equal(table, table.round(6), check_exact=True)


def test_what_is_rounded_to_nothing_has_no_sign():
    change = pd.DataFrame({"value_change_91d": [-1e-8, 0.0]})
    table = feature_table(pd.array(["a", "b"], dtype="str"), np.array(["2026-01-05"] * 2, "datetime64[us]"), change)
    assert table["value_change_91d"].map(str).tolist() == ["0.0", "0.0"]


def test_only_orders_are_needed_and_nothing_else_is_then_counted():
    got = features(orders(("2025-12-01", 10.0)))
    empty = {name: everything()[name].iloc[:0] for name in ("order_lines", "events", "offers")}
    with_empty = features(orders(("2025-12-01", 10.0)), **empty)
    pd.testing.assert_frame_equal(got, with_empty)
    assert got.loc["m", ["visits_91d", "offers_91d", "product_count", "complaints_91d", "journey_points"]].sum() == 0


def test_an_as_of_before_all_rows_gives_an_empty_table_of_the_same_form():
    history = {name: frame for name, frame in everything().items() if name != "members"}
    got = features(as_of="2001-01-01", **history)
    assert got.empty
    assert list(got.dtypes) == list(features(**everything()).dtypes)


def test_one_compiled_plan_serves_every_as_of():
    features(**everything())
    compiled = build._plan.cache_info().misses
    assert features(as_of="2025-06-01", **everything())["order_count"].sum() > 0
    assert features(as_of="2025-09-01 12:30", **everything())["order_count"].sum() > 0
    assert build._plan.cache_info().misses == compiled


def test_the_plan_is_lazy_and_runs_to_the_same_numbers():
    by = programme()
    tables = tables_from_frames(by, **everything()).tables
    expression = features_expression(tables, by.instant(AS_OF), by)
    assert isinstance(expression, ibis.Table)
    assert "GROUP BY" in ibis.to_sql(expression)
    planned = expression.order_by("member_id").drop("as_of").to_pyarrow().to_pandas().set_index("member_id")
    built = features(**everything()).drop(columns="as_of")
    pd.testing.assert_frame_equal(planned.round(6), built, check_exact=True, check_index_type=False)
