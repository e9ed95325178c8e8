"""Mistakes in YAML files: where one is, what was found, what is allowed, and which allowed word is nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AliasChoices, BaseModel

Key = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""

_MOST_SHOWN = 30
_ABSENT = "nothing: the key is missing"
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "mapping_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}
"""Type of pydantic's error → what is expected. `sequence` is an instance check there."""
_LENGTHS = {
    "string_too_short": "text of {min_length} character or more",
    "string_too_long": "{max_length} characters at most",
    "too_short": "a list of {min_length} or more",
    "string_pattern_mismatch": "text of the form {pattern}",
}
_BOUNDS = {"greater_than_equal": "ge", "less_than_equal": "le", "greater_than": "gt", "less_than": "lt"}
_BOUND_WORDS = {"ge": "{} or more", "le": "{} or less", "gt": "more than {}", "lt": "less than {}"}


@dataclass(frozen=True, order=True)
class Place:
    """A place in a file; lines and columns count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True)
class Mistake:
    """A mistake in a file.

    Attributes:
        key: The key: `attributes.reject[1].equals`; empty: the mistake is the file's.
        place: Its place.
        found: What is there.
        expected: What should be there.
        nearest: The allowed word that is nearest to it; None: none is near.
    """

    key: str
    place: Place
    found: str
    expected: str
    nearest: str | None = None

    def __str__(self) -> str:
        meant = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{self.place}: {f'{self.key}: ' if self.key else ''}found {self.found}; expected {self.expected}{meant}"


class Refused(ValueError):
    """A value that a validator of a model refuses.

    Attributes:
        expected: What should be there.
        allowed: The words that are allowed, for the nearest one.
        below: The keys that lead from the validated value to the one that is refused.
        word: The refused word; None: the value itself.
    """

    def __init__(self, expected: str, *, allowed: Iterable[str] = (), below: Key = (), word: str | None = None) -> None:
        self.expected, self.allowed, self.below, self.word = expected, tuple(allowed), below, word
        super().__init__(expected)


@dataclass(frozen=True)
class Explanation:
    """What one error of pydantic says.

    Attributes:
        expected: What should be there.
        allowed: The words that are allowed.
        found: What is there; None: the value, as it is written.
        word: The word that the nearest one is looked for; None: the value, as it is written.
        below: The keys that lead from the error's place to the value.
    """

    expected: str
    allowed: Sequence[str] = ()
    found: str | None = None
    word: str | None = None
    below: Key = ()


def explain(model: type[BaseModel], error: Any) -> Explanation:
    """Explains an error of a model.

    Args:
        model: The model that was validated.
        error: One of the errors of a `ValidationError`.
    """
    kind, where, context = error["type"], error["loc"], error.get("ctx", {})
    if kind == "missing":
        return Explanation(_description(model, where) or "a value", found=_ABSENT, word="")
    if kind == "extra_forbidden":
        keys = list(_keys(_models_at(model, where[:-1])))
        return Explanation(one_of(keys), keys, found=f"the unknown key {where[-1]!r}", word=str(where[-1]))
    if kind in ("enum", "literal_error"):
        words = [str(word) for annotation in _annotations_at(model, where) for word in _words(annotation)]
        return Explanation(one_of(words), words)
    refused = context.get("error")
    if isinstance(refused, Refused):
        return Explanation(refused.expected, refused.allowed, refused.word, refused.word, refused.below)
    if kind in _BOUNDS:
        return Explanation(_BOUND_WORDS[_BOUNDS[kind]].format(context[_BOUNDS[kind]]))
    if kind in _LENGTHS:
        return Explanation(_LENGTHS[kind].format(**context))
    if kind == "is_instance_of":
        return Explanation("a list" if context.get("class") == "Sequence" else str(context.get("class")))
    return Explanation(_EXPECTED.get(kind) or str(error["msg"]).removeprefix("Value error, "))


def nearest_word(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that is nearest to another one; None: none is near."""
    found = difflib.get_close_matches(word.lower(), by_lower := {each.lower(): each for each in allowed}, n=1)
    return by_lower[found[0]] if found else None


def without_renamed(mistakes: Sequence[Mistake]) -> Iterator[Mistake]:
    """The mistakes without the absent keys that stand in the file under a mistyped name."""
    meant = {(mistake.key.rpartition(".")[0], mistake.nearest) for mistake in mistakes if mistake.nearest}
    for mistake in mistakes:
        above, _, name = mistake.key.rpartition(".")
        if mistake.found != _ABSENT or (above, name) not in meant:
            yield mistake


def one_of(words: Sequence[str]) -> str:
    """`one of: a, b, c`; of many words only the first."""
    if len(words) == 1:
        return words[0]
    more = f", … ({len(words)} in all)" if len(words) > _MOST_SHOWN else ""
    return f"one of: {', '.join(words[:_MOST_SHOWN])}{more}"


def _annotations_at(model: Any, where: Key) -> Iterator[Any]:
    """The types that a value may have, without None, Annotated and unions."""
    types = list(_plain(model))
    for part in where:
        types = [inner for each in types for inner in _inside(each, part)]
    return iter(types)


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    if isinstance(part, int):
        for argument in get_args(annotation)[:1]:
            yield from _plain(argument)
    elif _is_model(annotation):
        for name, field in annotation.model_fields.items():
            if part in _aliases(name, field):
                yield from _plain(field.rebuild_annotation())
    elif len(arguments := get_args(annotation)) == 2:
        yield from _plain(arguments[1])


def _plain(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _plain(get_args(annotation)[0])
    elif (origin is not Literal and type(None) in get_args(annotation)) or str(origin).endswith(
        ("Union", "UnionType'>")
    ):
        for argument in get_args(annotation):
            yield from _plain(argument)
    elif annotation is not type(None):
        yield annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _models_at(model: type[BaseModel], where: Key) -> Iterator[type[BaseModel]]:
    return (each for each in _annotations_at(model, where) if _is_model(each))


def _keys(models: Iterable[type[BaseModel]]) -> Iterator[str]:
    for model in models:
        for name, field in model.model_fields.items():
            yield _aliases(name, field)[0]


def _aliases(name: str, field: Any) -> list[str]:
    alias = field.validation_alias or field.alias or name
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [str(alias)]


def _words(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from (str(member.value) for member in annotation)


def _description(model: type[BaseModel], where: Key) -> str | None:
    for parent in _models_at(model, where[:-1]):
        for name, field in parent.model_fields.items():
            if where[-1] in _aliases(name, field):
                return field.description
    return None
