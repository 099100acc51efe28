"""Any two models on the same batches: the rows of ``diff_layers``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf
from keras.src.models.functional import Functional

from equivcheck.errors import InconclusiveError, InputError
from equivcheck.measured import LayerGap, TrainingFlag
from equivcheck.trace.batches import batches_of, rows_of, samples_in
from equivcheck.trace.behaviour import Behaviour, Meter, variables_of_layer
from equivcheck.trace.draws import draw_alike, shared_draws
from equivcheck.trace.floor import one_rounding
from equivcheck.trace.gaps import gaps, in_isolation, measured_floor
from equivcheck.trace.hooks import LayerCall
from equivcheck.trace.layers import Seen, overheard, watch
from equivcheck.trace.plan import Plan
from equivcheck.trace.state import restored, unmoved_generators
from equivcheck.trace.together import Together, out_of_memory

#: Samples on which single layers are run again: two tell a sample from its batch, and keep few activations in memory.
_FEW = 2
#: The same in training, where a layer may normalise by its batch. Two samples lift one rounding to 2.0 of the largest
#: activation at the end of ResNet50 (32 pixels), 4 to 0.028, 8 to 9e-4, 32 to 2e-4: a floor of two would hide anything.
_FEW_IN_TRAINING = 8

Models = tuple[keras.Model, keras.Model]

#: By path, the ``training`` value that a call received in ``fit``, and how its layer behaved.
FitFacts = Mapping[str, tuple[bool | None, Behaviour]]


@unmoved_generators()
def diff_models(
    model_a: keras.Model, model_b: keras.Model, source: Any, *, training: bool, batch_size: int, most: int | None
) -> tuple[tuple[LayerGap, ...], int, int]:
    """Runs both models and compares them.

    Returns:
        The rows, and how many batches and samples went through.

    Raises:
        InputError: The models or batches do not fit each other.
        InconclusiveError: A layer raised, or memory was not enough.
    """
    models = (model_a, model_b)
    for name, model in _named(models):
        if not isinstance(model, keras.Model):
            raise InputError(f"{name}: expected a Keras model, found {type(model).__name__}")
    stream = _checked(models, batches_of(source, batch_size=batch_size, most=most))
    first = next(stream)
    for model in models:
        _build(model, first)
    fixed = any(map(_takes_one_size, models))
    few = first if fixed else rows_of(first, 0, _FEW)
    again = rows_of(first, 0, _FEW_IN_TRAINING) if training and not fixed else few
    variables = list({id(v): v for model in models for v in variables_of_layer(model)}.values())
    meter = Meter(alike_once=True)
    with restored(variables):  # each draws on: under shared_draws no layer would look random
        fitted = tuple(_in_fit(model, few, meter) for model in models)
    with restored(variables), shared_draws(*models):
        together = Together(models, training=training)
        with restored(variables):
            plan = together.prepare(few)
            _check_pairs(plan)
            draw_alike(*together.calls, plan.pairs)
            batches = samples = 0
            for batch in itertools.chain([first], stream):
                _count(together, batch, training=training)
                batches, samples = batches + 1, samples + samples_in(batch)
        rows = _rows(plan, together, models, again, variables, training=training)
        # What was compared already tells one of the modes.
        calm = tuple(_pass(model, few) for model in models) if training else together.calls
    behaviours = tuple(map(_behaviours, models, fitted, calm))
    return tuple(_with_behaviour(row, behaviours) for row in rows), batches, samples


def _named(models: Models) -> Iterator[tuple[str, keras.Model]]:
    return zip(("model_a", "model_b"), models, strict=True)


def _checked(models: Models, batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        for name, model in _named(models):
            _check_inputs(name, model, batch)
        yield batch


def _in_fit(model: keras.Model, x: Any, meter: Meter) -> FitFacts:
    """What each call receives and how its layer behaves in ``fit``; no tensor is kept."""
    facts: dict[str, tuple[bool | None, Behaviour]] = {}

    def note(call: LayerCall) -> Any:
        outputs, behaviour = meter(call)
        if behaviour is not None:
            facts[call.path] = call.flag, behaviour
        return outputs

    overheard(model, lambda: model(x, training=True), note)
    return facts


def _rows(
    plan: Plan, together: Together, models: Models, few: Any, variables: Sequence[keras.Variable], *, training: bool
) -> tuple[LayerGap, ...]:
    """Says who made the differences, which takes further runs on a few samples; none where all is equal."""
    tallies = together.tallies
    if all(tally is not None and tally.equal for tally in tallies):
        return gaps(plan, tallies, lambda _i, _alone: None, lambda _i, _j: None)

    def run(model: keras.Model, x: Any) -> tuple[Seen, ...]:
        with restored(variables):
            return _pass(model, x, training=training)

    draw_alike(*together.calls, plan.pairs)
    left = run(models[0], few)
    floor = measured_floor(left, run(models[0], one_rounding(few)))
    return gaps(plan, tallies, floor, in_isolation(left, together.calls[1]))


def _pass(model: keras.Model, x: Any, *, training: bool = False) -> tuple[Seen, ...]:
    return watch(model, lambda: model(x, training=training))[0]


def _count(together: Together, batch: Any, *, training: bool) -> None:
    """One batch; in halves where memory is short and a sample does not depend on its batch mates."""
    try:
        together.count(batch)
    except Exception as error:
        if not out_of_memory(error):
            raise
        size = samples_in(batch)
        if training or size == 1:
            way = "use smaller batches" if size > 1 else "one sample is too much for this machine"
            said = f"memory was not enough for both models on a batch of {size} samples; {way}"
            raise InconclusiveError(said) from None
        for start, stop in ((0, size // 2), (size // 2, size)):
            _count(together, rows_of(batch, start, stop), training=training)


def _behaviours(
    model: keras.Model, fitted: FitFacts, calm: Sequence[Seen]
) -> Mapping[str, tuple[TrainingFlag, Behaviour]]:
    """By path, the ``training`` value that each call receives in each phase, and how its layer behaves in ``fit``.

    Args:
        model: The model.
        fitted: What its calls received in training mode, and how they behaved.
        calm: Its calls in inference mode.
    """
    predict = {call.path: call.flag for call in calm}
    # test_step passes on what predict_step does, unless somebody wrote another.
    evaluate = predict if type(model).test_step is keras.Model.test_step else {}
    return {
        path: (TrainingFlag(flag, evaluate.get(path), predict.get(path)), behaviour)
        for path, (flag, behaviour) in fitted.items()
    }


def _with_behaviour(row: LayerGap, behaviours: tuple[Mapping[str, tuple[TrainingFlag, Behaviour]], ...]) -> LayerGap:
    (flag_a, a), (flag_b, b) = (
        known.get(path or "", (TrainingFlag(), Behaviour()))
        for path, known in zip((row.a, row.b), behaviours, strict=True)
    )
    return replace(
        row,
        flags=(flag_a, flag_b),
        stochastic=(a.stochastic, b.stochastic),
        batch_dependent=(a.batch_gap > 0, b.batch_gap > 0),
    )


def _check_pairs(plan: Plan) -> None:
    if not any(i is not None and j is not None for i, j in plan.pairs):
        raise InputError(
            "model_a and model_b have no layer in common: no two have the same path or name, or are the same "
            "kind with the same shapes; nothing was compared"
        )


def _check_inputs(name: str, model: keras.Model, batch: Any) -> None:
    """What the model takes against what the batches hold, before Keras says it less plainly."""
    functional = _functional(model)
    if functional is None:
        return
    given, wanted = _by_place(name, functional, batch), functional.inputs
    if len(given) != len(wanted):
        raise InputError(f"{name} takes {len(wanted)} inputs; the batches hold {len(given)}")
    for tensor, place in zip(given, wanted, strict=True):
        if not _fits(tuple(tensor.shape), tuple(place.shape)):
            raise InputError(
                f"{name} takes {_plain(place.shape)}; the batches hold {_plain(tensor.shape)}: give batches that both "
                f"models take"
            )
        if (tensor.dtype == tf.string) != (place.dtype == "string"):
            raise InputError(f"{name} takes {place.dtype}; the batches hold {tensor.dtype.name}")


def _functional(model: keras.Model) -> Functional | None:
    return model if isinstance(model, Functional) else getattr(model, "_functional", None)


def _takes_one_size(model: keras.Model) -> bool:
    """Whether the number of samples is fixed; a model's own input may say so of any that was built by a call."""
    return any(getattr(layer, "stateful", False) for layer in model._flatten_layers())  # noqa: SLF001


def _by_place(name: str, functional: Functional, batch: Any) -> list[Any]:
    """The tensors of a batch in the order of the model's inputs; of a dictionary by name, as Keras does."""
    if not isinstance(batch, dict):
        return list(keras.tree.flatten(batch))
    taken = functional.input
    wanted = sorted(taken) if isinstance(taken, dict) else [place.name for place in functional.inputs]
    if missing := [key for key in wanted if key not in batch]:
        raise InputError(f"{name} takes an input called {missing[0]!r}; the batches hold {', '.join(sorted(batch))}")
    return list(keras.tree.flatten([batch[key] for key in wanted]))


def _fits(have: tuple[int | None, ...], want: tuple[int | None, ...]) -> bool:
    """Whether Keras takes the shape, which adds or removes a last axis of one."""
    if len(have) == len(want) + 1 and have[-1] == 1:
        have = have[:-1]
    elif len(have) == len(want) - 1 and want[-1] == 1:
        have = (*have, 1)
    return len(have) == len(want) and all(b in {None, a} or a is None for a, b in zip(have[1:], want[1:], strict=True))


def _plain(shape: Sequence[int | None]) -> str:
    sizes = ("any" if size is None else str(size) for size in tuple(shape)[1:])
    return "(" + ", ".join(["batch", *sizes]) + ")"


def _build(model: keras.Model, batch: Any) -> None:
    """Makes the weights of a model that has not been called yet, as its first call would."""
    if not all(layer.built for layer in model._flatten_layers()):  # noqa: SLF001  (a model's own flag may run ahead)
        with restored(variables_of_layer(model)):
            _pass(model, rows_of(batch, 0, 1))
