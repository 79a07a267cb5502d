import math

from histories import lines, of_one, orders, programme, some
from pytest import approx

TWO_ORDERS = orders(("2025-02-01", 100.0), ("2025-12-01", 60.0), channel=["shop", "app"])
BOUGHT = lines(
    ("m-1", "nappies", "baby", 3, 60.0),
    ("m-1", "bread", "food", 1, 40.0),
    ("m-2", "bread", "food", 2, 20.0),
    ("m-2", "milk", "food", 1, 40.0),
)


def test_products_and_categories_are_counted_in_all_and_lately():
    got = of_one(TWO_ORDERS, order_lines=BOUGHT)
    assert some(got, "product_count", "product_count_91d", "category_count", "category_count_91d") == [3, 2, 2, 1]
    assert some(got, "new_product_share_91d", "new_category_days") == [0.5, 334]
    assert got["repeat_product_share"] == approx(1 / 3, abs=1e-6)


def test_items_are_averaged_per_order_and_money_per_item():
    got = of_one(TWO_ORDERS, order_lines=BOUGHT)
    assert some(got, "items_per_order", "item_amount_mean") == approx([7 / 2, 160 / 7], abs=1e-6)


def test_the_favourite_category_is_the_one_most_is_spent_on():
    assert of_one(TWO_ORDERS, order_lines=BOUGHT)["top_category_share"] == 100 / 160


def test_a_category_has_ended_when_its_life_since_the_first_purchase_is_over():
    short, long = ({"categories": {"baby": {"life_days": days}}} for days in (333, 334))
    assert of_one(TWO_ORDERS, order_lines=BOUGHT, settings=programme(**short))["ended_category_share"] == 60 / 160
    assert of_one(TWO_ORDERS, order_lines=BOUGHT, settings=programme(**long))["ended_category_share"] == 0


def test_returned_lines_are_not_bought():
    returned = lines(("m-1", "cot", "furniture", 1, -50.0), ("m-1", "lamp", "furniture", -1, 5.0))
    assert of_one(TWO_ORDERS, order_lines=returned)["product_count"] == 0


def test_ordering_through_several_channels_is_told_from_one_and_from_none_known():
    assert of_one(TWO_ORDERS)["is_multi_channel"] == 1
    assert of_one(TWO_ORDERS.assign(channel="shop"))["is_multi_channel"] == 0
    assert math.isnan(of_one(TWO_ORDERS.drop(columns="channel"))["is_multi_channel"])


def test_without_lines_counts_are_zero_and_shares_missing():
    got = of_one(TWO_ORDERS)
    assert some(got, "product_count", "category_count") == [0, 0]
    shares = ("top_category_share", "ended_category_share", "repeat_product_share", "item_amount_mean")
    assert all(math.isnan(got[name]) for name in shares)
