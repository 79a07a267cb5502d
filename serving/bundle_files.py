"""Model bundles and policy tables as files: JSON and LightGBM text, never pickle, checked whole when they are read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from features.errors import RefusedError
from serving.bundle import BUNDLE_FORMAT, ModelBundle, Record, digest
from serving.policy_table import POLICY_FORMAT, PolicyTable

MANIFEST = "manifest.json"
BUNDLE = "bundle.json"

R = TypeVar("R", bound="Record")


class StoredFile(Record):
    """What a file of a bundle held when it was written."""

    bytes: int
    sha256: str


class Manifest(Record):
    """What a bundle's folder holds."""

    format: int
    version: str
    files: dict[Annotated[str, Field(pattern=r"^(bundle\.json|model_[a-z]+\.txt)$")], StoredFile]


def save_bundle(bundle: ModelBundle, folder: Path) -> None:
    """Write a bundle to a folder, replacing what is there; readers see the old one or the new one."""
    texts = {f"model_{name}.txt": model.text for name, model in bundle.models.items()}
    texts[BUNDLE] = bundle.model_dump_json(indent=1, exclude={"models": {"__all__": {"text"}}})
    files = {name: text.encode() for name, text in texts.items()}
    manifest = Manifest(
        format=bundle.format,
        version=bundle.version,
        files={name: StoredFile(bytes=len(data), sha256=digest(data)) for name, data in sorted(files.items())},
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        for name, data in files.items():
            (new / name).write_bytes(data)
        (new / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        new.rename(folder)


def load_bundle(folder: Path) -> ModelBundle:
    """Read a bundle and check it whole.

    Raises
    ------
    RefusedError
        If a file is missing, truncated or altered, the format is not this program's, or a model does not fit the
        bundle's features.
    """
    stored = _read_json(_read(folder / MANIFEST), folder / MANIFEST)
    _refuse_format(stored, BUNDLE_FORMAT, folder, again="train again")
    manifest = _parse(Manifest, stored, folder / MANIFEST)
    files = {name: _read_checked(folder / name, expected) for name, expected in manifest.files.items()}
    if BUNDLE not in files:
        raise RefusedError(f"{folder / MANIFEST} does not name {BUNDLE}; restore the bundle or train again")
    content = _read_json(files[BUNDLE], folder / BUNDLE)
    content["models"] = _with_texts(content.get("models"), files)
    bundle = _parse(ModelBundle, content, folder)
    if bundle.version != manifest.version:
        raise RefusedError(f"{folder} was altered: its content does not hash to version {manifest.version}")
    return bundle


def save_policy_table(table: PolicyTable, file: Path) -> None:
    """Write a policy table to one JSON file; readers see the old one or the new one."""
    content = table.model_dump(mode="json")
    envelope = {"format": table.format, "sha256": digest(_canonical(content)), "policy_table": content}
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}-") as scratch:
        new = Path(scratch) / file.name
        new.write_text(json.dumps(envelope, indent=1), encoding="utf-8")
        new.replace(file)


def load_policy_table(file: Path) -> PolicyTable:
    """Read a policy table and check it whole.

    Raises
    ------
    RefusedError
        If the file is missing, truncated or altered, or its format is not this program's.
    """
    envelope = _read_json(_read(file), file)
    _refuse_format(envelope, POLICY_FORMAT, file, again="run `winback effects` again")
    content = envelope.get("policy_table", {})
    if digest(_canonical(content)) != envelope.get("sha256"):
        raise RefusedError(f"{file} was altered after it was written; restore it or run `winback effects` again")
    return _parse(PolicyTable, content, file)


def _canonical(content: object) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _with_texts(models: object, files: Mapping[str, bytes]) -> object:
    """Put each model's text beside what is said of it; what is laid out otherwise is left for validation to refuse."""
    if not isinstance(models, dict):
        return models
    return {
        name: {**model, "text": files.get(f"model_{name}.txt", b"")} if isinstance(model, dict) else model
        for name, model in models.items()
    }


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RefusedError(f"{file} is missing") from error
    except OSError as error:
        raise RefusedError(f"{file} cannot be read: {error.strerror}") from error


def _read_checked(file: Path, expected: StoredFile) -> bytes:
    data = _read(file)
    if len(data) < expected.bytes:
        raise RefusedError(f"{file} is truncated: {len(data)} of {expected.bytes} bytes")
    if digest(data) != expected.sha256:
        raise RefusedError(f"{file} was altered after the bundle was written; restore it or train again")
    return data


def _read_json(data: bytes, file: Path) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise RefusedError(f"{file} is not whole JSON (truncated or altered): {error}") from error
    if not isinstance(content, dict):
        raise RefusedError(f"{file} is not a JSON object")
    return content


def _refuse_format(content: Mapping[str, Any], known: int, where: Path, *, again: str) -> None:
    found = content.get("format")
    if type(found) is not int or found < 1:
        raise RefusedError(f"{where} does not say which format it has")
    if found < known:
        raise RefusedError(f"{where} has format {found}, of an earlier winback; this program reads {known}: {again}")
    if found > known:
        raise RefusedError(f"{where} has format {found}, this program reads up to {known}; upgrade winback")


def _parse(kind: type[R], content: object, where: Path) -> R:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'content'}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        )
        raise RefusedError(f"{where} does not fit: {problems}") from error
