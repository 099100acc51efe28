"""Random layers that draw the same in both models, so that a mask does not pass for a difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import keras

from equivcheck.diff.align import Pair
from equivcheck.trace.behaviour import is_seed, variables_of_layer
from equivcheck.trace.layers import Seen


def draw_alike(left: Sequence[Seen], right: Sequence[Seen], pairs: Sequence[Pair]) -> None:
    """Sets the seed states of the second model's layers to those of their partners."""
    for i, j in pairs:
        if i is not None and j is not None:
            ours, theirs = seeds_of(left[i].layer), seeds_of(right[j].layer)
            if len(ours) == len(theirs):
                for seed, other in zip(ours, theirs, strict=True):
                    other.assign(seed)


def seeds_of(layer: keras.Operation) -> list[keras.Variable]:
    """States of the random generators of a layer."""
    return [variable for variable in variables_of_layer(layer) if is_seed(variable)]


@contextmanager
def shared_draws(first: keras.Model, second: keras.Model) -> Iterator[None]:
    """Lets generators that both models use draw the same each time, not on from where the first model ended."""
    shared = _generators(first).keys() & _generators(second).keys()
    with ExitStack() as stack:
        for number in shared:
            stack.enter_context(_still(_generators(first)[number]))
        yield


def _generators(model: keras.Model) -> dict[int, keras.random.SeedGenerator]:
    return {
        id(generator): generator
        for layer in model._flatten_layers()  # noqa: SLF001  (no public list of either)
        for generator in layer._seed_generators  # noqa: SLF001
    }


@contextmanager
def _still(generator: keras.random.SeedGenerator) -> Iterator[None]:
    def same(ordered: bool = True) -> Any:  # noqa: ARG001, FBT001, FBT002  (as Keras calls it)
        return keras.ops.copy(generator.state.value)

    generator.__dict__["next"] = same
    try:
        yield
    finally:
        del generator.__dict__["next"]
