"""Sentences never contradict the value or the direction, for any feature, value and language."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.settings_members import Windows
from serving.wording import Wording, sentences, vocabulary

VOCABULARY = vocabulary(Windows(), 91)
NAN = float("nan")
ABSENT_EN = ("not on record", "on record", "Never", "No complaint is open", "No complaint in a year")
ENDINGS_ZH = "（.*）|(变化|[天次人张]数|订单数|品类数|商品数)$"
GROWN_ZH, SHRUNK_ZH = ("增长", "提高", "拉长"), ("减少", "降低", "缩短")
ABSENT_ZH = ("暂无数据", "没有", "从未")

wordings = st.sampled_from(list(VOCABULARY.values()))
values = (
    st.sampled_from([0.0, 1.0, 2.0, 63.0, 1_000_000.0, -1.0])
    | st.floats(-2.0, 1e6).map(lambda value: round(value, 6) + 0.0)
    | st.floats(0.0, 1.0).map(lambda value: round(value, 6))
)


def number_in(text: str) -> float:
    """Read the number that follows the label, or stands before it."""
    written = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    return float(written[0].replace(",", ""))


def without_label(sentence: str, label: str) -> str:
    return re.sub(re.escape(label), "", sentence, flags=re.IGNORECASE)


@given(wording=wordings, value=values | st.just(NAN), raises=st.booleans())
def test_the_direction_is_said_once_and_rightly(wording, value, raises):
    en, zh = sentences(wording, value, raises=raises, currency="EUR")
    assert en.endswith(", which raises the risk" if raises else ", which lowers the risk")
    assert zh.endswith("，流失风险上升" if raises else "，流失风险下降")
    assert en.count("the risk") == zh.count("流失风险") == 1
    assert en[0].isupper() or en[0].isdigit() or en[0] == "-"
    assert "nan" not in en.lower().replace("chan", "")
    assert "nan" not in zh.lower()


@given(wording=wordings, value=values, raises=st.booleans())
def test_the_number_said_is_the_value(wording, value, raises):
    en, zh = sentences(wording, value, raises=raises, currency="EUR")
    fact_en, fact_zh = en.rsplit(", which", 1)[0], zh.rsplit("，流失", 1)[0]
    if wording.unit == "flag":
        assert fact_en.endswith(": yes") == fact_zh.endswith("：是") == (value != 0)
        return
    shown = value * 100 if wording.unit in ("share", "change") else value
    label_en, label_zh = wording.label_en, re.sub(ENDINGS_ZH, "", wording.label_zh)
    if fact_en.startswith("No ") and wording.unit == "count":
        assert value == 0
    else:
        assert number_in(without_label(fact_en, label_en)) == pytest.approx(shown, rel=0.01, abs=0.1001)
    said_zh = without_label(fact_zh, label_zh)
    if wording.unit == "change":
        assert any(word in said_zh for word in (GROWN_ZH if value > 0 else SHRUNK_ZH if value < 0 else ("持平",)))
        said_zh, shown = said_zh.replace("持平", "0"), abs(shown)
    assert number_in(said_zh) == pytest.approx(shown, rel=0.01, abs=0.1001)


@pytest.mark.parametrize(
    ("value", "written"), [(0.0000002, "<0.1%"), (-0.0000002, ">-0.1%"), (0.00051, "0.1%"), (0.0, "0%")]
)
def test_what_is_too_small_to_write_is_said_to_be_small(value, written):
    for name in ("prior_p_orders", "return_share"):
        en, zh = sentences(VOCABULARY[name], value, raises=True, currency="EUR")
        assert f": {written}," in en
        assert f"为 {written}，" in zh


@given(wording=wordings, value=values.filter(lambda value: value != 0), raises=st.booleans())
def test_what_is_not_zero_is_never_said_to_be_zero(wording, value, raises):
    for sentence in sentences(wording, value, raises=raises, currency="EUR"):
        assert not re.search(r"(?<![\d.,])-?0(\.0+)?(?![\d.,])", sentence)


@given(wording=wordings, raises=st.booleans())
def test_a_missing_value_is_said_to_be_absent_and_has_no_number_of_its_own(wording, raises):
    en, zh = sentences(wording, NAN, raises=raises, currency="EUR")
    assert any(phrase in en for phrase in ABSENT_EN)
    assert any(phrase in zh for phrase in ABSENT_ZH)
    assert not re.search(r"\d", without_label(en, wording.label_en))
    assert not re.search(r"\d", without_label(zh, wording.label_zh))


@given(wording=wordings, value=values.filter(lambda value: value >= 1))
def test_something_that_happened_is_never_said_to_be_absent(wording, value):
    for raises in (True, False):
        en, zh = sentences(wording, value, raises=raises, currency="EUR")
        assert "on record" not in en
        assert "暂无" not in zh
        assert "记录" not in zh


@pytest.mark.parametrize(
    ("name", "value", "raises", "en", "zh"),
    [
        ("recency_days", 63, True, "No order for 63 days", "已 63 天没有下单"),
        ("recency_days", 1, False, "Last order 1 day ago", "最近一次下单在 1 天前"),
        ("order_count_364d", 12, False, "12 orders in the last 364 days", "近364天订单 12 笔"),
        ("visits_28d", 0, True, "No visits in the last 28 days", "近28天访问 0 次"),
        ("visits_28d", 1, True, "Visits in the last 28 days: 1", "近28天访问 1 次"),
        ("days_since_visit", NAN, True, "No visit on record", "没有访问记录"),
        (
            "open_rate_28d",
            0.125,
            True,
            "Share of messages opened in the last 28 days: 12.5%",
            "近28天消息打开率为 12.5%",
        ),
        (
            "visits_change_28d",
            -0.5,
            True,
            "Change in visits, four weeks on four weeks: -50%",
            "近28天访问次数环比减少 50%",
        ),
        (
            "gap_change",
            0.25,
            True,
            "Latest repurchase cycle against the typical one: +25%",
            "最近一次复购周期较平时拉长 25%",
        ),
        (
            "overdue_gaps",
            2.5,
            True,
            "Time since the last order, in typical cycles: 2.5",
            "未下单时长相当于复购周期的 2.5 倍",
        ),
        ("product_count", 7, False, "7 products bought", "购买商品 7 款"),
        ("average_order_value", 85.2, False, "Average order value: CNY 85.20", "客单价为 85.20 元"),
        ("gap_median_days", 17.5, False, "Typical repurchase cycle: 17.5 days", "复购周期中位数为 17.5 天"),
        ("complaint_open_hours", NAN, False, "No complaint is open", "没有未解决的投诉"),
        ("is_multi_channel", 1, False, "Orders through several channels: yes", "跨渠道购买：是"),
        (
            "prior_p_orders",
            0.0134,
            True,
            "Chance of an order in 91 days, by own order rhythm: 1.3%",
            "按下单规律推算，未来91天下单概率为 1.3%",
        ),
    ],
)
def test_sentences_read_well(name, value, raises, en, zh):
    said_en, said_zh = sentences(VOCABULARY[name], float(value), raises=raises, currency="CNY")
    assert said_en == f"{en}, which {'raises' if raises else 'lowers'} the risk"
    assert said_zh == f"{zh}，流失风险{'上升' if raises else '下降'}"


def test_a_feature_without_words_of_its_own_is_told_by_unit_and_label():
    new = Wording("gifts_28d", "count", "gifts in the last 28 days", "近28天赠礼次数")
    assert sentences(new, 3.0, raises=False, currency="EUR") == (
        "3 gifts in the last 28 days, which lowers the risk",
        "近28天赠礼 3 次，流失风险下降",
    )


def test_amounts_outside_china_name_their_currency_in_both_languages():
    en, zh = sentences(VOCABULARY["value_total"], 1234.5, raises=True, currency="EUR")
    assert "EUR 1,234" in en
    assert "1,234 EUR" in zh
