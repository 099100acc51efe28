"""Moving statistics that follow batches are worked out from one run of each, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

LEGACY = {"frozen.keras_semantics": "2.1"}
STILL = {**LEGACY, "training.shuffle": False, "training.epochs": 4}
OTHERS_IN_EVERY_EPOCH = {
    "frozen.keras_semantics": "1.2",
    "frozen.training.shuffle": False,
    "frozen.training.samples_per_epoch": 10,  # of 20
    "training.batch_size": 5,
    "training.epochs": 4,
}
ONE_BY_ONE = {**LEGACY, "training.batch_size": 1, "training.epochs": 3}


def as_it_is(model):
    del model


def supplied_of(experiment, change):
    """The arm's network up to its cut, its data, and what variables hold."""
    from equivcheck.arms.build import Builder
    from equivcheck.replay.cut import Cuts, cut_of
    from equivcheck.replay.eligible import build
    from equivcheck.replay.rehearse import held_by
    from equivcheck.replay.supply import supply
    from equivcheck.replay.tables import tables_of

    arm = Builder(experiment).build("frozen")
    change(arm.model)
    build(arm)
    tables = tables_of(arm)
    cut = cut_of(arm, tables, Cuts())
    return supply(cut.prefix, cut.calm, tables, int(arm.fit["epochs"])), held_by(arm.model)


def courses(experiment, monkeypatch, change=as_it_is):
    """What was worked out, and what running all epochs gives."""
    from equivcheck.replay import course

    supply, held = supplied_of(experiment, change)
    asked, plain = [], course.drift_of
    monkeypatch.setattr(course, "drift_of", lambda *a, **k: asked.append(plain(*a, **k)) or asked[-1])
    taken = supply.tables(held, lambda *_: None)[1]
    monkeypatch.setattr(course, "drift_of", lambda *_a, **_k: None)
    supply, held = supplied_of(experiment, change)
    run = supply.tables(held, lambda *_: None)[1]
    return asked[0], taken, run


def same(one, other):
    assert np.array_equal(one.features.numpy(), other.features.numpy())
    assert len(one.held) == len(other.held)
    for ours, theirs in zip(one.held, other.held, strict=True):
        assert [value.numpy().tobytes() for value in ours] == [value.numpy().tobytes() for value in theirs]


@pytest.mark.parametrize("patch", [STILL, {**STILL, "training.batch_size": 7}, ONE_BY_ONE, OTHERS_IN_EVERY_EPOCH])
def test_what_is_worked_out_is_what_running_gives(tiny, monkeypatch, patch):
    worked_out, taken, run = courses(resolve(tiny.patched(patch)), monkeypatch)
    assert worked_out is not None
    assert taken.features is worked_out.features
    same(taken, run)
    assert not np.array_equal(run.held[0][0].numpy(), run.held[-1][0].numpy())  # something did move


@pytest.mark.parametrize(
    "patch",
    [
        {**OTHERS_IN_EVERY_EPOCH, "training.epochs": 2},
        {**STILL, "frozen.augmentation": [{"gaussian_noise": {"stddev": 0.1}}]},  # draws move as well
        {**STILL, "training.epochs": 1},
    ],
)
def test_anything_else_is_run(tiny, monkeypatch, patch):
    worked_out, taken, run = courses(resolve(tiny.patched(patch)), monkeypatch)
    assert worked_out is None
    same(taken, run)


def test_a_network_that_moves_otherwise_is_seen_in_its_first_epoch(tiny, monkeypatch):
    """A momentum that is not the one the graph has: as any layer whose formula is another."""
    from equivcheck.replay import drift

    monkeypatch.setattr(drift, "_momenta", lambda _model, moving: [0.5] * len(moving))
    worked_out, taken, run = courses(resolve(tiny.patched(STILL)), monkeypatch)
    assert worked_out is not None
    assert taken.features is not worked_out.features
    same(taken, run)


def test_numbers_that_threads_round_to_zero_or_not_are_left_to_tensorflow(tiny, monkeypatch):
    def nearly_nothing(model):
        for layer in model._flatten_layers():
            if hasattr(layer, "moving_variance"):
                layer.moving_variance.assign(np.full(layer.moving_variance.shape, 1e-37, np.float32))

    worked_out, taken, run = courses(resolve(tiny.patched(STILL)), monkeypatch, nearly_nothing)
    assert worked_out is None
    same(taken, run)


def test_a_batch_is_run_once_for_all_orders(tiny, monkeypatch):
    from equivcheck.arms.build import Builder
    from equivcheck.arms.reseeded import reseeded
    from equivcheck.replay import course, drift
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train, train_by_fit
    from equivcheck.trace.state import undisturbed

    ran, orders, run, work_out = [], [], drift._run, course.drift_of
    monkeypatch.setattr(drift, "_run", lambda *a: ran.append(len(a[2])) or run(*a))
    monkeypatch.setattr(course, "drift_of", lambda *a, **k: orders.append(a[3].tobytes()) or work_out(*a, **k))
    kept, arm = Rehearsals(), Builder(resolve(tiny.patched(ONE_BY_ONE)), shares=True).build("frozen")
    for seed in (0, 7):
        arm = reseeded(arm, resolve(tiny.patched({**ONE_BY_ONE, "training.seed": seed})).frozen)
        with undisturbed(arm.model):
            done = train(arm, lambda *_: None, rehearsals=kept)
        assert done.how == "compiled", done.why
        with undisturbed(arm.model):
            assert done.curves == train_by_fit(arm, lambda *_: None).curves
    assert len(set(orders)) == 2
    assert len(ran) == 1
