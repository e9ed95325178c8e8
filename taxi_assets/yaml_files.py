"""YAML files of the project: read with their positions, validated by a pydantic model, with errors that name the place.

An error names file, line, column and key, what was found, what is allowed, and the nearest allowed word. It imports no
Dagster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar, cast

import yaml
from pydantic import BaseModel, ValidationError

from taxi_assets.errors import UsageError
from taxi_assets.yaml_mistakes import Key, Mistake, Place, explain, nearest_word, without_renamed

Model = TypeVar("Model", bound=BaseModel)

_BOM = "\ufeff"
_MOST_SHOWN = 80


class InvalidYaml(UsageError):
    """A YAML file that cannot be used, with each mistake in it.

    Attributes:
        path: The file.
        mistakes: The mistakes, in the order of the file.
    """

    default_intact = "nothing was started for this file; all others work as before"

    def __init__(self, path: Path, mistakes: Sequence[Mistake]) -> None:
        self.path, self.mistakes = path, sorted(mistakes, key=lambda mistake: mistake.place)
        first, *others = self.mistakes
        if others:
            super().__init__(
                f"{path} has {len(self.mistakes)} mistakes.",
                found="\n            ".join(map(str, self.mistakes)),
                where=str(path),
                next_step="correct the file",
            )
            return
        meant = f": did you mean {first.nearest!r}?" if first.nearest else ""
        super().__init__(
            f"{path} has a mistake{f' in {first.key}' if first.key else ''}.",
            expected=first.expected,
            found=first.found,
            where=f"{path}, {first.place}",
            next_step=f"correct the file{meant}",
        )


@dataclass(frozen=True)
class YamlFile:
    """A YAML file: one document, and the places of its keys and values.

    Attributes:
        path: The file.
        document: Its content, as plain Python.
        written: Its text.
    """

    path: Path
    document: Any
    written: str

    @classmethod
    def read(cls, path: Path) -> YamlFile:
        """Reads a file.

        Raises:
            InvalidYaml: It is no YAML, is empty, has several documents, or a key twice.
        """
        try:
            written = path.read_text(encoding="utf-8").removeprefix(_BOM)
            root = _compose(written)
            if root is None:
                raise InvalidYaml(path, [Mistake("", Place(1, 1), "nothing: the file is empty", "keys and values")])
            if twice := list(_repeated(root, (), set())):
                raise InvalidYaml(path, twice)
            return cls(path, yaml.SafeLoader("").construct_document(root), written)
        except yaml.YAMLError as error:
            raise InvalidYaml(path, [_no_yaml(error)]) from None
        # Bytes that are no UTF-8; a date like 2021-13-01; a file that may not be read.
        except (ValueError, OSError) as error:
            raise InvalidYaml(path, [Mistake("", Place(1, 1), str(error), "YAML, in UTF-8")]) from None

    @cached_property
    def root(self) -> yaml.Node:
        """The same as nodes, which know their places and how they are written."""
        return cast("yaml.Node", yaml.compose(self.written, yaml.SafeLoader))

    def validated(self, model: type[Model], *at: str, context: Any = None, **more: Any) -> Model:
        """The document as a model.

        Args:
            model: The model.
            at: The keys that lead to the part of the document; none: all of it. A part that is absent has no keys.
            context: What the model's validators know besides the file.
            more: Values of fields that the file need not give, by their names.

        Raises:
            InvalidYaml: It is not valid.
        """
        part = self.document
        for key in at:
            part = (part or {}).get(key)
        part = {} if part is None else part
        try:
            return model.model_validate({**more, **part} if isinstance(part, dict) else part, context=context)
        except ValidationError as error:
            mistakes = [self._mistake(model, at, mistake) for mistake in error.errors(include_url=False)]
            raise InvalidYaml(self.path, list(without_renamed(mistakes))) from None

    def mistake(self, key: Key, found: str, expected: str, allowed: Sequence[str] = ()) -> Mistake:
        """A mistake in a value.

        Args:
            key: The keys and indexes that lead to it.
            found: What is there.
            expected: What should be there.
            allowed: The words that are allowed, for the nearest one.
        """
        return Mistake(_name(key), self._place(key), found, expected, nearest_word(found, allowed))

    def text(self, key: Key) -> str | None:
        """A scalar as it is written, like `on`, which YAML reads as true; None: there is none."""
        node = _walk(self.root, key)[-1]
        return node.value if isinstance(node, yaml.ScalarNode) and len(_walk(self.root, key)) == len(key) + 1 else None

    def _mistake(self, model: type[BaseModel], at: Key, error: Any) -> Mistake:
        where, explained = error["loc"], explain(model, error)
        key = (*at, *where, *explained.below)
        found = explained.found if explained.found is not None else self._shown(key, error["input"])
        word = self.text(key) if explained.word is None else explained.word
        place = self._place_of_key(key) if error["type"] == "extra_forbidden" else self._place(key)
        return Mistake(_name(key), place, found, explained.expected, nearest_word(word or "", explained.allowed))

    def _shown(self, key: Key, value: Any) -> str:
        """A value as it is written, shortened to a line."""
        nodes = _walk(self.root, key)
        if len(nodes) <= len(key):
            return str(value)
        first, last = nodes[-1].start_mark, nodes[-1].end_mark
        written = " ".join(str(first.buffer)[first.pointer : last.pointer].split()) if first.buffer else str(value)
        return shorten(written, _MOST_SHOWN, placeholder=" …") or "nothing"

    def _place(self, key: Key) -> Place:
        """The place of a value; of what surrounds it, if it is absent."""
        nodes = _walk(self.root, key)
        if len(nodes) <= len(key) and len(nodes) > 1:
            return self._place_of_key(key[: len(nodes) - 1])
        return _place(nodes[-1].start_mark)

    def _place_of_key(self, key: Key) -> Place:
        parent = _walk(self.root, key[:-1])[-1]
        if isinstance(parent, yaml.MappingNode):
            for name, _ in parent.value:
                if name.value == str(key[-1]):
                    return _place(name.start_mark)
        return self._place(key)


def _compose(written: str) -> yaml.Node | None:
    """The nodes of a text, by the parser in C, which is several times faster; that in Python says more of a mistake."""
    if yaml.__with_libyaml__:
        with suppress(yaml.YAMLError):
            return yaml.compose(written, yaml.CSafeLoader)
    return yaml.compose(written, yaml.SafeLoader)


def _walk(root: yaml.Node, key: Key) -> list[yaml.Node]:
    """The nodes from the root to the one that the key leads to, or to the last that there is."""
    nodes = [root]
    for part in key:
        node = nodes[-1]
        if isinstance(node, yaml.MappingNode):
            found = [value for name, value in node.value if name.value == str(part)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = node.value[part : part + 1]
        else:
            found = []
        if not found:
            break
        nodes.append(found[-1])
    return nodes


def _repeated(node: yaml.Node, above: Key, visited: set[int]) -> Iterator[Mistake]:
    """A mistake for each key that a mapping has twice: YAML's readers take the last one silently."""
    if id(node) in visited:
        return
    visited.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated(item, (*above, index), visited)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, Place] = {}
        for name, value in node.value:
            text, place = str(name.value), _place(name.start_mark)
            key = (*above, text)
            if text in seen:
                yield Mistake(_name(key), place, f"the key a second time; first: {seen[text]}", "each key once")
            seen.setdefault(text, place)
            yield from _repeated(value, key, visited)


def _no_yaml(error: yaml.YAMLError) -> Mistake:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = getattr(error, "context", None), getattr(error, "problem", None)
    found = ": ".join(part for part in parts if part) or str(error)
    hint = " (indented by spaces, alike in one list of keys)"
    return Mistake("", _place(mark) if mark else Place(1, 1), found, f"YAML{hint}")


def _place(mark: yaml.Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _name(key: Key) -> str:
    """`attributes.reject[1].equals`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")
