"""From a file as written to the two arms; everything that is wrong is found before anything is raised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from equivcheck.errors import InputError, Problem, SpecError
from equivcheck.findings import ArmName
from equivcheck.spec.document import Document, in_order, read_document
from equivcheck.spec.experiment import Experiment, Recording, differing_keys, written_key
from equivcheck.spec.merge import EXCLUSIVE, Merged, merge, without_nulls
from equivcheck.spec.messages import Mistake, mistakes
from equivcheck.spec.misplaced import misplaced
from equivcheck.spec.model import Advice, ArmSpec, CodeArm, Model, Observed, SpecFile
from equivcheck.spec.reading import join

VERSION = 1

M = TypeVar("M", bound=Model)

_ARMS: tuple[ArmName, ...] = ("bottleneck", "frozen")

#: Keys that advice may begin with.
_ADVISABLE = (*ArmSpec.model_fields, *_ARMS)


def load(path: str | Path) -> Document:
    """Reads a spec and checks all that can be checked without looking at other files.

    Raises:
        SpecError: The spec is wrong; all its problems are in it.
        InputError: There is no such file, or it cannot be read.
    """
    document, problems = read_document(Path(path))
    if document.data or not problems:
        problems += _Resolver(document).problems()
    if problems:
        raise SpecError(in_order(problems))
    return document


def resolve(document: Document) -> Experiment:
    """Both arms of a spec.

    Args:
        document: As loaded, or patched.

    Raises:
        SpecError: The spec is wrong; all its problems are in it.
    """
    resolver = _Resolver(document)
    if problems := resolver.problems():
        raise SpecError(in_order(problems))
    if resolver.recording() is not None:
        raise SpecError([document.problem("observed", "is all that this spec gives; expected a model beside it")])
    return resolver.experiment()


def recording(document: Document) -> Recording | None:
    """A loaded spec that has ``observed`` and no model; None where it describes arms."""
    return _Resolver(document).recording()


@dataclass
class _Resolver:
    """Collects what is wrong with one document, each thing once, however many arms it concerns."""

    document: Document
    merged: dict[ArmName, Merged] = field(default_factory=dict)
    _found: dict[tuple[str, str], Problem] = field(default_factory=dict)

    def problems(self) -> list[Problem]:
        data = self.document.data
        version = data.get("version")
        if type(version) is int and version != VERSION:
            message = f"is {version}; this equivcheck reads version {VERSION}"
            return [self.document.problem("version", message, written=version)]
        self._check_file()
        if self._only_observed():
            self._check_observed()
            return list(self._found.values())
        shared = without_nulls({key: value for key, value in data.items() if key in ArmSpec.model_fields})
        for arm in _ARMS:
            if "callable" in self._section(arm):
                self._check_written(CodeArm, self._section(arm), arm)
            else:
                self._check_written(ArmSpec, without_nulls(self._section(arm)), arm)
                self.merged[arm] = merge(shared, self._section(arm))
        self._check_merged()
        if not self._found:
            self._check_advice()
        return list(self._found.values())

    def experiment(self) -> Experiment:
        """The arms; only after ``problems`` found none."""
        data = self.document.data
        observed = data.get("observed")
        bottleneck, frozen = (self._arm(arm) for arm in _ARMS)
        differences: tuple[str, ...] = ()
        if isinstance(bottleneck, ArmSpec) and isinstance(frozen, ArmSpec):
            differences = differing_keys(bottleneck, frozen)
        return Experiment(
            name=self._name(),
            document=self.document,
            bottleneck=bottleneck,
            frozen=frozen,
            observed=None if observed is None else self._validated(Observed, without_nulls(observed)),
            differences=differences,
            merged={arm: self.merged.get(arm, Merged({})) for arm in _ARMS},
            what_if=tuple(self._validated(Advice, advice) for advice in data.get("what_if") or ()),
        )

    def recording(self) -> Recording | None:
        """What there is where no arm is described; only after ``problems`` found none."""
        if not self._only_observed():
            return None
        observed = self._validated(Observed, without_nulls(self.document.data["observed"]))
        return Recording(self._name(), self.document, observed)

    def _name(self) -> str:
        path = self.document.path
        return self.document.data.get("name") or path.name.partition(".")[0] or path.name

    def _only_observed(self) -> bool:
        data = self.document.data
        described = {key for key, value in data.items() if value is not None} & {*ArmSpec.model_fields, *_ARMS}
        return data.get("observed") is not None and not described

    def _check_observed(self) -> None:
        observed = self.document.data["observed"]
        if self.document.data.get("what_if"):
            self._add(self.document.problem("what_if", "needs arms to try it on; this spec describes none"))
        if isinstance(observed, dict) and not any(observed.get(arm) for arm in _ARMS) and not self._found:
            message = "names no file; give bottleneck, frozen or both, or describe the arms"
            self._add(self.document.problem("observed", message))

    def _check_advice(self) -> None:
        """Each patch, on its own, must give a spec that is right."""
        for number, advice in enumerate(self.document.data.get("what_if") or ()):
            key = f"what_if.{number}.patch"
            untouched = [part for part in advice["patch"] if str(part).partition(".")[0] not in _ADVISABLE]
            if untouched:
                message = f"changes {', '.join(map(str, untouched))}, which no arm is made of"
                self._add(self.document.problem(key, message, tuple(_ADVISABLE)))
                continue
            try:
                resolve(self.document.patched({"what_if": None}).patched(advice["patch"]))
            except SpecError as error:
                for each in error.problems:
                    message = f"makes a spec that is wrong: {each.key}: {each.message}"
                    self._add(self.document.problem(key, message))
            except InputError as error:
                self._add(self.document.problem(key, str(error)))

    def _arm(self, arm: ArmName) -> ArmSpec | CodeArm:
        if arm in self.merged:
            return self._validated(ArmSpec, self.merged[arm].data)
        return self._validated(CodeArm, self._section(arm))

    def _validated(self, model: type[M], data: Mapping[str, Any]) -> M:
        return model.model_validate(data, context={"folder": self.document.folder})

    def _section(self, arm: ArmName) -> dict[str, Any]:
        section = self.document.data.get(arm)
        return section if isinstance(section, dict) else {}

    def _check_file(self) -> None:
        data = self.document.data
        if "version" not in data:
            self._add(self.document.problem("version", "is missing", ("1",)))
        nullable = {*_ARMS, "observed", "what_if"}
        optional = {key: value for key, value in data.items() if key in nullable and value is None}
        shared = {key: value for key, value in data.items() if key not in {*_ARMS, *optional}}
        for key in _nulls(shared, ""):
            self._add(self.document.problem(key, "has no value; remove the key, or write none where that is allowed"))
        written = without_nulls({key: value for key, value in data.items() if key not in optional})
        self._check_written(SpecFile, written, "")

    def _check_written(self, model: type[Model], data: Mapping[str, Any], prefix: str) -> None:
        """Checks what stands in one section. Nothing is required here: another section may have it."""
        for mistake in self._mistakes(model, data):
            if not mistake.missing:
                self._add_mistake(join(prefix, mistake.key) if mistake.key else prefix, mistake, model)
        for key, kinds in EXCLUSIVE.items():
            holder = _at(data, key)
            given = [kind for kind in kinds if kind in holder]
            if len(given) > 1:
                message = f"{' and '.join(given)} are given; give exactly one of {', '.join(kinds)}"
                self._add(self.document.problem(join(prefix, key), message))

    def _check_merged(self) -> None:
        """Checks what only both sections together can tell: what is missing, and what goes with what."""
        missing: dict[tuple[str, str], list[ArmName]] = {}
        for arm, merged in self.merged.items():
            for mistake in self._mistakes(ArmSpec, merged.data):
                if mistake.missing:
                    missing.setdefault((mistake.key, mistake.message), []).append(arm)
                else:
                    self._add_mistake(self._written(arm, mistake.key), mistake, ArmSpec)
            for key, kinds in EXCLUSIVE.items():
                holder = _at(merged.data, key)
                given = [kind for kind in kinds if kind in holder]
                if not given and isinstance(_get(merged.data, key), dict):
                    missing.setdefault((key, f"gives none of {', '.join(kinds)}"), []).append(arm)
                self._check_companions(arm, key, holder, given[:1])
            for key, message in misplaced(arm, merged.data):
                self._add(self.document.problem(self._written(arm, key), message))
        for (key, message), arms in missing.items():
            # Missing in one of two arms: the other arm's section has it, so this arm's should.
            written = f"{arms[0]}.{key}" if len(arms) < len(self.merged) else key
            if not self._misspelt(written, key):
                problem = self.document.problem(self._written(arms[0], key), message)
                self._add(replace(problem, key=written))

    def _misspelt(self, *keys: str) -> bool:
        """Whether a key is missing only because it is there under a wrong name, which is reported already."""
        return any(
            problem.suggestion in {key.rpartition(".")[2], *EXCLUSIVE.get(key, ())}
            and problem.key.rpartition(".")[0] in {key.rpartition(".")[0], key}
            for problem in self._found.values()
            for key in keys
        )

    def _check_companions(self, arm: ArmName, key: str, holder: Mapping[str, Any], given: list[str]) -> None:
        kinds = EXCLUSIVE[key]
        for kind in given:
            for name in {name for names in kinds.values() for name in names} - set(kinds[kind]):
                if name in holder:
                    owners = " or ".join(owner for owner, names in kinds.items() if name in names)
                    written = self._written(arm, join(key, name))
                    self._add(self.document.problem(written, f"goes with {owners}; here {kind} is given"))

    def _mistakes(self, model: type[Model], data: Mapping[str, Any]) -> list[Mistake]:
        try:
            self._validated(model, data)
        except ValidationError as error:
            return list(mistakes(error, model, data))
        return []

    def _written(self, arm: ArmName, key: str) -> str:
        return written_key(self.document.keys, arm, self.merged[arm], key)

    def _add_mistake(self, key: str, mistake: Mistake, model: type[Model]) -> None:
        if mistake.unknown is None:
            self._add(self.document.problem(key, mistake.message, mistake.allowed, mistake.written))
            return
        parent = key.removesuffix(mistake.unknown).removesuffix(".")
        if model is CodeArm:
            self._add(self.document.problem(key, "does not go with callable, which makes the whole arm"))
        else:
            self._add(self.document.unknown_key(parent, mistake.unknown, mistake.message, mistake.allowed))

    def _add(self, problem: Problem) -> None:
        self._found.setdefault((problem.key, problem.message), problem)


def _nulls(data: Mapping[str, Any], key: str) -> Iterator[str]:
    for name, value in data.items():
        if value is None:
            yield join(key, name)
        elif isinstance(value, dict):
            yield from _nulls(value, join(key, name))


def _get(data: Any, key: str) -> Any:
    for part in key.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _at(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = _get(data, key)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
