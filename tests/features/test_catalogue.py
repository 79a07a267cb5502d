import re
from datetime import datetime
from pathlib import Path

import pytest
from histories import programme
from raw_tables import empty_table

from features.build import member_columns
from features.catalogue import UNITS, catalogue, feature_names, features_markdown
from features.schemas import Tables
from features.settings_members import Windows
from features.windows import Clock

OTHER_WINDOWS = Windows(days=(14, 182), short_days=(3,))


@pytest.mark.parametrize("windows", [Windows(), OTHER_WINDOWS])
def test_every_column_the_families_make_is_in_the_catalogue_and_every_entry_is_made(windows):
    by = programme(windows=windows.model_dump())
    names = ("orders", "members", "order_lines", "events", "offers", "contacts")
    tables = Tables(**{name: empty_table(name) for name in names})
    made = member_columns(tables, Clock.at(datetime(2026, 1, 1), by), by).columns
    assert {name for name in made if not name.startswith("_")} == {"member_id", *feature_names(windows)}


@pytest.mark.parametrize("windows", [Windows(), OTHER_WINDOWS])
def test_names_are_unique_snake_case(windows):
    names = feature_names(windows)
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


def test_labels_are_unique_and_in_their_language():
    entries = catalogue(Windows())
    for labels in ([f.label_en for f in entries], [f.label_zh for f in entries]):
        assert len(labels) == len(set(labels))
    assert all(feature.label_en.isascii() for feature in entries)
    assert all(re.search("[\u4e00-\u9fff]", feature.label_zh) for feature in entries)


def test_every_unit_is_explained_and_used():
    assert {feature.unit for feature in catalogue(Windows())} == set(UNITS)


def test_the_document_is_current():
    document = Path(__file__).parents[2] / "docs" / "features.md"
    assert document.read_text(encoding="utf-8").startswith(features_markdown())
