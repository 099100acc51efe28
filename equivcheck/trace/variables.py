"""Which variables a training step moved, and how many scalars each arm trains."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import keras
import numpy as np

from equivcheck.arms.arm import Arm
from equivcheck.evidence import Region, VariableTrace
from equivcheck.measured import ParameterCount
from equivcheck.trace.behaviour import is_seed
from equivcheck.trace.hooks import layers_by_path
from equivcheck.trace.step import Step


def trace_variables(
    model: keras.Model,
    step: Step,
    regions: Mapping[str, Region],
    prefix: str = "",
    *,
    wanted: Collection[int] = (),
) -> tuple[VariableTrace, ...]:
    """Every weight and statistic of a model across one step; seed states are left out.

    Args:
        model: The outer model.
        step: Its training step.
        regions: Part of the network by layer path (without ``prefix``); the head where it is not listed.
        prefix: Put before each path.
        wanted: By ``id``, the variables that a step which is traced afresh would move.
    """
    owner = owners_of(model)
    trained = {id(variable) for variable in model.trainable_variables}
    found = []
    for variable in model.variables:
        if is_seed(variable) or id(variable) not in owner:
            continue
        path, layer = owner[id(variable)]
        found.append(
            VariableTrace(
                path=f"{prefix}{path}/{variable.name}",
                layer=prefix + path,
                region=regions.get(path, "head"),
                size=int(np.prod(variable.shape, dtype=np.int64)),
                trainable=id(variable) in trained,
                statistic=_is_statistic(variable, layer),
                change=step.change.get(id(variable), 0.0),
                wanted=id(variable) in wanted,
            )
        )
    return tuple(found)


def owners_of(model: keras.Model) -> dict[int, tuple[str, keras.layers.Layer]]:
    """Path and innermost layer of each variable, by ``id`` of the variable."""
    owner: dict[int, tuple[str, keras.layers.Layer]] = {}
    for path, layer in layers_by_path(model).items():
        # A layer with sub-layers is listed before them, so each variable ends up with its innermost layer.
        if isinstance(layer, keras.layers.Layer):  # a plain operation has no variables
            owner |= {id(variable): (path, layer) for variable in layer.variables}
    return owner


def _is_statistic(variable: keras.Variable, layer: keras.layers.Layer) -> bool:
    """A variable that its layer created as not trainable; freezing a layer does not make a weight one."""
    return any(variable is other for other in layer._non_trainable_variables)  # noqa: SLF001  (no public list of them)


def count_parameters(arm: Arm, variables: tuple[VariableTrace, ...]) -> ParameterCount:
    """Scalars of backbone and head together; the bottleneck arm's backbone is outside its ``fit`` and so frozen."""
    backbone = arm.extractor.count_params() if arm.extractor is not None else 0
    return ParameterCount(
        trainable=sum(variable.size for variable in variables if variable.trainable),
        frozen=backbone + sum(variable.size for variable in variables if not variable.trainable),
        moved=sum(variable.size for variable in variables if variable.change > 0),
    )
