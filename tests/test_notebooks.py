"""The notebooks run from top to bottom, and what they show was made by such a run.

``python tests/test_notebooks.py [FILE ...]`` runs them and keeps what they show.
"""

import re
import socket
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def executed(file: Path) -> nbformat.NotebookNode:
    """Run a notebook; what libraries say on the way, and when what ran, is left out."""
    notebook = nbformat.read(file, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(file.parent)}}).execute()
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


@pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq", "ignore:Proactor:RuntimeWarning")
@pytest.mark.long
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebooks_run_from_top_to_bottom(file: Path) -> None:
    executed(file)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebooks_are_kept_with_their_outputs(file: Path) -> None:
    cells = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell.outputs for cell in cells)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebooks_tell_nothing_of_the_machine_they_ran_on(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert re.findall(r"(?:/home/|/root/|/Users/|/tmp/|[A-Z]:\\\\Users)[^\s\"]*", text) == []
    streams = [output.get("text", "") for cell in nbformat.reads(text, 4).cells for output in cell.get("outputs", ())]
    assert re.search(rf"\b{re.escape(socket.gethostname())}\b", "".join(streams)) is None


if __name__ == "__main__":
    for file in map(Path, sys.argv[1:] or NOTEBOOKS):
        nbformat.write(executed(file), file)
