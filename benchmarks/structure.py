"""Measures the structure of the package: sizes, import circles, and imports of Dagster's private modules.

    python -m benchmarks.structure [--root DIR] [--package taxi_assets] [--split stores]

Reads the source with `ast` and runs none of it, so it also measures another checkout: `--root DIR`.

- file: a `.py` file of the package. Lines are all lines, with comments and blank ones.
- import: an import statement anywhere in a file, also in a function, and a call of `import_module` or `__import__` with
  a literal name. `from package import name` imports the submodule of that name, where there is one, else the package's
  `__init__`. That Python also runs the `__init__` of each parent package is not counted.
- circle: a group of files, or of rooms, in which each imports each other, directly or through others of the group.
  Imports under `if TYPE_CHECKING` are left out; the circles that they add are listed apart.
- room: a module or package at the top of the package. Packages inside a `--split` room are rooms of their own.
- private import: an import of a `_module` of `dagster` or of a `dagster_…` package, an attribute `dagster._name`, and a
  string literal with such a name in it. Docstrings do not count.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LONGEST = 350
PRIVATE = re.compile(r"\bdagster(_\w+)?(\.\w+)*\._(?!_)\w+")

Graph = Mapping[str, set[str]]


@dataclass(frozen=True)
class Import:
    """An import of a file: the module, the name taken from it, the line, and whether only type checkers follow it."""

    module: str
    name: str | None
    line: int
    typing_only: bool

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass
class Source:
    """A file of the package, parsed."""

    module: str
    path: Path
    lines: int
    is_package: bool
    imports: list[Import] = field(default_factory=list)
    private: list[tuple[int, str]] = field(default_factory=list)


class Reader(ast.NodeVisitor):
    """Collects the imports and the private names of a file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.typing_only = False
        self.dagster_names: set[str] = set()

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(Import(alias.name, None, node.lineno, self.typing_only))
            if alias.name.split(".")[0] == "dagster":
                self.dagster_names.add(alias.asname or "dagster")
            self._private(node.lineno, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._absolute(node)
        for alias in node.names:
            self._add(Import(module, alias.name, node.lineno, self.typing_only))
        if not self._private(node.lineno, module):
            for alias in node.names:
                self._private(node.lineno, f"{module}.{alias.name}")

    def visit_If(self, node: ast.If) -> None:
        if not _is_type_checking(node.test):
            self.generic_visit(node)
            return
        outer, self.typing_only = self.typing_only, True
        for statement in node.body:
            self.visit(statement)
        self.typing_only = outer
        for statement in node.orelse:
            self.visit(statement)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0] if node.args else None
        if (
            called in ("import_module", "__import__")
            and isinstance(first, ast.Constant)
            and isinstance(first.value, str)
        ):
            self._add(Import(first.value, None, node.lineno, self.typing_only))
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring, or a string that nothing uses
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._private(node.lineno, node.value)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in self.dagster_names:
            self._private(node.lineno, f"dagster.{node.attr}")
        self.generic_visit(node)

    def _add(self, found: Import) -> None:
        self.source.imports.append(found)

    def _private(self, line: int, text: str) -> bool:
        found = PRIVATE.search(text)
        if found:
            self.source.private.append((line, found[0]))
        return found is not None

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parents = self.source.module.split(".")
        kept = len(parents) - node.level + (1 if self.source.is_package else 0)
        return ".".join([*parents[:kept], *([node.module] if node.module else [])])


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def read_package(root: Path, package: str) -> dict[str, Source]:
    """All files of the package, by the name of their module."""
    sources: dict[str, Source] = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        text = path.read_text(encoding="utf-8")
        source = Source(module, path.relative_to(root), len(text.splitlines()), is_package)
        Reader(source).visit(ast.parse(text, str(path)))
        sources[module] = source
    return sources


def target(found: Import, sources: Mapping[str, Source]) -> str | None:
    """The module of the package that is imported, or None for what is not of the package."""
    for name in (found.dotted, found.module):
        if name in sources:
            return name
    return None


def file_graph(sources: Mapping[str, Source], *, typing: bool) -> dict[str, set[str]]:
    """Which module imports which; with `typing`, also for type checkers only."""
    graph: dict[str, set[str]] = {module: set() for module in sources}
    for module, source in sources.items():
        for found in source.imports:
            imported = target(found, sources)
            if imported and imported != module and (typing or not found.typing_only):
                graph[module].add(imported)
    return graph


def room_of(module: str, sources: Mapping[str, Source], split: Iterable[str]) -> str:
    """The room a module belongs to, without the name of the package; the package's own `__init__` is `__init__`."""
    parts = module.split(".")
    if len(parts) == 1:
        return "__init__"
    inner = sources.get(".".join(parts[:3]))
    if len(parts) > 2 and parts[1] in split and inner is not None and inner.is_package:
        return ".".join(parts[1:3])
    return parts[1]


def room_graph(graph: Graph, rooms: Mapping[str, str]) -> dict[str, set[str]]:
    """Which room imports which."""
    result: dict[str, set[str]] = {room: set() for room in rooms.values()}
    for module, imported in graph.items():
        result[rooms[module]] |= {rooms[name] for name in imported} - {rooms[module]}
    return result


def circles(graph: Graph) -> list[list[str]]:
    """The strongly connected groups of more than one node, the largest first."""
    reached = {node: _reachable(graph, node) for node in graph}
    groups = {frozenset(other for other in reached[node] if node in reached[other]) for node in graph}
    return sorted((sorted(group) for group in groups if len(group) > 1), key=lambda group: (-len(group), group))


def _reachable(graph: Graph, start: str) -> set[str]:
    """What `start` imports, directly or not; `start` itself only if it is in a circle."""
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(graph[node])
    return seen


def inner_edges(group: list[str], graph: Graph) -> Iterator[tuple[str, str]]:
    """The imports between the members of a circle."""
    for node in group:
        yield from ((node, other) for other in sorted(graph[node] & set(group)))


def print_sizes(sources: Mapping[str, Source]) -> None:
    by_length = sorted(sources.values(), key=lambda source: -source.lines)
    over = [source for source in by_length if source.lines > LONGEST]
    print(f"files                          {len(sources)}")
    print(f"lines                          {sum(source.lines for source in sources.values())}")
    print(f"longest file                   {by_length[0].lines} ({by_length[0].path})")
    print(f"files over {LONGEST} lines            {len(over)}")
    for source in over:
        print(f"    {source.lines} {source.path}")


def print_file_circles(runtime: Graph, typed: Graph) -> None:
    found = circles(runtime)
    print(f"circles of files               {len(found)}")
    for group in found:
        print(f"    {len(group)} files")
        for one, other in inner_edges(group, runtime):
            print(f"        {one} -> {other}")
    more = [group for group in circles(typed) if group not in found]
    print(f"  more with TYPE_CHECKING      {len(more)}")
    for group in more:
        print(f"    {len(group)} files: {', '.join(group)}")


def print_room_circles(runtime: Graph, typed: Graph, rooms: Mapping[str, str]) -> None:
    graph = room_graph(runtime, rooms)
    imports: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module, imported in runtime.items():
        for name in sorted(imported):
            imports[rooms[module], rooms[name]].append(f"{module} -> {name}")
    found = circles(graph)
    pairs = {frozenset((one, other)) for one in graph for other in graph[one] if one in graph[other]}
    print(f"rooms                          {len(graph)}")
    print(f"circles of rooms               {len(found)}")
    print(f"  pairs that import each other {len(pairs)}")
    for group in found:
        print(f"    {len(group)} rooms: {', '.join(group)}")
        for edge in inner_edges(group, graph):
            print(f"        {edge[0]} -> {edge[1]}: {len(imports[edge])}, as {imports[edge][0]}")
    more = [group for group in circles(room_graph(typed, rooms)) if group not in found]
    print(f"  more with TYPE_CHECKING      {len(more)}")
    for group in more:
        print(f"    {len(group)} rooms: {', '.join(group)}")


def print_private(sources: Mapping[str, Source]) -> None:
    by_file = Counter({str(source.path): len(source.private) for source in sources.values() if source.private})
    print(f"private imports of Dagster     {by_file.total()}")
    print(f"  files with them              {len(by_file)}")
    for path, count in by_file.most_common():
        names = sorted({name for source in sources.values() if str(source.path) == path for _, name in source.private})
        print(f"    {count} {path}: {', '.join(names)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help="a checkout")
    parser.add_argument("--package", default="taxi_assets", help="the package in it")
    parser.add_argument("--split", nargs="*", default=["stores"], help="rooms whose packages are rooms of their own")
    asked = parser.parse_args()
    sources = read_package(asked.root, asked.package)
    if not sources:
        parser.error(f"no Python file in {asked.root / asked.package}")
    rooms = {module: room_of(module, sources, asked.split) for module in sources}
    runtime, typed = file_graph(sources, typing=False), file_graph(sources, typing=True)
    print_sizes(sources)
    print_file_circles(runtime, typed)
    print_room_circles(runtime, typed, rooms)
    print_private(sources)


if __name__ == "__main__":
    main()
