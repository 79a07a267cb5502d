"""Docker Compose itself takes docker-compose.yml; what it means, tests/test_deployment.py checks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

FILE = Path(__file__).parents[2] / "docker-compose.yml"


def refusal(file: Path) -> str:
    """What Compose says against a file; nothing when all is well."""
    asked = ["docker-compose", "--file", file, "config", "--quiet"]
    checked = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    return checked.stderr if checked.returncode else ""


def test_the_file_that_is_shipped_is_valid():
    assert refusal(FILE) == ""


def test_an_invalid_one_would_be_noticed(tmp_path):
    broken = tmp_path / FILE.name
    broken.write_text(FILE.read_text(encoding="utf-8").replace("restart:", "restarts:"), encoding="utf-8")
    assert "restarts" in refusal(broken)
