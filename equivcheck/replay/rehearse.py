"""Prepares the training of one arm as a compiled graph, from the frontier of its network on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from time import perf_counter
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
from equivcheck.replay.course import Course, Values
from equivcheck.replay.cut import Cut, Cuts, cut_of
from equivcheck.replay.features import Prefix, bytes_of
from equivcheck.replay.frontier import blank, stand_in
from equivcheck.replay.graph import RefusedError
from equivcheck.replay.key import digest_of
from equivcheck.replay.likeness import Likeness, likeness
from equivcheck.replay.memo import Memo
from equivcheck.replay.supply import supply
from equivcheck.replay.tables import tables_of
from equivcheck.replay.workers import Workers
from equivcheck.trace.hooks import hooked
from equivcheck.trace.memory import assign, same_memory, values_of
from equivcheck.trace.state import undisturbed, variables_of

#: Rows that are evaluated at once where batches may be joined, and the batch size from which that is not worth it:
#: with a batch of one nearly all of the time goes into starting operations.
_TOGETHER, _LARGE = 1024, 32

#: Numbers that the layers of one step make, up to which it runs beside others. Two trainings of the fixtures' networks,
#: of 60 to 1 200 000 such numbers, take 0.4 to 0.7 of the time on two cores that they take one after the other; of
#: large networks each takes all cores already, and two have twice the activations in memory.
_LIGHT = 4_000_000
#: Numbers in the tables of one that runs beside others: 200 MB of floats.
_MOST_KEPT = 50_000_000


@dataclass(frozen=True, slots=True)
class Rehearsals:
    """Compiled trainings, for further arms of the same making.

    Attributes:
        known: By what decides their graph.
        joined: Evaluate small batches of validation together, where losses and metrics add up over samples. It is many
            times as fast, and a ``val_loss`` differs by its rounding from the one of ``fit``.
        cuts: Where networks are cut.
        workers: Where light ones run beside one another.
    """

    known: dict[str, Rehearsal] = field(default_factory=dict)
    joined: bool = False
    cuts: Cuts = field(default_factory=Cuts)
    workers: Workers = field(default_factory=Workers)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a compiled training gave.

    Attributes:
        curves: Values per epoch, by metric.
        why: How much of the network ran again.
        left: What it left in the variables that it moved, where it ran on variables of its own.
        moved: How far the features that it was given lie from those of its own network, as a share of the largest.
    """

    curves: Mapping[str, tuple[float, ...]]
    why: str
    left: Values
    moved: float = 0.0


@dataclass(frozen=True, slots=True)
class _Finished:
    """What comes of a training on variables of its own.

    Attributes:
        curves: ``(epochs, curves)``.
        left: What it left in the variables that it moved, by their place.
    """

    curves: npt.NDArray[np.float64]
    left: Mapping[int, tf.Tensor]

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return self.curves.nbytes + sum(map(bytes_of, self.left.values()))


#: What the steps are fed, from what the model's variables hold; and what moves before the cut, where something does.
Feed = Callable[[Values, Callable[[int, int], None]], tuple[Tables, Course | None]]
#: What decides that, of trainings that have it in common; None where it is not worth computing it only once.
Shared = Callable[[Values], Hashable]


@dataclass(frozen=True, slots=True)
class Ready:
    """A training that is compiled.

    Attributes:
        model: The arm's model.
        rehearsal: The compiled training.
        feed: Computes what it is fed; on any thread.
        shares: What decides that.
        validation_batch_size: Rows a step of validation.
        epochs: How many.
        stops: Callbacks that may end it.
        state: The variables of the model that it works on; None for all.
        cut: Where the network is cut.
        fixed: The variables that features are stored of, by ``id``.
        moved: As in ``Rehearsed``.
        light: A step of it is too little work for all cores.
        kept: What came of trainings before that ran on variables of their own.
    """

    model: keras.Model
    rehearsal: Rehearsal
    feed: Feed
    shares: Shared
    validation_batch_size: int
    epochs: int
    stops: Sequence[Any]
    state: tuple[Any, ...] | None
    cut: Cut
    fixed: frozenset[int]
    moved: float
    light: bool
    kept: Memo[Any]

    def run(self, progress: Callable[[int, int], None]) -> Rehearsed:
        """Trains the model.

        Args:
            progress: Told of epochs done.

        Raises:
            RefusedError: The training was not that of ``fit``.
        """
        tables, course = self._fed(progress, held_by(self.model))
        curves = self._run(progress, tables, self.state)
        if not self.cut.unmoved():
            raise RefusedError("it moves what lies before its frontier")
        for variable, value in [] if course is None else course.behind(len(curves)):
            assign([variable], [value])
        return self._told(curves, {})

    def run_aside(self, progress: Callable[[int, int], None], start: Values) -> Rehearsed:
        """Trains variables of its own, which hold what is given, and leaves the model as it is; only where ``aside``.

        Args:
            progress: Told of epochs done.
            start: What the model's variables hold before.
        """
        assert self.state is not None
        before = [start[id(variable)] for variable in self.state]
        tables, course = self._fed(progress, start)

        def train() -> _Finished:
            with self.rehearsal.spare.variables(before) as own:
                curves = self._run(progress, tables, own)
                after = zip(before, values_of(own), strict=True)
                return _Finished(
                    curves, {place: new for place, (old, new) in enumerate(after) if not same_memory(old, new)}
                )

        came_to = train() if self.stops else self.kept.get(self._decided_by(tables, before), train)
        progress(self.epochs, self.epochs)  # which one that was finished before has told nobody
        left = {id(self.state[place]): value for place, value in came_to.left.items()}
        curves = came_to.curves
        left |= {id(variable): value for variable, value in ([] if course is None else course.behind(len(curves)))}
        return self._told(curves, left)

    def _fed(self, progress: Callable[[int, int], None], start: Values) -> tuple[Tables, Course | None]:
        tables, course = self.feed(start, progress)
        return replace(tables, validation_batch_size=self.validation_batch_size), course

    def _run(
        self, progress: Callable[[int, int], None], tables: Tables, state: Sequence[Any] | None
    ) -> npt.NDArray[np.float64]:
        with _asking(self.model, self.stops) as ended:
            return self.rehearsal.run(tables, self.epochs, progress, state, ended)

    def _decided_by(self, tables: Tables, before: Sequence[tf.Tensor]) -> tuple[Any, ...]:
        """All that decides what comes of a training on variables of its own that nothing stops.

        Different arms are often fed the same from the cut on: where one repair switches off what another would have.
        """
        sizes = tables.batch_size, tables.validation_batch_size
        return self.rehearsal, self.epochs, *sizes, digest_of((*tables.arrays, *before))

    def _told(self, curves: npt.NDArray[np.float64], left: Values) -> Rehearsed:
        columns = zip(self.rehearsal.names, curves.T, strict=True)
        return Rehearsed({name: tuple(map(float, column)) for name, column in columns}, self.cut.why, left, self.moved)

    @property
    def aside(self) -> bool:
        """Whether it may run on variables of its own, beside others, and is worth it.

        Its graph knows its variables one by one then, and has no other.
        """
        averaging = getattr(self.model.optimizer, "use_ema", False)  # whose last touch is the model's
        return self.state is not None and self.light and not averaging


def held_by(model: keras.Model) -> dict[int, tf.Tensor]:
    """What all variables of a model hold."""
    variables = variables_of(model)
    return dict(zip(map(id, variables), values_of(variables), strict=True))


def prepare(
    arm: Arm,
    *,
    evidence: ArmEvidence | None,
    rehearsals: Rehearsals,
    tables: Tables | None = None,
    held: Values | None = None,
    stored: Sequence[Any] | None = None,
    told: Callable[[int, int], None] = lambda _done, _total: None,
    runs_first: bool = True,
) -> Ready:
    """Compiles the training of the arm's model as ``fit`` would do it, all but the last touch of its optimizer.

    Args:
        arm: An arm that nothing speaks against compiling (``eligible.obstacle``), built.
        evidence: What was measured on the arm, where it was.
        rehearsals: Compiled trainings of before, where this one is kept as well.
        tables: Its data, where they are known, and the random generators still as ``tables_of`` left them.
        held: What the model's variables hold, where that is known.
        stored: Features to train and to evaluate on instead of those that the network gives at its frontier, row by
            row; for training, and for validation where there is any.
        told: Told of epochs where the network is run through all of them here.
        runs_first: A network that takes all cores is run here and now.

    Raises:
        RefusedError: The training is not sure to be that of ``fit``; or the stored features are not of that frontier.
    """
    model, tables = arm.model, tables_of(arm) if tables is None else tables
    x, epochs = tables.train[0], int(arm.fit.get("epochs", 1))
    cut = cut_of(arm, tables, rehearsals.cuts, held)
    _refuse_hidden_draws(model, cut, evidence)
    step = _step(model, tf.TensorSpec(x.shape[1:], x.dtype), cut.prefix, cut.calm)
    supplied = supply(cut.prefix, cut.calm, tables, epochs)
    feed: Feed = supplied.tables
    shares: Shared = supplied.shared
    outline, moved = supplied.outline, 0.0
    if stored is not None:
        if cut.prefix is None or cut.calm is not cut.prefix or supplied.moving:
            raise RefusedError("its steps do not begin where features are stored")
        outline = _given(tables, stored)
        moved = _moved(outline, supplied.tables(held_by(model), told)[0])
        feed, shares = _always(outline, None), _nothing
    elif not _is_light(cut.made[0], outline):  # the network takes all cores, so that it had better run here
        if not runs_first:
            raise RefusedError("its network takes all cores")
        feed, shares = _always(*supplied.tables(held_by(model), told)), _nothing
    found, evaluated = (None if each is None else each.found for each in (cut.prefix, cut.calm))
    alike = likeness(model, outline, cut.fit, found, evaluated, cut.tried)
    stops = arm.fit.get("callbacks") or ()
    joins = rehearsals.joined and not stops  # a rounding could end the training in another epoch
    if joins and alike is not None and alike.additive and outline.validation_batch_size < _LARGE:
        outline = replace(outline, validation_batch_size=_TOGETHER)
        alike = likeness(model, outline, cut.fit, found, evaluated, cut.tried)
    return Ready(
        model=model,
        rehearsal=_rehearsal(model, outline, step, alike, rehearsals),
        feed=feed,
        shares=shares,
        validation_batch_size=outline.validation_batch_size,
        epochs=epochs,
        stops=stops,
        state=None if alike is None else alike.state,
        cut=cut,
        fixed=frozenset(map(id, cut.fixed)) - set(map(id, supplied.moving)),
        moved=moved,
        light=_is_light(cut.made[1], outline),
        kept=rehearsals.cuts.kept,
    )


def _always(tables: Tables, course: Course | None) -> Feed:
    """What was computed already."""
    return lambda _start, _told: (tables, course)


def _nothing(_start: Values) -> Hashable:
    """What trainings have in common that are given what was computed already."""
    return None


def _is_light(made: int, tables: Tables) -> bool:
    """Whether so little is computed in every step that no operation keeps several cores busy, and little is kept.

    Args:
        made: Numbers that the layers make for a sample.
        tables: What they are fed.
    """
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
    """Whether the network of an arm, built, is run through in every epoch of its compiled training."""
    return cut_of(arm, tables_of(arm), rehearsals.cuts).again


def pace_before_cut(arm: Arm, rehearsals: Rehearsals) -> float | None:
    """Seconds that a batch takes in the compiled training of an arm, built, up to where its network is cut.

    What is traced for that is what the training runs. None where everything is run in every step.
    """
    tables = tables_of(arm)
    cut = cut_of(arm, tables, rehearsals.cuts)
    if cut.prefix is None:
        return None
    x, size = tables.train[0], tables.batch_size
    traced = cut.prefix.trace(x, tables.order.shape[1], batch_size=size, training=True)

    def once() -> float:
        begun = perf_counter()
        for feature in traced(x, tables.order[0][:size], size):
            feature.numpy()
        return perf_counter() - begun

    with undisturbed(arm.model):
        return min(once(), once())  # the first one makes the graph ready


def _rehearsal(
    model: keras.Model, tables: Tables, step: Step, alike: Likeness | None, rehearsals: Rehearsals
) -> Rehearsal:
    if alike is None:
        return Rehearsal(model, tables, step)
    if alike.key not in rehearsals.known:
        rehearsals.known[alike.key] = Rehearsal(model, tables, step, alike.state)
    return rehearsals.known[alike.key]


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


def _refuse_hidden_draws(model: keras.Model, cut: Cut, evidence: ArmEvidence | None) -> None:
    """Refuses a layer that was seen to draw random numbers while no generator of the model moved."""
    if evidence is None:
        return
    drawing = {layer.path.removeprefix(f"{model.name}/") for layer in evidence.layers if layer.stochastic}
    hidden = sorted(drawing & cut.unseen)
    if hidden:
        raise RefusedError(f"{hidden[0]} draws random numbers from a generator that cannot be seen")
