"""What an optimizer keeps for each variable: momenta, averages, accumulated gradients."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt


def slots_of(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]
) -> dict[tuple[int, str], npt.NDArray[Any]]:
    """The values of the slots of some variables, by the variable's number and the slot's name (``momentum``, ...)."""
    return {place: np.array(slot) for place, slot in slot_variables(optimizer, variables).items()}


def slot_variables(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]
) -> dict[tuple[int, str], keras.Variable]:
    """The slots themselves.

    Keras names a slot after its variable's path (``add_variable_from_reference``); that is the only public tie between
    the two. Of variables with equal paths the slots come in the variables' order.
    """
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, variable in enumerate(variables):
        numbers[variable.path.replace("/", "_")].append(number)
    taken: Counter[tuple[str, str]] = Counter()
    slots = {}
    for slot in optimizer.variables:
        prefix = max((path for path in numbers if slot.name.startswith(f"{path}_")), key=len, default=None)
        if prefix is None:
            continue
        name = slot.name.removeprefix(f"{prefix}_")
        place = taken[prefix, name]
        taken[prefix, name] += 1
        if place < len(numbers[prefix]):
            slots[numbers[prefix][place], name] = slot
    return slots
