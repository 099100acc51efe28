"""Where an arm's network is cut: what lies before is run by itself, for all trainings that it is the same for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from equivcheck.arms.arm import Arm
from equivcheck.replay.compiled import Tables
from equivcheck.replay.course import Values
from equivcheck.replay.features import Graphs, Prefix, Shared, bytes_of
from equivcheck.replay.frontier import TRIED, Frontier, Pass, find_calm_frontier, find_frontier, run_through
from equivcheck.replay.key import Digests
from equivcheck.replay.likeness import adapted_to, alike_before, before, held_in
from equivcheck.replay.memo import Memo
from equivcheck.replay.spare import Spare
from equivcheck.replay.supply import epoch_by_epoch
from equivcheck.trace.behaviour import is_seed, variables_of_layer
from equivcheck.trace.hooks import layers_by_path
from equivcheck.trace.memory import hold_the_same, values_of
from equivcheck.trace.state import variables_of
from equivcheck.trace.stock import has_plain_steps, is_stock

#: Most memory that stored features may take, in bytes, unless the images themselves take more; and all that are kept.
_MOST_BYTES = 1 << 30

_ALL = "the whole network was run in every step"


def _bytes(kept: Any) -> int:
    """Memory of what was computed: a table, or one of ours that says it."""
    return bytes_of(kept) if isinstance(kept, tf.Tensor) else int(kept.bytes)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where an arm's network is cut.

    Attributes:
        arm: The arm, so that nothing else can take its place in memory.
        tried: The samples of its pass.
        fit: The pass of its ``train_step``.
        prefix: The network up to the frontier; None where everything runs in every step.
        calm: The network up to the frontier of evaluation: the same, or where there is none, one of its own.
        fixed: The variables that the steps must not move: those before it, but for the states of generators.
        values: What they held.
        unseen: Paths of the layers of which no generator moved in the pass.
        made: Numbers that the layers of one step make for a sample: of the whole network, and of what is run again.
        why: How much of the network runs again.
        again: Whether the network is run through in every epoch.
    """

    arm: Arm
    tried: tf.Tensor
    fit: Pass
    prefix: Prefix | None
    calm: Prefix | None
    fixed: tuple[Any, ...]
    values: tuple[tf.Tensor, ...]
    unseen: frozenset[str]
    made: tuple[int, int]
    why: str
    again: bool

    def unmoved(self, held: Values | None = None) -> bool:
        """Whether everything before it is as it was.

        Args:
            held: What the model's variables hold, where that is known.
        """
        return hold_the_same(
            self.values, values_of(self.fixed) if held is None else [held[id(each)] for each in self.fixed]
        )


@dataclass(frozen=True, slots=True)
class Cuts:
    """Cuts that were found.

    Attributes:
        known: For the same arm with other weights behind the cut; by model and data.
        tried: Where networks can be cut, for others of the same layers; by everything that decides that.
        prefixes: Networks up to a cut, for arms that have the same one; by layers, weights and data. With the arm that
            each is of.
        graphs: Their graphs, by what decides these but for the size of batches.
        kept: What was computed with them.
        spare: Variables to compute with in the place of theirs.
        digests: What of their models was digested.
    """

    known: dict[tuple[int, ...], Cut] = field(default_factory=dict)
    tried: dict[tuple[object, ...] | None, _Tried] = field(default_factory=dict)
    prefixes: dict[tuple[object, ...], tuple[Arm, Prefix]] = field(default_factory=dict)
    graphs: dict[str, Graphs] = field(default_factory=dict)
    kept: Memo[Any] = field(default_factory=lambda: Memo(_bytes, _MOST_BYTES))
    spare: Spare = field(default_factory=Spare)
    digests: Digests = field(default_factory=Digests)


@dataclass(frozen=True, slots=True)
class _Way:
    """Where the steps of training and of evaluation may start; how to say it."""

    train: Frontier | None
    calm: Frontier | None
    why: str
    again: bool = True


@dataclass(frozen=True, slots=True)
class _Tried:
    """A network, and where passes showed that it can be cut.

    Attributes:
        x: The samples of the passes.
        fit: The pass of its ``train_step``.
        test: The pass of its ``test_step``; None where the network is not cut at all.
        moved: Where the variables that moved belong: the path of a layer, and a place among its variables.
        still: The frontier before which nothing moves.
        further: One behind it, where what moves before it is run through epoch by epoch.
        calm: The frontier of evaluation alone, where there is none before which nothing moves.
        follows: Whether more than generators moves.
        why: Why the network is not cut at all.
        likes: What decides the graph up to a call, by its path and whether it is one of training; of all networks of
            the same layers.
    """

    x: tf.Tensor
    fit: Pass
    test: Pass | None = None
    moved: tuple[tuple[str, int], ...] = ()
    still: Frontier | None = None
    further: Frontier | None = None
    calm: Frontier | None = None
    follows: bool = False
    why: str = ""
    likes: dict[tuple[str, bool], str | None] = field(default_factory=dict)

    def of(self, model: keras.Model) -> _Tried:
        """The same of another network of the same layers."""
        layers = layers_by_path(model)
        moved = frozenset(id(variables_of_layer(layers[path])[place]) for path, place in self.moved)
        still, further, calm = (
            None if each is None else each.of(layers) for each in (self.still, self.further, self.calm)
        )
        fit, test = self.fit.of(layers, moved), self.test and self.test.of(layers, frozenset())
        return replace(self, fit=fit, test=test, still=still, further=further, calm=calm)


def cut_of(arm: Arm, tables: Tables, cuts: Cuts, held: Values | None = None) -> Cut:
    """Where the arm's network is cut, found out once for a model, its data and what stands before the cut.

    Args:
        arm: The arm, built.
        tables: What it is fed.
        cuts: Cuts of before, where this one is kept as well.
        held: What the model's variables hold, where that is known.
    """
    split = arm.validation
    trained = hash(tuple(variable.trainable for variable in arm.model.variables))  # a later phase may train more of it
    epochs = int(arm.fit.get("epochs", 1))
    fed = id(arm.train.feed.rows), id(split.feed.rows) if split else 0, tables.order.size, tables.validated, epochs
    key = id(arm.model), trained, *fed
    known = cuts.known.get(key)
    if known is not None and known.unmoved(held):
        return known
    tried = _tried(arm, tables.train[0], cuts)
    fit, way = tried.fit, _way(tried, tables, epochs)
    prefix = None if way.train is None else _prefix(arm, tried, way.train, cuts)
    calm = prefix if way.calm is way.train else None if way.calm is None else _prefix(arm, tried, way.calm, cuts)
    fixed = tuple(_before(arm.model, way.calm or way.train))
    unseen = frozenset(call.path for call in fit.calls if not fit.moved & _seeds(call.layer))
    made = fit.made, (fit if way.train is None else way.train).made
    values = tuple(values_of(fixed))
    cuts.known[key] = cut = Cut(arm, tried.x, fit, prefix, calm, fixed, values, unseen, made, way.why, way.again)
    return cut


def _tried(arm: Arm, x: tf.Tensor, cuts: Cuts) -> _Tried:
    """Where the arm's network can be cut; of networks of the same layers one is tried for all.

    Args:
        arm: The arm.
        x: What its training is fed.
        cuts: Where that is kept.
    """
    alike = _decides_frontiers(arm, x, cuts.digests)
    if alike in cuts.tried:
        return cuts.tried[alike].of(arm.model)
    tried = _frontiers(arm, tf.gather(x, np.arange(TRIED) % len(x)))
    moved = {
        id(variable): (call.path.partition("#")[0], place)
        for call in tried.fit.calls
        for place, variable in enumerate(variables_of_layer(call.layer))
    }
    if alike is not None and tried.fit.moved <= moved.keys():
        cuts.tried[alike] = replace(tried, moved=tuple(moved[each] for each in tried.fit.moved))
    return tried


def _decides_frontiers(arm: Arm, x: tf.Tensor, digests: Digests) -> tuple[object, ...] | None:
    """All that decides where a network can be cut; None where code of the user's does."""
    model = arm.model
    if arm.made_by is not None or not is_stock(model):
        return None
    try:
        layers = digests.network(model)
    except (TypeError, ValueError, NotImplementedError):  # something that only its own class could describe
        return None
    parts = model._flatten_layers()  # noqa: SLF001  (no public list)
    flags = tuple((layer.trainable, adapted_to(layer)) for layer in parts)
    return arm.name, type(model), layers, flags, tuple(x.shape[1:]), x.dtype


def _frontiers(arm: Arm, x: tf.Tensor) -> _Tried:
    """Where the arm's network can be cut, tried with a few samples."""
    model = arm.model
    fit = run_through(model, x, training=True)
    if arm.name == "bottleneck":
        return _Tried(x, fit, why="all that is trained on stored features was run in every step")
    if not has_plain_steps(model):
        return _Tried(x, fit, why=f"{_ALL}, because the model has steps of its own")
    calm = run_through(model, x, training=False)
    still = find_frontier(model, x, fit, calm)
    moved, seeds = _moved_before_weights(model, fit), {id(each) for each in variables_of(model) if is_seed(each)}
    further = still
    # Statistics move with the order of the samples; generators with the seed as well, so that fewer trainings share it.
    for besides in dict.fromkeys((moved - seeds, moved)):
        found = find_frontier(model, x, fit, calm, besides=besides) if besides else None
        if found is not None and _spares(found, further, fit):
            further = found
    return _Tried(
        x,
        fit,
        calm,
        still=still,
        further=None if further is still else further,
        calm=find_calm_frontier(model, x, fit, calm) if still is None else None,
        follows=not moved <= seeds,
    )


def _way(tried: _Tried, tables: Tables, epochs: int) -> _Way:
    """The way that leaves least to run again, of those whose features can be kept; mostly both frontiers are one."""
    still, further = tried.still, tried.further
    if tried.why:
        return _Way(None, None, tried.why)
    if further is not None:
        each = epoch_by_epoch(tables, epochs, follows=tried.follows)
        if _keeps(further, each, training=True) and _keeps(further, each, training=False):
            return _Way(further, further, f"all up to {further.path} was run by itself, epoch by epoch")
    if still is None:
        found = tried.calm if tried.calm is not None and _keeps(tried.calm, tables, training=False) else None
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


def _prefix(arm: Arm, tried: _Tried, found: Frontier, cuts: Cuts) -> Prefix:
    """The arm's network up to a cut; what is kept of one serves all that are made and weighted alike and fed the same.

    Args:
        arm: The arm.
        tried: Its network, with all calls of both passes.
        found: Where it is cut.
        cuts: Where it is kept.
    """
    modes = (True, False)
    if arm.made_by is not None:  # whose layers may be called in any way
        return Prefix(arm.model, found, {training: Shared(()) for training in modes}, cuts.kept, cuts.spare)
    alike = {training: _alike(arm.model, tried, found.path, training=training) for training in modes}
    likes = tuple(like for like, _ in alike.values())
    splits = (arm.train, arm.validation)
    fed = tuple(0 if split is None else id(split.feed.rows) for split in splits)
    unknown = None in likes
    fixed = _before(arm.model, found)
    values = b"".join(map(cuts.digests.value, fixed, values_of(fixed)))
    made_of = _made_before(tried.fit, found) if unknown else likes
    key = (found.path, found.shape, *fed, made_of, values)
    shared = {
        training: Shared(each, {} if like is None else cuts.graphs.setdefault(like, {}))
        for training, (like, each) in alike.items()
    }
    own = Prefix(arm.model, found, shared, cuts.kept, cuts.spare)
    # With the arm, so that nothing else can take the place of its layers and rows in memory.
    _, known = cuts.prefixes.setdefault(key, (arm, own))
    if unknown:
        return replace(known, found=found)  # the same layers; what lies behind it is this arm's own
    return replace(own, name=known.name)


def _alike(model: keras.Model, tried: _Tried, path: str, *, training: bool) -> tuple[str | None, tuple[Any, ...]]:
    """What ``alike_before`` says of one pass; the text was made for another network of the same layers, mostly."""
    passed = tried.fit if training else tried.test
    assert passed is not None
    calls = before(passed, path)
    if (path, training) not in tried.likes:
        tried.likes[path, training] = alike_before(model, calls, tried.x)
    return tried.likes[path, training], held_in(calls)


def _made_before(fit: Pass, found: Frontier) -> tuple[object, ...]:
    """What the layers up to a frontier are, where no text describes them."""
    skipped = {found.path, *found.skipped}
    return tuple((call.path, call.flag, _made_of(call.layer)) for call in fit.calls if call.path in skipped)


def _made_of(layer: keras.Operation) -> object:
    """What a layer is: itself, or where it is one of Keras' that holds nothing, its configuration."""
    if isinstance(layer, keras.layers.Layer):
        alone = not layer.variables and not layer._flatten_layers(include_self=False)  # noqa: SLF001  (no public list)
        if alone and type(layer).__module__.startswith("keras."):
            return repr((type(layer), layer.get_config()))
        return id(layer), tuple(variable.trainable for variable in layer.variables)
    return id(layer)


def _seeds(layer: keras.Operation) -> set[int]:
    """The states of a layer's generators, by ``id``."""
    return {id(variable) for variable in variables_of_layer(layer) if is_seed(variable)}


def _before(model: keras.Model, found: Frontier | None) -> list[Any]:
    """The variables that training must not move, because what they make is stored.

    What lies before the frontier of evaluation alone may draw, while it is trained, and so move a generator.
    """
    if found is None:
        return []
    behind = {id(variable) for call in found.calls for variable in variables_of_layer(call.layer)}
    behind |= {id(variable) for variable in (*model.metrics_variables, *model.optimizer.variables)}
    return [variable for variable in variables_of(model) if id(variable) not in behind and not is_seed(variable)]
