"""Makes a repair a patch that a person can paste: what a check could only point at is looked up in the spec."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

from equivcheck.findings import ArmName, AsTrained, Patch, SameAs
from equivcheck.spec import ArmSpec, CodeArm, Experiment
from equivcheck.spec.keras_names import preprocessing_of

_MISSING = object()


def concrete(patch: Patch, experiment: Experiment) -> Patch | None:
    """The patch with every ``SameAs`` and ``AsTrained`` replaced by values of this spec.

    Args:
        patch: As a check gave it.
        experiment: The spec.

    Returns:
        Only the keys that change something; None where nothing can be patched because an arm comes from code.
    """
    found: dict[str, Any] = {}
    for key, value in patch.items():
        arm, _, rest = key.partition(".")
        if arm not in {"bottleneck", "frozen"}:
            found[key] = value
            continue
        name = cast("ArmName", arm)
        if isinstance(getattr(experiment, name), CodeArm):
            return None
        source = value.arm if isinstance(value, SameAs) else name
        target = _target(experiment, name, rest, source)
        if isinstance(value, SameAs):
            if isinstance(getattr(experiment, value.arm), CodeArm):
                return None
            wanted = _value(experiment, value.arm, experiment.written_in_phase(value.arm, rest))
            if wanted is None:
                # Nothing is written there: the arm's own line has to go.
                if _value(experiment, name, target) is not None:
                    found[f"{arm}.{target}"] = None
                continue
        elif isinstance(value, AsTrained):
            wanted = _as_trained(getattr(experiment, name))
        else:
            # What is frozen is not unfrozen.
            wanted = False if target.endswith(".unfreeze") and value is True else value
        if wanted != _value(experiment, name, target):
            found[f"{arm}.{target}"] = wanted
    return found or None


def _target(experiment: Experiment, arm: ArmName, key: str, source: ArmName) -> str:
    """The key that a patch of one arm has to write: that of the phase where this arm, or the source, says it there."""
    written = experiment.written_in_phase(arm, key)
    if written == key and experiment.phase in experiment.phases_of(arm):
        return experiment.written_in_phase(source, key)
    return written


def _value(experiment: Experiment, arm: ArmName, key: str) -> Any:
    """What the spec gives an arm's key, as written; the default, or None, where it is not written."""
    value: Any = experiment.merged[arm].data
    for part in key.split("."):
        value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
        if value is _MISSING:
            return _default(getattr(experiment, arm), key)
    return deepcopy(value)


def _default(spec: ArmSpec, key: str) -> Any:
    value: Any = spec
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _as_trained(spec: ArmSpec) -> Any:
    own = spec.backbone.trained_with
    wanted = (
        {"application": preprocessing_of(str(spec.backbone.application))}
        if own is None
        else own.model_dump(mode="json", exclude_defaults=True)
    )
    order = "rgb" if own is None else own.channel_order
    # A shared line would hold on.
    if spec.preprocessing is not None and spec.preprocessing.channel_order != order:
        wanted["channel_order"] = order
    return wanted
