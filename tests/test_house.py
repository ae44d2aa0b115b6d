"""What holds for every module: its length, what it imports, and that operators are asked in their own files only."""

import ast
import graphlib
from pathlib import Path

import pytest

import kgrow
from kgrow.graph import OPERATORS

ROOT = Path(kgrow.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 60
modules = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


def nodes_of(path, *kinds):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


@modules
def test_modules_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES
    for function in nodes_of(path, ast.FunctionDef):
        first = function.body[0]
        is_documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        docstring = first.end_lineno - first.lineno + 1 if is_documented else 0
        assert function.end_lineno - function.lineno + 1 - docstring <= MOST_LINES_OF_A_FUNCTION, function.name


def imported(path):
    """Returns the modules of kgrow that one imports when it is loaded, in a function, or for its types, by path."""
    found = set()
    for statement in nodes_of(path, ast.Import, ast.ImportFrom):
        if isinstance(statement, ast.Import):
            found |= {module for alias in statement.names for module in modules_of(alias.name)}
            continue
        for alias in statement.names:  # a module of the package, or a name that the package has
            package = statement.module or ""
            found |= modules_of(f"{package}.{alias.name}") or modules_of(package)
    return found - {path}


def modules_of(name):
    place = ROOT.parent.joinpath(*name.split("."))
    return {place.with_suffix(".py"), place / "__init__.py"} & set(MODULES)


def test_no_module_imports_itself_through_others_in_functions_or_for_its_types_either():
    lazily = ROOT / "__init__.py"  # names everything for type checkers, and loads it when it is used
    imports = {path: imported(path) - {lazily} for path in MODULES if path != lazily}
    order = graphlib.TopologicalSorter(imports)
    try:
        order.prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(str(path.relative_to(ROOT)) for path in reversed(error.args[1])))


@modules
def test_the_pruning_wrapper_is_known_in_one_place(path):
    for statement in nodes_of(path, ast.Import, ast.ImportFrom):
        names = [statement.module or ""] if isinstance(statement, ast.ImportFrom) else [a.name for a in statement.names]
        if path != ROOT / "_tfmot.py":
            assert not any(name.startswith("tensorflow_model_optimization") for name in names)


@modules
def test_nothing_but_its_own_file_asks_which_operator_a_node_has(path):
    if path.is_relative_to(ROOT / "graph" / "operators"):
        return
    names = {operator.__name__ for operator in OPERATORS.values()}
    for comparison in nodes_of(path, ast.Compare):
        assert "operator.kind" not in ast.unparse(comparison)
    for call in nodes_of(path, ast.Call):
        if isinstance(call.func, ast.Name) and call.func.id == "isinstance" and "operator" in ast.unparse(call.args[0]):
            assert not names & {name.id for name in ast.walk(call.args[1]) if isinstance(name, ast.Name)}
        if isinstance(call.func, ast.Name) and call.func.id in ("getattr", "hasattr"):
            assert "operator" not in ast.unparse(call.args[0]).split(".")[-1]
