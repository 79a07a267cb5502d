"""The code in the README and in docs/ runs, top to bottom, in a copy of the repository's programme files."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from features.programme import load_programme
from serving.cli import app
from training.simulator import simulate, write

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = "\n[training]\nsnapshots = 2\n"
"""What the copies of the programme files say on top: a walk along the pages needs no good model."""


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return language and code of a page's executable blocks."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def make_targets() -> set[str]:
    """Return the targets the Makefile declares."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def expanded(word: str) -> list[str]:
    """Return the files a pattern stands for, as a shell would."""
    return sorted(map(str, Path().glob(word))) if "*" in word else [word]


def run_shell(code: str) -> None:
    """Run shell lines; those that only call ``winback`` in this process, where its imports are paid for already."""
    for line in code.replace("\\\n", " ").splitlines():
        words = [part for word in shlex.split(line, comments=True) for part in expanded(word)]
        if words[:1] == ["winback"]:
            result = CliRunner().invoke(app, words[1:])
            assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        elif words:
            subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True, timeout=300)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small version of the demo's simulated tables."""
    folder = tmp_path_factory.mktemp("simulated")
    write(simulate(members=600, weeks=80, seed=3, programme=load_programme(ROOT / "programme.toml")), folder)
    return folder


@pytest.fixture
def sandbox(simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, which has the programme files, made quick, and the simulated tables."""
    for file in (ROOT / "programme.toml", *(ROOT / "programmes").glob("*.toml")):
        copy = tmp_path / file.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(file.read_text(encoding="utf-8") + QUICK, encoding="utf-8")
    shutil.copytree(simulated, tmp_path / "demo" / "simulated")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_code_blocks_run(page: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for language, code in blocks(page):
        if language == "python":
            exec(compile(code, page.name, "exec"), names)
        else:
            run_shell(code)


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
