"""A Bento serves from its own folder, without MLflow, Optuna or training."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from builders import AS_OF, history_of
from processes import answering, free_port

from features.errors import RefusedError
from serving.bento import lay_out
from serving.bundle_files import load_bundle
from serving.contracts import ModelAnswer, ScoreAnswer
from serving.server import KEYS_VARIABLE, NO_KEYS

NOT_NEEDED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mlflow", "optuna", "training"):
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Refuse())
"""


def test_it_is_laid_out_whole(published, tmp_path):
    out = tmp_path / "bento"
    version = lay_out(published.programme.path("programme.toml"), out)
    assert version == load_bundle(out / "bundle").version == published.bundle.version
    assert yaml.safe_load((out / "bentofile.yaml").read_text())["service"] == "serving.service:Winback"
    required = (out / "requirements.txt").read_text().split()
    assert any(line.startswith("lightgbm==") for line in required)
    assert not any(line.startswith(("optuna", "pytest", "shap")) for line in required)
    assert (out / "serving" / "migrations" / "env.py").exists()
    with pytest.raises(RefusedError, match="there already"):
        lay_out(published.programme.path("programme.toml"), out)


@pytest.mark.long
def test_it_serves_what_was_built_from_its_own_folder(published, tmp_path, monkeypatch):
    out, elsewhere = tmp_path / "bento", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "sitecustomize.py").write_text(NOT_NEEDED)
    lay_out(published.programme.path("programme.toml"), out)
    for name, value in {"BENTOML_HOME": tmp_path / "home", KEYS_VARIABLE: NO_KEYS, "PYTHONPATH": elsewhere}.items():
        monkeypatch.setenv(name, str(value))
    bentoml = [sys.executable, "-m", "bentoml"]
    built = subprocess.run([*bentoml, "build", "--output", "tag"], capture_output=True, text=True, cwd=out)
    assert built.returncode == 0, built.stderr
    tag = built.stdout.strip().splitlines()[-1].removeprefix("__tag__:")
    port = free_port()
    command = [*bentoml, "serve", tag, "--host", "127.0.0.1", "--port", str(port)]
    with answering(command, port, elsewhere / "log.txt") as client:
        model = ModelAnswer.model_validate(client.get("/v1/model").json())
        assert (model.model_version, model.policy_version) == (published.bundle.version, published.policy_table.version)
        history = history_of(next(iter(published.records)), published.frames)
        answer = ScoreAnswer.model_validate(
            client.post("/v1/score", json={"histories": [history], "as_of": AS_OF}).json()
        )
        assert answer.results[0].decision.member_id == history["member_id"]
    assert list((Path(tmp_path) / "home").rglob("var/winback.db"))
