"""docker-compose.yml, the image and Prometheus's configuration fit each other and the program they run."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from serving.api import build_api
from serving.cli import app

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROMETHEUS = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))
KEYS = {
    "build", "image", "command", "entrypoint", "environment", "secrets", "volumes", "ports", "depends_on",
    "healthcheck", "read_only", "tmpfs", "security_opt", "cap_drop", "stop_grace_period", "restart",
}  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_and_names_only_what_is_there(name):
    service = SERVICES[name]
    assert set(service) <= KEYS
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", service["image"])
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).exists()


def test_nothing_is_reached_from_other_machines():
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
    assert "ports" not in SERVICES["postgres"]


def test_secrets_are_files_that_git_leaves_alone():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    folders = {f"{Path(secret['file']).parent}/" for secret in COMPOSE["secrets"].values()}
    assert folders <= set(ignored)
    assert re.search(r"PASSWORD: ", (ROOT / "docker-compose.yml").read_text()) is None


def test_the_service_is_started_as_the_command_line_knows_it():
    arguments = SERVICES["winback"]["command"]
    assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert SERVICES["winback"]["image"] == f"winback:{version}"


def test_prometheus_reads_the_metrics_with_its_key():
    (job,) = PROMETHEUS["scrape_configs"]
    assert job["metrics_path"] in build_api().openapi()["paths"]
    assert Path(job["authorization"]["credentials_file"]).name in SERVICES["prometheus"]["secrets"]
    (target,) = job["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert SERVICES[name]["command"][-2:] == ["--port", port]


def test_the_image_is_made_of_what_is_there_and_not_ignored():
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert all((ROOT / source).exists() for source in sources)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sources == allowed
