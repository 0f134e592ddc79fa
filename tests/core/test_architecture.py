"""The walls between the packages, read off the imports in the source."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import ophglm_cli
import ophglm_core

_PACKAGES = [Path(p.__file__).parent for p in (ophglm_core, ophglm_cli) if p.__file__]


def module_name(path: Path, package: Path) -> str:
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(p, package): p for package in _PACKAGES for p in package.rglob("*.py")}


def imported(name: str, path: Path, everywhere: bool) -> set[str]:
    """Return the modules of this project that one imports: as it loads, or in functions, too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree)) if everywhere else statements(tree)
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    known, found = modules(), set()
    for node in nodes:
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *((node.module or "").split(".") if node.module else [])])
            targets = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        found |= {target for target in targets if target in known}
    return found - {name}


def statements(tree: ast.Module) -> list[ast.AST]:
    """Return what runs as a module loads: neither in a function nor for type checkers alone."""
    result: list[ast.AST] = []
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        result.append(node)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += ast.iter_child_nodes(node)
    return result


@cache
def arrows(everywhere: bool) -> dict[str, set[str]]:
    return {name: imported(name, path, everywhere) for name, path in modules().items()}


def test_no_import_circle() -> None:
    graph = arrows(everywhere=False)
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name in done:
            return
        for target in sorted(graph[name]):
            # A package's own front door may list what lies in it.
            if not name.startswith(f"{target}."):
                visit(target, (*way, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())
    assert len(done) > 80


@pytest.mark.parametrize(
    ("of", "never"),
    [
        ("ophglm_core.runtime", "ophglm_core.networks"),
        ("ophglm_core.chat", "ophglm_core.networks"),
        ("ophglm_core.chat", "ophglm_core.training"),
        ("ophglm_core.chat", "ophglm_core.data.build_instructions"),
        ("ophglm_core.safety", "ophglm_core.chat"),
        ("ophglm_core", "ophglm_cli"),
    ],
)
def test_no_arrow(of: str, never: str) -> None:
    graph = arrows(everywhere=True)
    crossing = {
        f"{name} -> {target}"
        for name, targets in graph.items()
        for target in targets
        if f"{name}.".startswith(f"{of}.") and f"{target}.".startswith(f"{never}.")
    }
    assert any(f"{name}.".startswith(f"{of}.") for name in graph)
    assert not crossing


def test_the_library_never_prints() -> None:
    for name, path in modules().items():
        if name.startswith("ophglm_core"):
            calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            assert not [c.lineno for c in calls if ast.unparse(c.func) == "print"], name
