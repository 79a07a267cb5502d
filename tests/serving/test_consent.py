from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.programme import Programme, parse_programme
from serving.consent import consenting, unreachable
from serving.loading import load

AS_OF = datetime(2026, 1, 5)
MEMBERS = pd.Series(["a", "b", "c"], index=[5, 3, 8])


def programme(**guardrails: object) -> Programme:
    incentives = [
        {"id": "mail", "name_en": "m", "name_zh": "m"},
        {"id": "text", "name_en": "t", "name_zh": "t", "channel": "sms"},
    ]
    settings = {"incentives": incentives, "guardrails": guardrails, "data": {"orders": {"path": "orders.csv"}}}
    return parse_programme({"name": "t", "currency": "EUR", **settings})


def contacts(*rows: tuple[str, str, bool, str | None]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["member_id", "channel", "consent", "updated_at"])
    return frame.astype({"updated_at": "datetime64[us]"})


def allowed(table: pd.DataFrame | None, **guardrails: object) -> dict[str, list[bool]]:
    return by_arm(consenting(MEMBERS, programme(**guardrails), as_of=AS_OF, contacts=table))


def by_arm(consents: np.ndarray) -> dict[str, list[bool]]:
    return dict(zip(("mail", "text"), consents.T.tolist(), strict=True))


def test_consent_is_per_channel_and_a_member_without_a_row_is_not_contacted() -> None:
    table = contacts(("a", "email", True, None), ("a", "sms", False, None), ("b", "sms", True, None))
    assert allowed(table, consent_default=True) == {"mail": [True, False, False], "text": [False, True, False]}


def test_the_latest_row_before_as_of_counts() -> None:
    table = contacts(
        ("a", "email", False, "2025-06-01"),
        ("a", "email", True, "2025-12-31"),
        ("b", "email", True, "2025-06-01"),
        ("b", "email", False, "2026-01-04T23:59:59"),
        ("c", "email", False, None),
        ("c", "email", True, "2026-01-05"),
    )
    assert allowed(table)["mail"] == [True, False, False]


def test_of_two_rows_of_one_instant_the_refusal_counts_whatever_their_order() -> None:
    table = contacts(("a", "email", False, "2025-06-01"), ("a", "email", True, "2025-06-01"))
    assert not allowed(table)["mail"][0]
    assert not allowed(table[::-1])["mail"][0]


def test_an_empty_table_means_that_nobody_consented() -> None:
    assert allowed(contacts(), consent_default=True) == {"mail": [False] * 3, "text": [False] * 3}


@pytest.mark.parametrize("default", [True, False])
def test_without_a_table_the_stated_default_holds(default: bool) -> None:
    assert allowed(None, consent_default=default) == {"mail": [default] * 3, "text": [default] * 3}


def test_without_a_table_and_a_default_it_says_what_to_state() -> None:
    with pytest.raises(InputError, match="consent_default = true"):
        allowed(None)


def test_without_incentives_consent_need_not_be_stated() -> None:
    nothing_to_send = programme().model_copy(update={"incentives": ()})
    assert consenting(MEMBERS, nothing_to_send, as_of=AS_OF, contacts=None).shape == (3, 0)


@pytest.mark.parametrize(("table", "default"), [(True, None), (False, True)])
def test_unsubscribing_later_withdraws_consent_for_the_channel_named_or_for_all(
    table: bool, default: bool | None
) -> None:
    given = [(name, channel, True, "2025-06-01") for name in "abc" for channel in ("email", "sms")]
    events = pd.DataFrame({"member_id": ["a", "b"], "channel": ["Email", None], "updated_at": ["2025-07-01"] * 2})
    consents = consenting(
        MEMBERS, programme(consent_default=default), as_of=AS_OF, contacts=contacts(*given) if table else None,
        unsubscribed=events.astype({"updated_at": "datetime64[us]"}),
    )  # fmt: skip
    assert by_arm(consents) == {"mail": [False, False, True], "text": [True, False, True]}


def test_a_consent_given_after_unsubscribing_counts() -> None:
    events = pd.DataFrame({"member_id": ["a"], "channel": [None], "updated_at": [datetime(2025, 5, 1)]})
    table = contacts(("a", "email", True, "2025-06-01"))
    assert consenting(MEMBERS, programme(), as_of=AS_OF, contacts=table, unsubscribed=events)[0, 0]


def test_a_channel_no_contact_row_has_is_said() -> None:
    (finding,) = unreachable(programme(), {"Email": 3, "sms": 2})
    assert "is never 'email', so mail can be sent to nobody; channels there: Email, sms" in str(finding)


def test_loading_a_programme_that_neither_has_nor_states_consent_says_what_to_state() -> None:
    with pytest.raises(InputError, match="consent_default = true"):
        load(programme(), lambda _: None)
