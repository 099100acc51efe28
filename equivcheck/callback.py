"""``EquivalenceGuard``: a Keras callback that looks at a model before its first epoch. Behind the TensorFlow wall."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np

from equivcheck.arms.build import Builder
from equivcheck.catalog import all_checks, matches, names
from equivcheck.check import Check
from equivcheck.errors import DivergenceError, DivergenceWarning, InputError, SpecError
from equivcheck.evidence import Evidence, PhaseTrace
from equivcheck.examine import examine
from equivcheck.findings import Finding
from equivcheck.layer_diff import Mode, diff_layers
from equivcheck.report.visible import visible
from equivcheck.spec import Experiment, check_paths, load, resolve
from equivcheck.trace.live import Values, after_a_batch, build, trace_live, values_of
from equivcheck.trace.observed import PROBES
from equivcheck.trace.seeds import unmoved_seeds

OnDivergence = Literal["raise", "warn", "log"]

_LOG = logging.getLogger("equivcheck")

#: What can be judged of a live model without its data: how its layers behave, and whether its backbone stays.
_JUDGING = ("EQ4", "EQ501")

_MODES: tuple[tuple[Mode, str], ...] = (("inference", "predict"), ("training", "fit"))

_ACTIONS: Mapping[OnDivergence, Callable[[str], None]] = {
    "warn": lambda said: warnings.warn(said, DivergenceWarning, stacklevel=2),
    "log": _LOG.warning,
}


class EquivalenceGuard(keras.callbacks.Callback):
    """Checks, before the first epoch, that a model trains as its reference does; and leaves the training as it was.

    The reference is one of three:

    - A spec. The model is compared with the backbone of the spec's bottleneck arm, on some of its training images.
    - A Keras model whose output has another shape: it is taken for the backbone whose ``predict`` gave the stored
      features, and compared with the model in the same way, on ``samples``.
    - A Keras model whose output has the same shape: the two are compared as wholes, in inference and as ``fit`` runs
      them, on ``samples``. The reference is then what the model should still compute, before it was rewritten, say.

    Against a backbone it tells which of the model's layers behave otherwise under ``fit`` (EQ401 to EQ406), and where
    the two first part. After the first batch it also tells which variables of the backbone that batch moved (EQ403,
    EQ501). Weights of the head are not compared. Where a phase of the spec unfreezes layers, a model whose backbone is
    unfrozen is taken to be in that phase: that its weights move is then what was asked for.

    Not a step is taken and nothing is read from the data that ``fit`` was given. Weights, random generators and
    optimizer are left as they were, so that the training is the same, bit by bit, as one without the guard.

    Attributes:
        findings: What was found so far; empty before the training begins.
    """

    def __init__(
        self,
        reference: str | Path | keras.Model,
        samples: Any = None,
        *,
        on_divergence: OnDivergence = "raise",
        ignore: Sequence[str] = (),
    ) -> None:
        """Checks the arguments; a spec is read, but nothing is built yet.

        Args:
            reference: A spec's path, or a Keras model.
            samples: ``(n, ...)`` inputs as ``fit`` gives them to the model; for a reference that is a model. The
                first eight are used.
            on_divergence: ``raise`` a ``DivergenceError``, which ends ``fit``; ``warn`` with a ``DivergenceWarning``;
                or ``log`` to the logger ``equivcheck``.
            ignore: Codes or prefixes of checks that do not count.

        Raises:
            InputError: An argument makes no sense.
            SpecError: The spec is wrong.
        """
        super().__init__()
        if on_divergence not in get_args(OnDivergence):
            raise InputError(f'on_divergence: expected "raise", "warn" or "log", found {on_divergence!r}')
        if not isinstance(reference, str | Path | keras.Model):
            raise InputError(f"reference: expected a spec's path or a Keras model, found {type(reference).__name__}")
        if isinstance(reference, keras.Model) == (samples is None):
            wanted = "are needed with a model" if samples is None else "go with a model; a spec has its own"
            raise InputError(f"samples: {wanted}")
        self.findings: tuple[Finding, ...] = ()
        self._reference: keras.Model | Experiment
        self._reference = reference if isinstance(reference, keras.Model) else _experiment(reference)
        self._named = f"the model {reference.name}" if isinstance(reference, keras.Model) else str(reference)
        self._samples = samples
        self._on_divergence: OnDivergence = on_divergence
        self._ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        for pattern in self._ignore:
            if not any(matches(code, (pattern,)) for code in names()):
                raise InputError(f"ignore: no check has a code that starts with {pattern!r}")
        self._watched: tuple[Evidence, Values] | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Compares the model with its reference."""
        del logs
        self.findings, self._watched = (), None
        with unmoved_seeds():
            reference, samples = self._resolved()
            images = self._fitting(samples)
            build(self.model, images)
            if _output_shape(reference) == _output_shape(self.model):
                said = [
                    f"As {how} runs them: {diff}"
                    for mode, how in _MODES
                    if not (diff := diff_layers(reference, self.model, images, mode=mode)).equal
                ]
            else:
                evidence = self._in_phase(trace_live(self.model, reference, images))
                self._watched = evidence, values_of(self.model)
                said = self._judged(evidence)
        self._tell(said)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks once at what a real batch moved."""
        del batch, logs
        if self._watched is None:
            return
        (evidence, before), self._watched = self._watched, None
        moved = after_a_batch(evidence, self.model, before)
        known = {finding.code for finding in self.findings}
        new = [finding for finding in self._errors(moved) if finding.code not in known]
        self.findings += tuple(new)
        self._tell([_line(finding) for finding in new if not matches(finding.code, self._ignore)])

    def _resolved(self) -> tuple[keras.Model, Any]:
        """The live reference, and samples for it."""
        if isinstance(self._reference, keras.Model):
            return self._reference, self._samples
        return Builder(self._reference).extractor("bottleneck", PROBES)

    def _fitting(self, samples: Any) -> Any:
        """Samples that the model takes; one that is trained on stored features has no backbone to be guarded."""
        given = np.asarray(samples)
        if given.ndim == 0 or len(given) == 0 or given.dtype == object:
            raise InputError(f"samples: expected an array of inputs, found {type(samples).__name__}")
        images = given[:PROBES]
        shape = getattr(self.model, "input_shape", None)
        taken = shape[1:] if isinstance(shape, tuple) else None
        if taken is not None and not (
            len(taken) == images.ndim - 1
            and all(size in {None, given} for size, given in zip(taken, images.shape[1:], strict=True))
        ):
            raise InputError(
                f"the guarded model takes {taken}, and {self._named} gives images of shape {images.shape[1:]}: guard "
                "the model that holds the backbone, and give images as fit does"
            )
        return images

    def _errors(self, evidence: Evidence) -> tuple[Finding, ...]:
        checks: list[Check] = [check for check in all_checks() if matches(check.code, _JUDGING)]
        found = examine(evidence, checks).findings
        # The key and the patch are of a spec; what is guarded here is code. What a phase asks for is no divergence.
        return tuple(
            replace(finding, key=None) for finding in found if finding.severity == "error" and not finding.asked
        )

    def _in_phase(self, evidence: Evidence) -> Evidence:
        """The evidence of a later phase, where the spec has one that unfreezes and the model's backbone is unfrozen."""
        if not isinstance(self._reference, Experiment):
            return evidence
        phases = self._reference.phases_of("frozen")
        unfrozen_in = next((name for name, phase in phases.items() if phase.unfreezes), "")
        if not unfrozen_in or not any(v.trainable and v.region == "backbone" for v in evidence.frozen.variables):
            return evidence
        number = list(phases).index(unfrozen_in) + 1
        return replace(evidence, phase=PhaseTrace(unfrozen_in, number, unfrozen_in))

    def _judged(self, evidence: Evidence) -> list[str]:
        """What is wrong before the first epoch."""
        self.findings = self._errors(evidence)
        said = [_line(finding) for finding in self.findings if not matches(finding.code, self._ignore)]
        if not any(row.bottleneck is not None and row.frozen is not None for row in evidence.rows):
            return [*said, "The two have no layer in common, so nothing was compared."]
        parted = evidence.first_divergence
        tuned = evidence.phase is not None  # its weights may have moved already
        if parted.inference is not None and not tuned:
            said.append(f"The two are different networks: as predict runs them, they first part at {parted.inference}.")
        elif parted.training is not None and not self.findings and not tuned:
            said.append(f"As fit runs the model, it first parts from its reference at {parted.training}.")
        return said

    def _tell(self, said: Sequence[str]) -> None:
        if not said:
            return
        heading = f"{self.model.name} does not train as {self._named} says"
        text = "\n".join(visible(" ".join(line.split())) for line in (heading, *said))
        if self._on_divergence == "raise":
            raise DivergenceError(text)
        _ACTIONS[self._on_divergence](text)


def _experiment(spec: str | Path) -> Experiment:
    experiment = resolve(load(spec))
    if problems := check_paths(experiment):
        raise SpecError(problems)
    return experiment


def _output_shape(model: keras.Model) -> Any:
    """The shape of what a model gives; None of one that tells it only when it runs."""
    try:
        return model.output_shape
    except (AttributeError, ValueError):
        return None


def _line(finding: Finding) -> str:
    repair = f" Repair: {finding.repair.text}" if finding.repair is not None else ""
    return f"{finding.code} {finding.title}. {finding.message}{repair}"
