"""Killed as a whole right after it acknowledged something, the service comes back and has lost nothing of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from builders import AS_OF, small_bundle, small_programme
from processes import answering, caller, free_port, wait_until_ready

from features.programme import Programme
from serving.batch import score_programme
from serving.bundle_files import save_bundle
from serving.lookup import iso, utc_now


@pytest.fixture
def programme(tmp_path) -> Programme:
    """A small programme with a week's decisions published by the model in the folder `bundle`."""
    programme = small_programme(tmp_path)
    save_bundle(small_bundle(programme), tmp_path / "bundle")
    score_programme(programme, tmp_path / "out", as_of=AS_OF, bundle_folder=tmp_path / "bundle")
    return programme


@pytest.mark.long
def test_what_was_acknowledged_moves_the_score_after_the_whole_service_was_killed(programme, tmp_path):
    port, log = free_port(), tmp_path / "log.txt"
    winback, file = Path(sys.executable).with_name("winback"), programme.path("programme.toml")
    serve = [winback, "serve", "--no-keys", "--programme", file, "--bundle", tmp_path / "bundle", "--port", str(port)]
    asked = {"member_ids": ["m002"]}
    order = {"order_id": "new", "member_id": "m002", "ordered_at": iso(utc_now()), "net_amount": 500.0}
    with caller(port) as client, log.open("w") as output:
        process = subprocess.Popen(serve, stdout=output, stderr=subprocess.STDOUT)
        whole = psutil.Process(process.pid)
        wait_until_ready(client, process, log)
        published = client.post("/v1/score", json=asked).json()["results"][0]["decision"]
        acknowledged = client.post("/v1/events", json={"orders": [order]}).json()["orders"]
        for each in (*whole.children(recursive=True), whole):
            each.kill()
        process.wait(timeout=30)
    with answering(serve, port, log) as client:
        found = client.post("/v1/score", json=asked).json()["results"][0]
        again = client.post("/v1/events", json={"orders": [order]}).json()["orders"]
    assert ([item["status"] for item in acknowledged], [item["status"] for item in again]) == (["recorded"], ["known"])
    assert found["source"] == "recomputed"
    assert found["decision"]["historic_value"] > published["historic_value"]
