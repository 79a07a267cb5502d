"""Lays out a folder that ``bentoml build`` makes a Bento of: code, programme file, model and policy table, whole."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path
from typing import Final

import features
import serving
from features.errors import RefusedError
from features.programme import load_programme
from serving.bundle_files import save_bundle, save_policy_table
from serving.resolve import policy_file, resolve_bundle, resolve_policy_table
from serving.server import OWN_BUNDLE, OWN_PROGRAMME

BENTOFILE: Final = """service: "serving.service:Winback"
include: ["*"]
python:
  requirements_txt: requirements.txt
  lock_packages: false
"""


def lay_out(programme_file: Path, out: Path, bundle_folder: Path | None = None) -> str:
    """Put everything the service needs into a folder; return the version of the model in it.

    Parameters
    ----------
    programme_file
        The programme to serve; its paths, the store's too, will start at the Bento's own folder.
    out
        The folder to make.
    bundle_folder
        Where the model is; None is the registry's champion.

    Raises
    ------
    RefusedError
        If the folder is there already, or there is no whole model.
    """
    if out.exists():
        raise RefusedError(f"{out} is there already; name a new folder")
    programme = load_programme(programme_file)
    bundle, policy_table = resolve_bundle(programme, bundle_folder), resolve_policy_table(programme)
    for package in (features, serving):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, out / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(programme_file, out / OWN_PROGRAMME)
    save_bundle(bundle, out / OWN_BUNDLE)
    if policy_table is not None:
        save_policy_table(policy_table, policy_file(programme.model_copy(update={"folder": out})))
    (out / "requirements.txt").write_text("\n".join([*_requirements(), ""]), encoding="utf-8")
    (out / "bentofile.yaml").write_text(BENTOFILE, encoding="utf-8")
    return bundle.version


def _requirements() -> Iterator[str]:
    """Name what the service needs in the versions installed here; what only training and tests need is left out."""
    for requirement in requires("winback") or ():
        needed, _, condition = requirement.partition(";")
        if not condition or "postgres" in condition:
            name = re.split(r"[<>=!~ ]", needed.strip())[0]
            yield f"{name}=={version(name.partition('[')[0])}"
