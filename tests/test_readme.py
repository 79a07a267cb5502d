"""The code in the README and in docs/ runs, top to bottom, in a copy of the repository's programme files."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from features.programme import load_programme
from training.simulator import simulate, write

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXECUTED = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return language and code of a page's executable blocks."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(language, code) for language, code in found if language in EXECUTED]


def make_targets() -> set[str]:
    """Return the targets the Makefile declares."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small version of the demo's simulated tables."""
    folder = tmp_path_factory.mktemp("simulated")
    write(simulate(members=1_500, weeks=80, seed=3, programme=load_programme(ROOT / "programme.toml")), folder)
    return folder


@pytest.fixture
def sandbox(simulated: Path, tmp_path: Path) -> Path:
    """Return a folder with the programme files and the simulated tables."""
    shutil.copy(ROOT / "programme.toml", tmp_path)
    shutil.copytree(ROOT / "programmes", tmp_path / "programmes")
    shutil.copytree(simulated, tmp_path / "demo" / "simulated")
    return tmp_path


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_code_blocks_run(page: Path, sandbox: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for language, code in blocks(page):
        done = subprocess.run(
            [*EXECUTED[language], code], cwd=sandbox, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{page.name}:\n{code}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_make_targets_named_in_the_text_exist(page: Path) -> None:
    named = set(re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")))
    named |= set(re.findall(r"^make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= make_targets()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_generated_pages_are_current() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
