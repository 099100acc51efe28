"""A resolved spec: the two arms, what differs between them, and where each key of an arm stands in the file."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from equivcheck.findings import ArmName, Side
from equivcheck.location import Location
from equivcheck.spec.document import Document
from equivcheck.spec.merge import Merged
from equivcheck.spec.model import Advice, ArmSpec, CodeArm, Observed, Phase
from equivcheck.spec.reading import join


@dataclass(frozen=True)
class Experiment:
    """Both arms of a spec, resolved. All paths are absolute.

    Attributes:
        name: The experiment's name; the file's where the spec gives none.
        document: The file it came from.
        bottleneck: The bottleneck arm.
        frozen: The frozen arm.
        observed: Curves that the user already has.
        differences: Dotted keys whose resolved values differ; empty where an arm comes from code.
        merged: How shared keys and the arms' own were merged.
        phase: Name of the phase that is looked at, for a training in phases; keys are then those of that phase.
        what_if: Advice to try.
    """

    name: str
    document: Document
    bottleneck: ArmSpec | CodeArm
    frozen: ArmSpec | CodeArm
    observed: Observed | None
    differences: tuple[str, ...]
    merged: Mapping[ArmName, Merged] = field(repr=False)
    phase: str = ""
    what_if: tuple[Advice, ...] = ()

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases that an arm is trained in, in order; empty where both are trained in one."""
        named = [tuple(self.phases_of(arm)) for arm in ("bottleneck", "frozen")]
        return tuple(dict.fromkeys(name for names in sorted(named, key=len, reverse=True) for name in names))

    def phases_of(self, arm: ArmName) -> Mapping[str, Phase]:
        """The phases of one arm by name; empty where it is trained in one."""
        spec: ArmSpec | CodeArm = getattr(self, arm)
        return (spec.training.phases or {}) if isinstance(spec, ArmSpec) else {}

    def written_in_phase(self, arm: ArmName, key: str) -> str:
        """The key that says in one arm's phase what a key says of the whole training; the same key where none does.

        Args:
            arm: The arm.
            key: Dotted key without the arm, such as ``training.optimizer`` or ``backbone.freeze``.
        """
        own = self.phases_of(arm)
        first, _, rest = key.partition(".")
        head = rest.partition(".")[0]
        if first == "training" and self.phase in own and head in own[self.phase].model_fields_set:
            return f"training.phases.{self.phase}.{rest}"
        if first == "backbone" and head == "freeze":
            for name in reversed(self.phases[: self.phases.index(self.phase) + 1] if self.phase else ()):
                if found := own[name].model_fields_set & {"freeze", "unfreeze"} if name in own else None:
                    return f"training.phases.{name}.{found.pop()}"
        return key

    def locate(self, arm: Side, key: str) -> Location:
        """Where the file says what one arm's key is.

        Args:
            arm: For ``both``, the arm that overrides the shared key is shown, if one does: it is the line that
                makes the arms differ. Where both override it, the frozen arm's.
            key: Dotted key without the arm.
        """
        return self.document.locate(self.origin(arm, key))

    def origin(self, arm: Side, key: str) -> str:
        """The dotted key as written: ``frozen.training.loss`` where the arm's section sets it, else the shared one.

        Where neither is written, the nearest ancestor.
        """
        if arm != "both":
            return self._origin(arm, key)
        own = [self._origin(name, key) for name in ("frozen", "bottleneck")]
        return next((found for found in own if found.startswith(("frozen.", "bottleneck."))), own[0])

    def _origin(self, arm: ArmName, key: str) -> str:
        return written_key(self.document.places, arm, self.merged[arm], self.written_in_phase(arm, key))


@dataclass(frozen=True)
class Recording:
    """A spec that describes no model: curves that the user already has are all there is.

    Attributes:
        name: Its name; the file's where the spec gives none.
        document: The file it came from.
        observed: The curves' files.
    """

    name: str
    document: Document
    observed: Observed


def written_key(written: Container[str], arm: ArmName, merged: Merged, key: str) -> str:
    """The key, or its nearest ancestor, under which the file says something about one arm.

    Args:
        written: Dotted keys of the file.
        arm: The arm.
        merged: Its keys.
        key: Dotted key without the arm.
    """
    while key:
        if f"{arm}.{key}" in written:
            return f"{arm}.{key}"
        if key in written and merged.holds(key):
            return key
        key = key.rpartition(".")[0]
    return arm if arm in written else ""


def differing_keys(bottleneck: ArmSpec, frozen: ArmSpec) -> tuple[str, ...]:
    """Dotted keys whose resolved values differ, in the order of the spec's keys."""
    return tuple(_differing(bottleneck.model_dump(), frozen.model_dump(), ""))


def _differing(one: Any, other: Any, key: str) -> Iterator[str]:
    if _is_layer(one) and _is_layer(other) and one["name"] == other["name"]:
        yield from _differing(one["arguments"], other["arguments"], join(key, one["name"]))
    elif isinstance(one, dict) and isinstance(other, dict) and not _is_layer(one):
        for name in one | other:
            yield from _differing(one.get(name), other.get(name), join(key, name))
    elif _are_layers(one) and _are_layers(other) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differing(left, right, join(key, index))
    elif one != other:
        yield key


def _is_layer(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"name", "arguments"}


def _are_layers(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(map(_is_layer, value))
