"""What the layout promises and import-linter cannot say."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("lightgbm", "mlflow", "bentoml", "optuna", "shap", "pandas", "ibis", "duckdb", "sklearn", "sqlalchemy")


def imported_by(statement: str) -> set[str]:
    """Return the top-level modules that are loaded after a statement runs in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in printed.stdout.splitlines()}


def test_help_loads_no_heavy_library() -> None:
    assert imported_by("import serving.cli").isdisjoint(HEAVY)


@pytest.mark.parametrize("module", ["features.build", "serving.decisions", "serving.scoring"])
def test_scoring_needs_neither_optuna_nor_training_nor_mlflow(module: str) -> None:
    assert imported_by(f"import {module}").isdisjoint({"optuna", "training", "shap", "mlflow", "bentoml"})


def test_importing_a_package_does_nothing() -> None:
    assert imported_by("import features, serving, training").isdisjoint(HEAVY)


def test_no_module_pickles() -> None:
    sources = [*ROOT.glob("features/*.py"), *ROOT.glob("serving/*.py"), *ROOT.glob("training/*.py")]
    assert sources
    assert [s.name for s in sources if "import pickle" in s.read_text() or "joblib" in s.read_text()] == []
