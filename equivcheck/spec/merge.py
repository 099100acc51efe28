"""How the keys of an arm's section override the shared keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from equivcheck.spec.model import Backbone, Kinds, Optimizer, Preprocessing, Source
from equivcheck.spec.reading import join

#: Where exactly one of several keys says what the thing is.
EXCLUSIVE: Mapping[str, Kinds] = {
    "data.train": Source.kinds,
    "data.validation": Source.kinds,
    "preprocessing": Preprocessing.kinds,
    "backbone": Backbone.kinds,
    "backbone.trained_with": Preprocessing.kinds,
}

#: Of a training or one of its phases.
_OPTIMIZER = re.compile(r"training(\.phases\.[^.]+)?\.optimizer")


@dataclass(frozen=True, slots=True)
class Merged:
    """One arm's keys.

    Attributes:
        data: Shared keys and the arm's own, without nulls.
        dropped: Shared dotted keys that do not hold for this arm, each with all that is below it.
    """

    data: dict[str, Any]
    dropped: set[str] = field(default_factory=set)

    def holds(self, key: str) -> bool:
        """Whether a shared key has a say in this arm."""
        return not any(key == gone or key.startswith(f"{gone}.") for gone in self.dropped)


def merge(shared: Mapping[str, Any], section: Mapping[str, Any]) -> Merged:
    """The shared keys with an arm's section laid over them.

    Mappings merge key by key; everything else, lists too, replaces. A null removes the shared key. Naming another
    kind (another exclusive key, or another optimizer) drops the shared kind and the keys that belong to it.
    """
    dropped: set[str] = set()
    return Merged(_merge(shared, section, "", dropped), dropped)


def without_nulls(data: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping without the keys that hold null; lists stay as they are, nulls in them are arguments of Keras."""
    return _merge({}, data, "", set())


def _merge(shared: Mapping[str, Any], section: Mapping[str, Any], key: str, dropped: set[str]) -> dict[str, Any]:
    gone = set(_displaced(shared, section, key))
    dropped.update(join(key, name) for name in gone)
    merged = {name: value for name, value in shared.items() if name not in gone}
    for name, value in section.items():
        old = merged.get(name)
        # An optimizer's argument is one value, even where it is a mapping (a learning rate schedule).
        if isinstance(value, Mapping) and not _OPTIMIZER.fullmatch(key):
            merged[name] = _merge(old if isinstance(old, Mapping) else {}, value, join(key, name), dropped)
            continue
        dropped.update(join(join(key, name), child) for child in _children(old))
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return merged


def _displaced(shared: Mapping[str, Any], section: Mapping[str, Any], key: str) -> Iterator[str]:
    if _OPTIMIZER.fullmatch(key):
        default = Optimizer.model_fields["name"].default
        if section.get("name") not in (None, shared.get("name", default)):
            yield from (name for name in shared if name != "name")
        return
    kinds = EXCLUSIVE.get(key, {})
    chosen = {kind for kind in kinds if section.get(kind) is not None}
    for kind in kinds:
        if chosen and kind in shared and kind not in chosen:
            yield from (name for name in (kind, *kinds[kind]) if name in shared)


def _children(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return list(value)
    return [str(index) for index in range(len(value))] if isinstance(value, list) else []
