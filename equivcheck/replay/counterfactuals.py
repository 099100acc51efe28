"""Both arms with some causes repaired: what the repairs make of the spec, built and trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from equivcheck.arms.arm import Arm
from equivcheck.arms.build import Builder
from equivcheck.arms.reseeded import reseeded, same_but_for_fit
from equivcheck.errors import InputError, SpecError
from equivcheck.findings import ArmName, Patch
from equivcheck.measured import Curve
from equivcheck.replay.game import Coalition
from equivcheck.spec import ArmSpec, CodeArm, Experiment, resolve

_ARMS: tuple[ArmName, ArmName] = ("bottleneck", "frozen")

#: Begins the training of an arm that was built for an experiment, and gives what waits for its curves.
TrainArm = Callable[[Arm, Experiment], Callable[[], tuple[Curve, ...]]]


@dataclass
class Counterfactuals:
    """Trains counterfactuals of one experiment; an arm that several of them share is trained once.

    Attributes:
        experiment: As declared.
        repairs: The patch that repairs each cause, by code, in the order in which they were found.
        builder: Builds arms.
        train: Begins to train one; its model may be another seed's from then on.
        trained: Curves of arms that were trained, by what decides them (``identity``).
        begun: What waits for those of arms that are being trained.
        specs: Experiments with some causes repaired, by coalition and repetition.
        arms: Arms that were built, as they were built, by what decides them but for the arguments of ``fit``.
    """

    experiment: Experiment
    repairs: Mapping[str, Patch]
    builder: Builder
    train: TrainArm
    trained: dict[str, tuple[Curve, ...]] = field(default_factory=dict)
    arms: dict[str, Arm] = field(default_factory=dict)
    begun: dict[str, Callable[[], tuple[Curve, ...]]] = field(default_factory=dict)
    specs: dict[tuple[Coalition, int], Experiment] = field(default_factory=dict)

    def begin(self, present: Coalition, repetition: int) -> None:
        """Begins what a call with the same arguments then waits for."""
        with suppress(SpecError, InputError):
            experiment = self.patched(present, repetition)
            for name in _ARMS:
                self._begin(name, experiment)

    def __call__(self, present: Coalition, repetition: int) -> tuple[Curve, ...]:
        """The curves of both arms with these causes present; none of a spec that cannot be built so.

        Args:
            present: Causes that are left as they are.
            repetition: 0 for the declared seeds; others add to them.
        """
        try:
            experiment = self.patched(present, repetition)
            return tuple(curve for name in _ARMS for curve in self._curves(name, experiment))
        except (SpecError, InputError):  # one repair may need another
            return ()

    def patched(self, present: Coalition, repetition: int = 0) -> Experiment:
        """The experiment with all other causes repaired."""
        if (present, repetition) not in self.specs:
            self.specs[present, repetition] = self._patched(present, repetition)
        return self.specs[present, repetition]

    def _patched(self, present: Coalition, repetition: int) -> Experiment:
        if repetition:  # what the file says stays as it is: nothing is read from it any more
            declared = self.patched(present)
            bottleneck, frozen = (_reseeded(arm, repetition) for arm in (declared.bottleneck, declared.frozen))
            return replace(declared, bottleneck=bottleneck, frozen=frozen)
        document = self.experiment.document.patched({"what_if": None})  # which need not prove right again each time
        for code, patch in self.repairs.items():
            if code not in present:
                document = document.patched(patch)
        return resolve(document)

    def _curves(self, name: ArmName, experiment: Experiment) -> tuple[Curve, ...]:
        key = self._begin(name, experiment)
        if key not in self.trained:
            self.trained[key] = self.begun.pop(key)()
        return self.trained[key]

    def _begin(self, name: ArmName, experiment: Experiment) -> str:
        """Begins a training that was not begun before; what decides it."""
        key = identity(name, experiment)
        if key not in self.trained and key not in self.begun:
            self.begun[key] = self.train(self._arm(name, experiment), experiment)
        return key

    def _arm(self, name: ArmName, experiment: Experiment) -> Arm:
        spec, key = getattr(experiment, name), identity(name, experiment, fitted=False)
        known = self.arms.get(key)
        if known is not None and isinstance(spec, ArmSpec):
            again = reseeded(known, spec)
            if again is not None:
                self.arms[key] = again  # its model now has that seed's head
                return again
        built = replace(self.builder, experiment=experiment).build(name)
        if not built.later:  # one that was trained in phases is not what it was
            self.arms[key] = built
        return built


def _reseeded(spec: ArmSpec | CodeArm, repetition: int) -> ArmSpec | CodeArm:
    """The spec of an arm with another seed; a function of the user's sets its own."""
    if not isinstance(spec, ArmSpec):
        return spec
    seed = (spec.training.seed + repetition) % 2**31
    return spec.model_copy(update={"training": spec.training.model_copy(update={"seed": seed})})


def identity(name: ArmName, experiment: Experiment, *, fitted: bool = True) -> str:
    """What decides how an arm trains, as text: its own keys, and the batch size that features are extracted at.

    Args:
        name: The arm.
        experiment: The spec.
        fitted: Whether arms are different that differ only in their seed or the arguments of ``fit``.
    """
    spec = getattr(experiment, name)
    extracted = Builder(experiment).extraction_batch_size() if isinstance(spec, ArmSpec) else None
    if isinstance(spec, ArmSpec) and not fitted:
        spec = same_but_for_fit(spec)
    return repr((name, spec, extracted))
