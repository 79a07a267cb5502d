"""Build the documentation as a site: `python docs/site.py FOLDER`; warnings, such as dead links, are errors."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

DOCS = Path(__file__).parent

SECTIONS: Mapping[str, Sequence[str]] = {
    "Start": ("index", "quickstart", "concepts"),
    "Guides": ("data-scientist", "crm-integrator", "operator", "marketer"),
    "Data in": ("programme-file", "input-contract", "bad-input", "features"),
    "Models and evidence": ("models", "training", "evidence", "campaigns", "benchmarks"),
    "Every week": ("weekly-job", "report", "console"),
    "Service": ("crm", "crm-calls", "security", "operations"),
    "Reference": ("cli", "api", "errors", "reasons-zh"),
    "Working on it": ("contributing", "code-map"),
}
"""The pages in their order. One that is not there is left out; one that is not listed comes last, under More."""

CONFIGURATION = """[project]
site_name = "Winback"
site_description = "Churn, value and the cheapest recall incentive shown to work, for loyalty programmes."
docs_dir = {docs}
site_dir = {site}
use_directory_urls = false
nav = {nav}

[project.theme]
language = "en"
font = false
features = ["content.code.copy", "navigation.footer", "navigation.sections", "navigation.top", "search.highlight"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Switch to dark mode"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Switch to light mode"

[project.markdown_extensions]
attr_list = {{}}
tables = {{}}
toc.permalink = true
pymdownx.highlight.pygments_lang_class = true
pymdownx.superfences = {{}}
"""


def navigation(docs: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each section with the pages of it that are there, and last those that no section lists."""
    there = {page.stem for page in docs.glob("*.md")}
    listed = {page for pages in SECTIONS.values() for page in pages}
    for section, pages in {**SECTIONS, "More": sorted(there - listed)}.items():
        if found := [f"{page}.md" for page in pages if page in there]:
            yield section, found


def build(site: Path) -> None:
    """Build the site into a folder.

    Raises
    ------
    subprocess.CalledProcessError
        If anything is amiss; what it is has been printed.
    """
    with TemporaryDirectory() as folder:
        work = Path(folder)
        _copy_pages(work / "docs")
        sections = ", ".join(f"{{{json.dumps(name)} = {json.dumps(pages)}}}" for name, pages in navigation(DOCS))
        settings = CONFIGURATION.format(docs='"docs"', site='"site"', nav=f"[{sections}]")
        (work / "zensical.toml").write_text(settings, encoding="utf-8")
        program = Path(sys.executable).with_name("zensical")
        subprocess.run([program, "build", "--strict"], cwd=work, check=True)  # noqa: S603 -- our own words
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(work / "site", site)


def _copy_pages(folder: Path) -> None:
    """Copy the pages and their pictures; what they link to outside the documentation becomes plain text."""
    shutil.copytree(DOCS, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for page in folder.glob("*.md"):
        text = re.sub(r"\[([^\]]+)\]\(\.\./[^)]*\)", r"\1", page.read_text(encoding="utf-8"))
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
