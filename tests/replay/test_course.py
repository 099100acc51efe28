"""A network before whose frontier something moves is run through once for all trainings of one order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

NOISE = {"frozen.augmentation": [{"gaussian_noise": {"stddev": 0.1}}]}
LEGACY = {"frozen.keras_semantics": "2.1"}
ONE_HOT = {"labels": "one_hot", "training.loss": "categorical_crossentropy"}


@pytest.fixture
def built(tiny):
    """Frozen arms of one spec with further patches, on one base where that can be."""
    from equivcheck.arms.build import Builder

    shared = Builder(resolve(tiny), shares=True)
    return lambda *patches: replace(
        shared, experiment=resolve(tiny.patched({key: value for patch in patches for key, value in patch.items()}))
    ).build("frozen")


@pytest.fixture
def runs(monkeypatch):
    """The epochs of each network that was run through."""
    from equivcheck.replay import supply

    told, plain = [], supply.course_of

    def counted(prefix, x, order, **keywords):
        before = len(list(prefix.kept.finished()))
        course = plain(prefix, x, order, **keywords)
        if len(list(prefix.kept.finished())) > before:
            told.append(len(order))
        return course

    monkeypatch.setattr(supply, "course_of", counted)
    return told


def trained(arm, rehearsals):
    from equivcheck.replay.training import train
    from equivcheck.trace.state import undisturbed

    with undisturbed(arm.model):
        training = train(arm, lambda *_: None, rehearsals=rehearsals)
    assert training.how == "compiled", training.why
    return training


def by_fit(arm):
    from equivcheck.replay.training import train_by_fit
    from equivcheck.trace.state import undisturbed

    with undisturbed(arm.model):
        return train_by_fit(arm, lambda *_: None).curves


@pytest.mark.parametrize("patch", [NOISE, LEGACY])
def test_trainings_that_take_one_order_share_it(built, runs, patch):
    from equivcheck.replay.rehearse import Rehearsals

    kept, arms = (
        Rehearsals(),
        [built(patch), built(patch, ONE_HOT), built(patch, {"training.optimizer": {"name": "sgd"}})],
    )
    given = [trained(arm, kept) for arm in arms]
    assert len(runs) == 1
    assert given[0].why.endswith("was run by itself, epoch by epoch")
    assert [training.curves for training in given] == [by_fit(arm) for arm in arms]


@pytest.mark.parametrize("patch", [NOISE, LEGACY])
@pytest.mark.parametrize("changed", [False, True])
def test_networks_made_anew_share_it_where_they_hold_the_same(tiny, runs, patch, changed):
    """As arms in phases are; what moved is put into each one's own variables."""
    from equivcheck.arms.build import Builder
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train, train_by_fit
    from equivcheck.trace.state import variables_of

    builder = Builder(resolve(tiny.patched(patch)), shares=True)  # of its images
    arms = []
    for weighted in (False, changed, changed):
        builder.bases.clear()
        builder.fronts.clear()
        arms.append(builder.build("frozen"))
        if weighted:
            kernel = next(each for each in arms[-1].model.non_trainable_variables if "kernel" in each.path)
            kernel.assign(2 * kernel)
    first, second, expected = arms
    kept = Rehearsals()
    trained(first, kept)
    curves = train(second, lambda *_: None, rehearsals=kept).curves
    assert len(runs) == 1 + changed
    assert curves == train_by_fit(expected, lambda *_: None).curves
    for ours, theirs in zip(variables_of(second.model), variables_of(expected.model), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    ("patch", "other"),
    [
        (NOISE, {"training.seed": 5}),  # other draws, and another order
        (LEGACY, {"training.seed": 5}),
        (LEGACY, {"training.shuffle": False}),
        (LEGACY, {"training.epochs": 4}),
    ],
)
def test_another_order_has_its_own(built, runs, patch, other):
    from equivcheck.replay.rehearse import Rehearsals

    kept, arms = Rehearsals(), [built(patch), built(patch, other)]
    given = [trained(arm, kept).curves for arm in arms]
    assert len(runs) == 2
    assert given == [by_fit(arm) for arm in arms]


def test_statistics_that_follow_an_order_do_so_for_all_seeds(built, runs, tiny):
    from equivcheck.arms.reseeded import reseeded
    from equivcheck.replay.rehearse import Rehearsals

    still = {"training.shuffle": False}
    kept, arm = Rehearsals(), built(LEGACY, still)
    first = trained(arm, kept)
    other = reseeded(arm, resolve(tiny.patched({**LEGACY, **still, "training.seed": 7})).frozen)
    assert other is not None
    second = trained(other, kept)
    assert len(runs) == 1
    assert second.curves == by_fit(other)
    assert second.curves != first.curves  # another head


@pytest.mark.parametrize(("patch", "follows"), [(NOISE, False), (LEGACY, True)])
@pytest.mark.parametrize("size", [1, 7, 8])
def test_its_outline_is_what_is_computed_then(built, patch, follows, size):
    """Of evaluation too, which depends on statistics and not on draws."""
    from equivcheck.replay.cut import Cuts, cut_of
    from equivcheck.replay.eligible import build
    from equivcheck.replay.rehearse import held_by
    from equivcheck.replay.supply import supply
    from equivcheck.replay.tables import tables_of

    arm = built(patch, {"training.batch_size": size, "training.epochs": 2})
    build(arm)
    tables = tables_of(arm)
    cut = cut_of(arm, tables, Cuts())
    supplied = supply(cut.prefix, cut.calm, tables, 2)
    given, course = supplied.tables(held_by(arm.model), lambda *_: None)
    assert supplied.follows == follows
    assert supplied.outline.specification == given.specification
    for outlined, computed in zip(supplied.outline.train, given.train, strict=True):
        assert tuple(outlined.shape) == tuple(computed.shape)
    for one, other in zip(given.validation, supplied.outline.validation, strict=True):
        assert tuple(one.shape) == tuple(other.shape)
    assert len(course.held) == len(given.order) == 2
    assert (given.validation_order is not None) == follows
    before = held_by(arm.model)
    moved = {id(variable) for variable, _ in course.behind(2)}
    assert moved
    assert moved <= before.keys()
