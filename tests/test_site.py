"""The documentation builds as a site that needs no network, and every page of it can be reached."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOADED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(?:https?:)?//|<link[^>]*rel=["']?stylesheet[^>]*//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run([sys.executable, ROOT / "docs" / "site.py", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_built_and_in_the_navigation(site: Path) -> None:
    pages = {f"{page.stem}.html" for page in (ROOT / "docs").glob("*.md")}
    navigation = re.findall(r'href="\./(\S+)" class="md-nav__link', (site / "index.html").read_text(encoding="utf-8"))
    assert {*navigation, "index.html"} == pages
    assert all((site / page).exists() for page in pages)


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert pages
    assert [page.name for page in pages if LOADED.search(page.read_text(encoding="utf-8"))] == []


def test_a_dead_link_fails_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Home\n\nSee [nothing](nowhere.md).\n")
    (docs / "site.py").write_bytes((ROOT / "docs" / "site.py").read_bytes())
    done = subprocess.run([sys.executable, docs / "site.py", tmp_path / "site"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "page does not exist" in done.stdout + done.stderr
    assert not (tmp_path / "site").exists()
