"""The walls between the rooms, read from the source with `ast`: who may import whom, and what stays behind a door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("engines", "models", "stream", "signaling", "server")
"""From the bottom up; a layer imports itself and what is below it."""
HEAVY = {
    "av", "cv2", "cuda", "h5py", "insightface", "modelopt", "onnx", "onnxruntime", "openvino", "pymatting",
    "pyvirtualcam", "ray", "scipy", "sklearn", "tensorrt", "tensorrt_rtx", "torch", "torch2trt",
}  # fmt: skip
"""Packages that take long to import, or are not installed everywhere: reasons to import inside a function."""


class Import(NamedTuple):
    """One imported module.

    Attributes:
        module: its dotted name; of the project's own modules the longest that exists.
        line: where.
        lazy: whether it stands inside a function.
    """

    module: str
    line: int
    lazy: bool


def source_files() -> list[Path]:
    folders = [path for layer in LAYERS if (path := ROOT / layer).is_dir()]
    return [ROOT / "server.py", *(file for folder in folders for file in sorted(folder.rglob("*.py")))]


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in source_files()}


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


@cache
def imports_of(file: Path) -> tuple[Import, ...]:
    return tuple(_imports(tree_of(file), lazy=False))


def _imports(node: ast.AST, *, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Import(names=names):
                yield from (Import(_known(each.name), child.lineno, lazy) for each in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (Import(_known(f"{module}.{each.name}"), child.lineno, lazy) for each in names)
            case ast.ImportFrom():
                pytest.fail(f"relative import at line {child.lineno}")
            case _:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from _imports(child, lazy=lazy or inside)


def _known(name: str) -> str:
    """The longest part of a dotted name that is a module of the project; else the name of the package."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (module := ".".join(parts[:length])) in MODULES:
            return module
    return name


def own_imports(module: str, *, lazy: bool) -> set[str]:
    return {each.module for each in imports_of(MODULES[module]) if each.module in MODULES and (lazy or not each.lazy)}


@cache
def packages_behind(module: str) -> frozenset[str]:
    """Foreign packages that are imported when a module of the project is, through others too."""
    seen, found, todo = set[str](), set[str](), [module]
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        for each in imports_of(MODULES[current]):
            if each.lazy:
                continue
            if each.module in MODULES:
                todo.append(each.module)
            else:
                found.add(each.module.split(".")[0])
    return frozenset(found)


def assert_none(faults: dict[str, list[str]], rule: str) -> None:
    listed = "\n".join(f"{module}: {', '.join(found)}" for module, found in faults.items() if found)
    assert not listed, f"{rule}\n{listed}"


def test_imports_run_one_way() -> None:
    faults = {
        module: [
            f"line {each.line}: {each.module}"
            for each in imports_of(MODULES[module])
            if each.module.split(".")[0] in LAYERS
            and LAYERS.index(each.module.split(".")[0]) > LAYERS.index(module.split(".")[0])
        ]
        for module in MODULES
    }
    assert_none(faults, "a layer imports only itself and what is below it")


def test_no_import_goes_round() -> None:
    """Imports inside functions count too: they hide a cycle, they do not resolve it."""
    graph = {module: own_imports(module, lazy=True) - {module} for module in MODULES}
    while leaves := [module for module, targets in graph.items() if not targets & graph.keys()]:
        for module in leaves:
            del graph[module]
    circle = set(graph)
    while unused := {m for m in circle if not any(m in graph[other] for other in circle if other != m)}:
        circle -= unused
    assert not circle, f"these modules import each other in a circle: {sorted(circle)}"


def test_an_import_inside_a_function_spares_something() -> None:
    """It spares a heavy or an optional package that the file does not import anyway."""
    faults = {}
    for module, file in MODULES.items():
        here = packages_behind(module)
        faults[module] = [
            f"line {each.line}: {each.module}"
            for each in imports_of(file)
            if each.lazy and not (reach_of(each.module) & HEAVY) - here
        ]
    assert_none(faults, "imports inside functions that spare nothing")


def reach_of(module: str) -> frozenset[str]:
    return packages_behind(module) if module in MODULES else frozenset({module.split(".", maxsplit=1)[0]})


def test_editors_need_no_torch() -> None:
    """The server runs on a machine without PyTorch; only conversion and training need it."""
    light = {"models.catalog", "stream.runtime", "signaling.app"} & MODULES.keys()
    light |= {
        name for name in MODULES if name.endswith(".editor") or name.startswith(("models.embedded", "models.face"))
    }
    assert not {name for name in light if "torch" in packages_behind(name)}


def test_private_parts_of_other_packages_stay_behind_transport() -> None:
    faults = {
        module: [
            f"line {node.lineno}: .{node.attr}"
            for node in ast.walk(tree_of(MODULES[module]))
            if isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        ]
        for module in MODULES
        if module.startswith("signaling") and not module.startswith("signaling.transport")
    }
    assert_none(faults, "private attributes of other objects are touched")


def test_engines_know_no_path_of_the_house() -> None:
    rooms = tuple(f"{layer}{mark}" for layer in LAYERS[1:] for mark in ("/", "\\"))
    faults = {
        module: [
            f"line {node.lineno}: {node.value[:60]!r}"
            for node in ast.walk(tree_of(MODULES[module]))
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and any(room in node.value for room in rooms)
        ]
        for module in MODULES
        if module.startswith("engines")
    }
    assert_none(faults, "paths of the layers above")
