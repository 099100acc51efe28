"""Loss and metrics are built on the shape of the output, as Keras builds them on the output itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.mark.parametrize("name", ["bottleneck", "frozen"])
@pytest.mark.parametrize(
    "patch",
    [
        {},
        {"labels": "one_hot", "training.loss": "categorical_crossentropy"},
        {"labels": "one_hot", "training.loss": "binary_crossentropy", "keras_semantics": "2.1"},
        {"training.optimizer": {"name": "adam"}, "backbone.freeze": False},
        {"training.class_weight": {"0": 2.0}},
    ],
    ids=str,
)
def test_the_same_variables_as_by_a_pass(tiny, name, patch):
    from equivcheck.arms.build import Builder
    from equivcheck.replay.eligible import build
    from equivcheck.trace.state import variables_of

    made = []
    for made_by in (None, "theirs:network"):  # whose network Keras runs to build the rest
        arm = replace(Builder(resolve(tiny.patched(patch))).build(name), made_by=made_by)
        build(arm)
        metrics = [
            (type(one), one.name) for metric in arm.model.metrics for one in getattr(metric, "metrics", [metric])
        ]
        held = [
            (variable.path.rpartition("/")[2], variable.shape, variable.dtype) for variable in variables_of(arm.model)
        ]
        made.append((metrics, held))
    assert made[0] == made[1]
