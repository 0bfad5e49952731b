"""What imports what inside the package, read from the source without running it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
PACKAGE = "ecomtune"


def module_file(module: str) -> Path | None:
    """The file of a module of the package, or None where there is no such module."""
    base = SOURCE.joinpath(*module.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            return file
    return None


@cache
def direct_imports(module: str) -> frozenset[str]:
    """Modules of the package that ``module`` imports anywhere in its file, but for type checking; its parents too."""
    file = module_file(module)
    assert file is not None, module
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {id(node) for block in ast.walk(tree) if _is_type_checking(block) for node in ast.walk(block)}
    found = {module.rpartition(".")[0]} - {""}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(module.split(".")[: -node.level]) if node.level else ""
            name = ".".join(filter(None, (parent, node.module)))
            found |= {name, *(f"{name}.{alias.name}" for alias in node.names)}
    return frozenset(name for name in found if name.split(".")[0] == PACKAGE and module_file(name))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def closure(*modules: str, stops: tuple[str, ...] = ()) -> set[str]:
    """``modules`` and all that they import, directly or not; what lies in a package of ``stops`` is left out."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found and not any(f"{module}.".startswith(f"{stop}.") for stop in stops):
            found.add(module)
            waiting += direct_imports(module)
    return found
