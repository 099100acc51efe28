"""Where an arm's network is cut: what lies before is run by itself, for all trainings that it is the same for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from equivcheck.arms.arm import Arm
from equivcheck.replay.compiled import Tables
from equivcheck.replay.course import Course
from equivcheck.replay.eligible import has_plain_steps
from equivcheck.replay.features import Prefix, Traced, bytes_of
from equivcheck.replay.frontier import TRIED, Frontier, Pass, find_calm_frontier, find_frontier, run_through
from equivcheck.replay.likeness import alike_before
from equivcheck.replay.memo import Memo
from equivcheck.replay.supply import epoch_by_epoch
from equivcheck.trace.behaviour import is_seed, variables_of_layer
from equivcheck.trace.memory import same_memory, values_of
from equivcheck.trace.state import variables_of

#: Most memory that stored features may take, in bytes, unless the images themselves take more; and all that are kept.
_MOST_BYTES = 1 << 30

_ALL = "the whole network was run in every step"


def _bytes(kept: Any) -> int:
    return kept.bytes if isinstance(kept, Course) else bytes_of(kept)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where an arm's network is cut.

    Attributes:
        arm: The arm, so that nothing else can take its place in memory.
        tried: The samples of its pass.
        fit: The pass of its ``train_step``.
        prefix: The network up to the frontier; None where everything runs in every step.
        calm: The network up to the frontier of evaluation: the same, or where there is none, one of its own.
        values: What the variables held that the steps must not move.
        why: How much of the network runs again.
        again: Whether the network is run through in every epoch.
    """

    arm: Arm
    tried: tf.Tensor
    fit: Pass
    prefix: Prefix | None
    calm: Prefix | None
    values: tuple[tf.Tensor, ...]
    why: str
    again: bool

    @property
    def unmoved(self) -> bool:
        """Whether everything before it is as it was."""
        return _equal(self.values, values_of(self._variables))

    @property
    def before(self) -> frozenset[int]:
        """The variables before it, by ``id``, but for the states of generators."""
        return frozenset(map(id, self._variables))

    @property
    def _variables(self) -> list[Any]:
        last = self.calm or self.prefix
        return _before(self.arm.model, None if last is None else last.found)


@dataclass(frozen=True, slots=True)
class Cuts:
    """Cuts that were found.

    Attributes:
        known: For the same arm with other weights behind the cut; by model and data.
        prefixes: Networks up to a cut, for arms that were built on the same backbone; by layers and data. With the arm
            that each is of, and what it held before the cut.
        graphs: Their graphs, by what decides these.
        kept: What was computed with them.
    """

    known: dict[tuple[int, ...], Cut] = field(default_factory=dict)
    prefixes: dict[tuple[object, ...], tuple[Arm, tuple[tf.Tensor, ...], Prefix]] = field(default_factory=dict)
    graphs: dict[str, dict[tuple[int | None, bool], tuple[Traced, tuple[Any, ...]]]] = field(default_factory=dict)
    kept: Memo[Any] = field(default_factory=lambda: Memo(_bytes, _MOST_BYTES))


@dataclass(frozen=True, slots=True)
class _Way:
    """Where the steps of training and of evaluation may start; how to say it."""

    train: Frontier | None
    calm: Frontier | None
    why: str
    again: bool = True


def cut_of(arm: Arm, tables: Tables, cuts: Cuts) -> Cut:
    """Where the arm's network is cut, found out once for a model, its data and what stands before the cut.

    Args:
        arm: The arm, built.
        tables: What it is fed.
        cuts: Cuts of before, where this one is kept as well.
    """
    split = arm.validation
    trained = hash(tuple(variable.trainable for variable in arm.model.variables))  # a later phase may train more of it
    epochs = int(arm.fit.get("epochs", 1))
    fed = id(arm.train.feed.rows), id(split.feed.rows) if split else 0, tables.order.size, tables.validated, epochs
    key = id(arm.model), trained, *fed
    known = cuts.known.get(key)
    if known is not None and known.unmoved:
        return known
    tried = tf.gather(tables.train[0], np.arange(TRIED) % len(tables.train[0]))
    fit = run_through(arm.model, tried, training=True)
    way = _way(arm, tried, fit, tables, epochs)
    prefix = None if way.train is None else _prefix(arm, fit, way.train, tried, cuts)
    calm = prefix if way.calm is way.train else None if way.calm is None else _prefix(arm, fit, way.calm, tried, cuts)
    held = tuple(values_of(_before(arm.model, way.calm or way.train)))
    cuts.known[key] = cut = Cut(arm, tried, fit, prefix, calm, held, way.why, way.again)
    return cut


def _way(arm: Arm, tried: tf.Tensor, fit: Pass, tables: Tables, epochs: int) -> _Way:
    """The way that leaves least to run again, of those whose features can be kept; mostly both frontiers are one."""
    model = arm.model
    if arm.name == "bottleneck":
        return _Way(None, None, "all that is trained on stored features was run in every step")
    if not has_plain_steps(model):
        return _Way(None, None, f"{_ALL}, because the model has steps of its own")
    calm = run_through(model, tried, training=False)
    still = find_frontier(model, tried, fit, calm)
    moved, seeds = _moved_before_weights(model, fit), {id(each) for each in variables_of(model) if is_seed(each)}
    further = still
    # Statistics move with the order of the samples; generators with the seed as well, so that fewer trainings share it.
    for besides in dict.fromkeys((moved - seeds, moved)):
        found = find_frontier(model, tried, fit, calm, besides=besides) if besides else None
        if found is not None and _spares(found, further, fit):
            further = found
    if further is not None and further is not still:
        each = epoch_by_epoch(tables, epochs, follows=not moved <= seeds)
        if _keeps(further, each, training=True) and _keeps(further, each, training=False):
            return _Way(further, further, f"all up to {further.path} was run by itself, epoch by epoch")
    if still is None:
        found = find_calm_frontier(model, tried, fit, calm)
        found = found if found is not None and _keeps(found, tables, training=False) else None
        return _Way(None, found, f"{_ALL}, because it changes from its first layers on")
    evaluated = still if _keeps(still, tables, training=False) else None
    if _keeps(still, tables, training=True):
        return _Way(still, evaluated, f"all up to {still.path} was run once", again=False)
    return _Way(None, evaluated, f"{_ALL}, because the output of {still.path} is too large to keep")


def _moved_before_weights(model: keras.Model, fit: Pass) -> frozenset[int]:
    """The variables that move before the last frozen weights: what moves behind these may as well run again."""
    trained = {id(variable) for variable in model.trainable_variables}
    moved: set[int] = set()
    before: set[int] = set()
    for call in fit.calls:
        held = [variable for variable in variables_of_layer(call.layer) if not is_seed(variable)]
        if trained & set(map(id, held)):
            break
        moved |= fit.moved & set(map(id, variables_of_layer(call.layer)))
        before = set(moved) if held else before
    return frozenset(before)


def _spares(further: Frontier, found: Frontier | None, fit: Pass) -> bool:
    """Whether a layer with weights runs behind one frontier and not behind the other."""
    left = {call.path for call in further.calls}
    return any(
        call.path not in left and not all(map(is_seed, variables_of_layer(call.layer)))
        for call in (fit.calls if found is None else found.calls)
    )


def _keeps(found: Frontier, tables: Tables, *, training: bool) -> bool:
    """Whether the features of all passes through a split can be kept."""
    split, taken = (tables.train, tables.order.size) if training else (tables.validation, tables.validated)
    if split is None:
        return True
    images = int(np.prod(split[0].shape)) * int(split[0].dtype.size)
    return int(np.prod(found.shape)) * int(found.feature.dtype.size) * taken <= max(_MOST_BYTES, images)


def _prefix(arm: Arm, fit: Pass, found: Frontier, tried: tf.Tensor, cuts: Cuts) -> Prefix:
    """The arm's network up to a cut; of an arm before that was built on the same backbone, where all of it is the same.

    Args:
        arm: The arm.
        fit: A pass of its network, with all its calls.
        found: Where it is cut.
        tried: The samples of that pass.
        cuts: Where it is kept.
    """
    if arm.made_by is not None:  # whose layers may be called in any way
        return Prefix(arm.model, found, alike_before(arm.model, fit, found, tried)[1], cuts.kept)
    splits = (arm.train, arm.validation)
    fed = tuple(0 if split is None else id(split.feed.rows) for split in splits)
    before = {found.path, *found.skipped}
    made_of = tuple((call.path, call.flag, _made_of(call.layer)) for call in fit.calls if call.path in before)
    key = (found.path, found.shape, *fed, made_of)
    values = tuple(values_of(_before(arm.model, found)))
    known = cuts.prefixes.get(key)
    if known is None or not _equal(known[1], values):
        like, variables = alike_before(arm.model, fit, found, tried)
        # With the arm, so that nothing else can take the place of its layers and rows in memory.
        graphs = {} if like is None else cuts.graphs.setdefault(like, {})
        cuts.prefixes[key] = known = arm, values, Prefix(arm.model, found, variables, cuts.kept, graphs)
    return replace(known[2], found=found)  # what lies behind it is this arm's own


def _made_of(layer: keras.Operation) -> object:
    """What a layer is: itself, or where it is one of Keras' that holds nothing, its configuration."""
    if isinstance(layer, keras.layers.Layer):
        alone = not layer.variables and not layer._flatten_layers(include_self=False)  # noqa: SLF001  (no public list)
        if alone and type(layer).__module__.startswith("keras."):
            return repr((type(layer), layer.get_config()))
        return id(layer), tuple(variable.trainable for variable in layer.variables)
    return id(layer)


def _equal(values: Sequence[tf.Tensor], others: Sequence[tf.Tensor]) -> bool:
    return len(values) == len(others) and all(
        same_memory(one, other) or np.array_equal(one.numpy(), other.numpy(), equal_nan=True)
        for one, other in zip(values, others, strict=True)
    )


def _before(model: keras.Model, found: Frontier | None) -> list[Any]:
    """The variables that training must not move, because what they make is stored.

    What lies before the frontier of evaluation alone may draw, while it is trained, and so move a generator.
    """
    if found is None:
        return []
    behind = {id(variable) for call in found.calls for variable in variables_of_layer(call.layer)}
    behind |= {id(variable) for variable in (*model.metrics_variables, *model.optimizer.variables)}
    return [variable for variable in variables_of(model) if id(variable) not in behind and not is_seed(variable)]
