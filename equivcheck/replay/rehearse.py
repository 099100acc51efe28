"""Prepares the training of one arm as a compiled graph, from the frontier of its network on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from equivcheck.arms.arm import Arm
from equivcheck.diff.distance import distance
from equivcheck.evidence import ArmEvidence
from equivcheck.replay.compiled import Ended, Rehearsal, Step, Tables, own_step
from equivcheck.replay.eligible import has_plain_steps
from equivcheck.replay.features import Prefix
from equivcheck.replay.frontier import (
    TRIED,
    Frontier,
    Pass,
    blank,
    find_calm_frontier,
    find_frontier,
    run_through,
    stand_in,
)
from equivcheck.replay.graph import RefusedError
from equivcheck.replay.key import Digests
from equivcheck.replay.likeness import Likeness, likeness
from equivcheck.replay.tables import tables_of
from equivcheck.replay.workers import Workers
from equivcheck.trace.behaviour import is_seed, variables_of_layer
from equivcheck.trace.hooks import hooked
from equivcheck.trace.memory import same_memory, values_of
from equivcheck.trace.state import variables_of

#: Most memory that stored features may take, in bytes, unless the images themselves take more.
_MOST_BYTES = 1 << 30
#: Rows that are evaluated at once where batches may be joined, and the batch size from which that is not worth it:
#: with a batch of one nearly all of the time goes into starting operations.
_TOGETHER, _LARGE = 1024, 32

#: Numbers that the layers of one step make, up to which it runs beside others. Two trainings of the fixtures' networks,
#: of 60 to 1 200 000 such numbers, take 0.4 to 0.7 of the time on two cores that they take one after the other; of
#: large networks each takes all cores already, and two have twice the activations in memory.
_LIGHT = 4_000_000
#: Numbers in the tables of one that runs beside others: 200 MB of floats.
_MOST_KEPT = 50_000_000

_ALL = "the whole network was run in every step"


@dataclass(frozen=True, slots=True)
class Cut:
    """Where an arm's network is cut.

    Attributes:
        arm: The arm, so that nothing else can take its place in memory.
        tried: The samples of its pass.
        fit: The pass of its ``train_step``.
        prefix: The network up to the frontier; None where everything runs in every step.
        calm: The network up to the frontier of evaluation: the same, or where there is none, one of its own.
        values: What the variables held that training must not move.
        why: How much of the network runs again.
    """

    arm: Arm
    tried: tf.Tensor
    fit: Pass
    prefix: Prefix | None
    calm: Prefix | None
    values: tuple[tf.Tensor, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Rehearsals:
    """Compiled trainings, for further arms of the same making.

    Attributes:
        known: By what decides their graph.
        joined: Evaluate small batches of validation together, where losses and metrics add up over samples. It is many
            times as fast, and a ``val_loss`` differs by its rounding from the one of ``fit``.
        cuts: What was found out about an arm, for the same arm with other weights behind the cut; by model and data.
        prefixes: Networks up to a cut, for arms that were built on the same backbone; by layers and data. With the arm
            that each is of, and what it held before the cut.
        digests: What of their models was digested.
        workers: Where light ones run beside one another.
    """

    known: dict[str, Rehearsal] = field(default_factory=dict)
    joined: bool = False
    cuts: dict[tuple[int, ...], Cut] = field(default_factory=dict)
    prefixes: dict[tuple[object, ...], tuple[Arm, tuple[tf.Tensor, ...], Prefix]] = field(default_factory=dict)
    digests: Digests = field(default_factory=Digests)
    workers: Workers = field(default_factory=Workers)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a compiled training gave.

    Attributes:
        curves: Values per epoch, by metric.
        why: How much of the network ran again.
        moved: How far the features that it was given lie from those of its own network, as a share of the largest.
    """

    curves: Mapping[str, tuple[float, ...]]
    why: str
    moved: float = 0.0


@dataclass(frozen=True, slots=True)
class Ready:
    """A training that is compiled and has all that it is fed.

    Attributes:
        model: The arm's model.
        rehearsal: The compiled training.
        tables: What it is fed.
        epochs: How many.
        stops: Callbacks that may end it.
        state: The variables of the model that it works on; None for all.
        cut: Where the network is cut.
        why: How much of the network runs again.
        moved: As in ``Rehearsed``.
        light: A step of it is too little work for all cores.
    """

    model: keras.Model
    rehearsal: Rehearsal
    tables: Tables
    epochs: int
    stops: Sequence[Any]
    state: tuple[Any, ...] | None
    cut: Cut
    why: str
    moved: float
    light: bool

    def run(self, progress: Callable[[int, int], None], state: Sequence[Any] | None = None) -> Rehearsed:
        """Trains.

        Args:
            progress: Told of epochs done.
            state: Variables to work on in place of the model's, which then stays as it is; only where ``aside``.

        Raises:
            RefusedError: The training was not that of ``fit``.
        """
        with _asking(self.model, self.stops) as ended:
            curves = self.rehearsal.run(self.tables, self.epochs, progress, state or self.state, ended)
        if state is None and not _unmoved(self.cut):
            raise RefusedError("it moves what lies before its frontier")
        columns = zip(self.rehearsal.names, curves.T, strict=True)
        return Rehearsed({name: tuple(map(float, column)) for name, column in columns}, self.why, self.moved)

    @property
    def aside(self) -> bool:
        """Whether it may run on variables of its own, beside others, and is worth it.

        Its graph knows its variables one by one then, and has no other.
        """
        averaging = getattr(self.model.optimizer, "use_ema", False)  # whose last touch is the model's
        return self.state is not None and self.light and not averaging


def prepare(
    arm: Arm,
    *,
    evidence: ArmEvidence | None,
    rehearsals: Rehearsals,
    tables: Tables | None = None,
    stored: Sequence[Any] | None = None,
) -> Ready:
    """Compiles the training of the arm's model as ``fit`` would do it, all but the last touch of its optimizer.

    Args:
        arm: An arm that nothing speaks against compiling (``eligible.obstacle``), built.
        evidence: What was measured on the arm, where it was.
        rehearsals: Compiled trainings of before, where this one is kept as well.
        tables: Its data, where they are known, and the random generators still as ``tables_of`` left them.
        stored: Features to train and to evaluate on instead of those that the network gives at its frontier, row by
            row; for training, and for validation where there is any.

    Raises:
        RefusedError: The training is not sure to be that of ``fit``; or the stored features are not of that frontier.
    """
    model, tables = arm.model, tables_of(arm) if tables is None else tables
    x = tables.train[0]
    tried = tf.gather(x, np.arange(TRIED) % len(x))
    cut = _cut(arm, tried, rehearsals)
    _refuse_hidden_draws(model, cut.fit, evidence)
    prefix, calm, why = cut.prefix, cut.calm, cut.why
    if prefix is not None and _is_too_large(prefix.found, tables.train[0], tables.order.size):
        why = f"{_ALL}, because the output of {prefix.found.path} is too large to keep"
        prefix = None
    if calm is not None and tables.validation is not None:
        calm = None if _is_too_large(calm.found, tables.validation[0], tables.validated) else calm
    step = _step(model, tf.TensorSpec(x.shape[1:], x.dtype), prefix, calm)
    if stored is not None and (prefix is None or calm is not prefix):
        raise RefusedError("its steps do not begin where features are stored")
    given, moved = None if stored is None else _given(tables, stored), 0.0
    tables = _tables_behind(prefix, calm, tables)
    if given is not None:
        tables, moved = given, _moved(given, tables)
    found, evaluated = (None if each is None else each.found for each in (prefix, calm))
    alike = likeness(model, tables, cut.fit, found, evaluated, cut.tried)
    stops = arm.fit.get("callbacks") or ()
    joins = rehearsals.joined and not stops  # a rounding could end the training in another epoch
    if joins and alike is not None and alike.additive and tables.validation_batch_size < _LARGE:
        tables = replace(tables, validation_batch_size=_TOGETHER)
        alike = likeness(model, tables, cut.fit, found, evaluated, cut.tried)
    return Ready(
        model=model,
        rehearsal=_rehearsal(model, tables, step, alike, rehearsals),
        tables=tables,
        epochs=int(arm.fit.get("epochs", 1)),
        stops=stops,
        state=None if alike is None else alike.state,
        cut=cut,
        why=why,
        moved=moved,
        light=_is_light(cut.fit if found is None else found, tables),
    )


def _is_light(run: Pass | Frontier, tables: Tables) -> bool:
    """Whether so little is computed in every step that no operation keeps several cores busy, and little is kept."""
    made = sum(int(np.prod(tensor.shape[1:])) for call in run.calls for tensor in tf.nest.flatten(call.outputs))
    kept = sum(int(np.prod(part.shape)) for part in (*tables.train, *(tables.validation or ())))
    return made * tables.batch_size <= _LIGHT and kept <= _MOST_KEPT


@contextmanager
def _asking(model: keras.Model, callbacks: Sequence[Any]) -> Iterator[Ended | None]:
    """Asks what ends a training behind each epoch, as ``fit`` does.

    Copies are asked, about something in the model's place: others train with both, and measure them. All that an
    ``EarlyStopping`` wants of a model are its metrics: whether more is better.
    """
    told = SimpleNamespace(metrics=model.metrics, stop_training=False)
    asked = [copy(callback) for callback in callbacks]

    def ended(epoch: int, logs: dict[str, float]) -> bool:
        for callback in asked:
            callback.on_epoch_end(epoch, logs)
        return bool(told.stop_training)

    for callback in asked:
        callback.set_model(told)
        callback.on_train_begin()
    yield ended if asked else None
    for callback in asked:
        callback.on_train_end()


def runs_again(arm: Arm, rehearsals: Rehearsals) -> bool:
    """Whether the whole network of an arm, built, runs in every epoch of its compiled training."""
    tables = tables_of(arm)
    x = tables.train[0]
    prefix = _cut(arm, tf.gather(x, np.arange(TRIED) % len(x)), rehearsals).prefix
    return prefix is None or _is_too_large(prefix.found, x, tables.order.size)


def _rehearsal(
    model: keras.Model, tables: Tables, step: Step, alike: Likeness | None, rehearsals: Rehearsals
) -> Rehearsal:
    if alike is None:
        return Rehearsal(model, tables, step)
    if alike.key not in rehearsals.known:
        rehearsals.known[alike.key] = Rehearsal(model, tables, step, alike.state)
    return rehearsals.known[alike.key]


def _cut(arm: Arm, tried: tf.Tensor, rehearsals: Rehearsals) -> Cut:
    """Where the arm's network is cut, found out once for a model, its data and what stands before the cut."""
    split = arm.validation
    trained = hash(tuple(variable.trainable for variable in arm.model.variables))  # a later phase may train more of it
    key = id(arm.model), id(arm.train.feed.rows), id(split.feed.rows) if split else 0, trained
    known = rehearsals.cuts.get(key)
    if known is not None and _unmoved(known):
        return known
    fit = run_through(arm.model, tried, training=True)
    found, calm, why = _frontiers(arm, tried, fit)
    prefix = None if found is None else _prefix(arm, fit, found, rehearsals)
    evaluated = prefix if calm is None or calm is found else _prefix(arm, fit, calm, rehearsals)
    held = tuple(values_of(_before(arm.model, calm)))
    rehearsals.cuts[key] = cut = Cut(arm, tried, fit, prefix, evaluated, held, why)
    return cut


def _prefix(arm: Arm, fit: Pass, found: Frontier, rehearsals: Rehearsals) -> Prefix:
    """The arm's network up to a cut; of an arm before that was built on the same backbone, where all of it is the same.

    Args:
        arm: The arm.
        fit: A pass of its network, with all its calls.
        found: Where it is cut.
        rehearsals: Where it is kept.
    """
    if arm.made_by is not None:  # whose layers may be called in any way
        return Prefix(arm.model, found)
    splits = (arm.train, arm.validation)
    fed = tuple(0 if split is None else id(split.feed.rows) for split in splits)
    before = {found.path, *found.skipped}
    made_of = tuple((call.path, call.flag, _made_of(call.layer)) for call in fit.calls if call.path in before)
    key = (found.path, found.shape, *fed, made_of)
    values = tuple(values_of(_before(arm.model, found)))
    known = rehearsals.prefixes.get(key)
    if known is None or not _equal(known[1], values):
        # With the arm, so that nothing else can take the place of its layers and rows in memory.
        rehearsals.prefixes[key] = known = arm, values, Prefix(arm.model, found)
    return replace(known[2], found=found)  # what lies behind it is this arm's own


def _made_of(layer: keras.Operation) -> object:
    """What a layer is: itself, or where it is one of Keras' that holds nothing, its configuration."""
    if isinstance(layer, keras.layers.Layer):
        alone = not layer.variables and not layer._flatten_layers(include_self=False)  # noqa: SLF001  (no public list)
        if alone and type(layer).__module__.startswith("keras."):
            return repr((type(layer), layer.get_config()))
        return id(layer), tuple(variable.trainable for variable in layer.variables)
    return id(layer)


def _unmoved(cut: Cut) -> bool:
    """Whether everything before the cut is as it was."""
    found = None if cut.calm is None else cut.calm.found
    return _equal(cut.values, values_of(_before(cut.arm.model, found)))


def _equal(values: Sequence[tf.Tensor], others: Sequence[tf.Tensor]) -> bool:
    return len(values) == len(others) and all(
        same_memory(one, other) or np.array_equal(one.numpy(), other.numpy(), equal_nan=True)
        for one, other in zip(values, others, strict=True)
    )


def _frontiers(arm: Arm, tried: tf.Tensor, fit: Pass) -> tuple[Frontier | None, Frontier | None, str]:
    """Where the steps of training and of evaluation may start, and how to say it; mostly they are one."""
    if arm.name == "bottleneck":
        return None, None, "all that is trained on stored features was run in every step"
    if not has_plain_steps(arm.model):
        return None, None, f"{_ALL}, because the model has steps of its own"
    calm = run_through(arm.model, tried, training=False)
    found = find_frontier(arm.model, tried, fit, calm)
    if found is not None:
        return found, found, f"all up to {found.path} was run once"
    why = f"{_ALL}, because it changes from its first layers on"
    return None, find_calm_frontier(arm.model, tried, fit, calm), why


def _is_too_large(found: Frontier, x: tf.Tensor, taken: int) -> bool:
    """Whether the features of all passes through a split take more memory than they may."""
    each = int(np.prod(found.shape)) * found.feature.dtype.size
    images = int(np.prod(x.shape)) * x.dtype.size
    return bool(each * taken > max(_MOST_BYTES, images))


def _tables_behind(prefix: Prefix | None, calm: Prefix | None, tables: Tables) -> Tables:
    """The tables with stored features in the place of the images, in the order of the epochs."""
    if prefix is not None:
        train, order = _behind(prefix, tables.train, tables.order, tables.batch_size, training=True)
        tables = replace(tables, train=train, order=order)
    if calm is None or tables.validation is None:
        return tables
    taken = tables.validation_order
    whole = np.arange(len(tables.validation[0]))[None] if taken is None else taken
    validation, places = _behind(calm, tables.validation, whole, tables.validation_batch_size, training=False)
    return replace(tables, validation=validation, validation_order=None if taken is None else places)


def _given(tables: Tables, stored: Sequence[Any]) -> Tables:
    """The tables with features that are given, row by row."""
    splits = [split for split in (tables.train, tables.validation) if split is not None]
    if list(map(len, stored)) != [len(split[0]) for split in splits]:
        raise RefusedError("features of other samples are stored")
    train, *validation = map(tf.convert_to_tensor, stored)
    evaluated = tables.validation and (*validation, *tables.validation[1:])
    return replace(tables, train=(train, *tables.train[1:]), validation=evaluated)


def _moved(given: Tables, own: Tables) -> float:
    """How far given features lie from the network's own, which come in the order of the epochs."""
    orders = given.order, given.validation_order
    gap = 0.0
    for ours, theirs, order in zip((given.train, given.validation), (own.train, own.validation), orders, strict=True):
        if ours is not None and theirs is not None:
            taken = ours[0] if order is None else tf.gather(ours[0], order.reshape(-1))
            if (taken.shape, taken.dtype) != (theirs[0].shape, theirs[0].dtype):
                raise RefusedError("the stored features have another shape than those at its frontier")
            gap = max(gap, distance(theirs[0].numpy(), taken.numpy()).max_rel)
    return gap


def _behind(
    prefix: Prefix, table: tuple[tf.Tensor, ...], order: npt.NDArray[np.int64], batch_size: int, *, training: bool
) -> tuple[tuple[tf.Tensor, ...], npt.NDArray[np.int64]]:
    """A table, all passes one behind the other, and where each of them is now."""
    x, *rest = table
    features = prefix.features(x, order, batch_size=batch_size, training=training)
    taken = order.reshape(-1)
    return (features, *(tf.gather(part, taken) for part in rest)), np.arange(order.size).reshape(order.shape)


def _step(model: keras.Model, image: tf.TensorSpec, prefix: Prefix | None, calm: Prefix | None) -> Step:
    """The model's own steps, with stored features at the frontier, where there is one, and nothing run before it."""
    own = own_step(model)

    def step(data: tuple[Any, ...], training: bool) -> Any:  # noqa: FBT001  (its place is in Step)
        behind = prefix if training else calm
        if behind is None:
            return own(data, training)
        feature, *rest = data
        with hooked(model, stand_in(behind.found, feature)):
            return own((blank(image, feature), *rest), training)

    return step


def _before(model: keras.Model, found: Frontier | None) -> list[Any]:
    """The variables that training must not move, because what they make is stored.

    What lies before the frontier of evaluation alone may draw, while it is trained, and so move a generator.
    """
    if found is None:
        return []
    behind = {id(variable) for call in found.calls for variable in variables_of_layer(call.layer)}
    behind |= {id(variable) for variable in (*model.metrics_variables, *model.optimizer.variables)}
    return [variable for variable in variables_of(model) if id(variable) not in behind and not is_seed(variable)]


def _refuse_hidden_draws(model: keras.Model, fit: Pass, evidence: ArmEvidence | None) -> None:
    """Refuses a layer that was seen to draw random numbers while no generator of the model moved."""
    if evidence is None:
        return
    prefix = f"{model.name}/"
    drawing = {layer.path for layer in evidence.layers if layer.stochastic}
    for call in fit.calls:
        seeds = [variable for variable in variables_of_layer(call.layer) if is_seed(variable)]
        if drawing & {call.path, prefix + call.path} and not any(id(seed) in fit.moved for seed in seeds):
            raise RefusedError(f"{call.path} draws random numbers from a generator that cannot be seen")
