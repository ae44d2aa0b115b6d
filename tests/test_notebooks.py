"""The notebooks run from top to bottom, and are stored without outputs."""

import ast
import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "recipes").glob("*.ipynb"))
# In place of the cell that is tagged as "parameters".
SMALL = {
    "quickstart": 'data, limits, max_time = "digits", {"flash_bytes": "32KB"}, "40s"',
    "compress_your_own": "epochs = 3",
    "grow_and_prune": "epochs = 4",
}


def test_each_notebook_has_its_small_setting():
    assert [path.stem for path in NOTEBOOKS] == sorted(SMALL)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_stored_and_every_cell_is_python(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    for cell in code:
        ast.parse("".join(cell["source"]))
    assert sum("parameters" in cell["metadata"].get("tags", ()) for cell in code) == 1


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="kgrow[notebook] is not installed")
    nbformat = pytest.importorskip("nbformat", reason="kgrow[notebook] is not installed")
    book = nbformat.read(path, as_version=4)
    (chosen,) = (cell for cell in book.cells if "parameters" in cell.metadata.get("tags", ()))
    chosen.source = SMALL[path.stem]
    nbclient.NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs) or path.stem == "compress_your_own"
    assert not [output for output in outputs if output.output_type == "error"]
