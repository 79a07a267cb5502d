"""The input contract is data, and its page follows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pandera.errors import SchemaError
from raw_tables import empty_table

from features.schemas import CONTRACTS, EVENTS, contract_markdown

PAGE = Path(__file__).parents[2] / "docs" / "input-contract.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == contract_markdown(), (
        "write contract_markdown() to docs/input-contract.md"
    )


def test_the_page_names_every_column_and_event() -> None:
    page = contract_markdown()

    for contract in CONTRACTS.values():
        section = page.split(f"## {contract.name}\n")[1].split("\n## ")[0]
        assert all(f"| `{column.name}` |" in section for column in contract.columns)
    assert all(f"| `{event}` |" in page for event in EVENTS)


def test_only_orders_ask_for_more_than_ids_times_and_what_the_row_is() -> None:
    required = {name: [c.name for c in contract.columns if c.required] for name, contract in CONTRACTS.items()}

    assert required["orders"] == ["order_id", "member_id", "ordered_at", "net_amount"]
    assert required["members"] == ["member_id"]
    assert required["events"] == ["member_id", "occurred_at", "event"]


def test_keys_and_times_are_columns_of_their_table() -> None:
    for contract in CONTRACTS.values():
        names = {column.name for column in contract.columns}
        assert {*contract.key, contract.time} - {None} <= names


def test_a_table_of_other_types_does_not_fit_the_contract() -> None:
    events = empty_table("events")

    assert CONTRACTS["events"].canonical.validate(events) is events
    with pytest.raises(SchemaError, match="occurred_at"):
        CONTRACTS["events"].canonical.validate(events.mutate(occurred_at=events.occurred_at.cast("date")))
    with pytest.raises(SchemaError, match="colour"):
        CONTRACTS["events"].canonical.validate(events.mutate(colour=events.event))
