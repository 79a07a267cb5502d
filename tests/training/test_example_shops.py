"""Example shops are written as such shops write: their words, their marks, their encoding."""

from pathlib import Path

import pytest

from training.example_shops import SHOPS, write_shop


@pytest.mark.parametrize("name", list(SHOPS))
def test_files_are_in_the_shops_own_words_and_encoding(name: str, tmp_path: Path) -> None:
    shop = SHOPS[name]
    files = write_shop(name, tmp_path / name, members=150, weeks=40)
    assert [file.name for file in files] == list(shop.files)
    for file, (_, columns) in zip(files, shop.files.values(), strict=True):
        text = file.read_bytes().decode(shop.encoding)
        assert text.splitlines()[0] == shop.delimiter.join(columns)
        assert not text.isascii()


def test_the_same_shop_is_written_twice_alike(tmp_path: Path) -> None:
    once, again = (write_shop("german_shop", tmp_path / part, members=150, weeks=40) for part in ("a", "b"))
    assert [file.read_bytes() for file in once] == [file.read_bytes() for file in again]
