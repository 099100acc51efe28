"""Trainings beside one another: begun as soon as a core is free, stopped at a checkpoint, kept as if they ran alone."""

from __future__ import annotations

from concurrent.futures import CancelledError
from threading import Event, current_thread, main_thread

import numpy as np
import pytest

from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


def endless(check):
    while not Event().wait(0.001):
        check()


def test_what_runs_ends_at_its_next_checkpoint_and_what_waits_is_not_begun():
    from equivcheck.replay.workers import StoppedError, Workers

    workers = Workers()
    running = [workers.submit(endless) for _ in range(workers.count)]
    waiting = workers.submit(lambda _check: "begun")
    workers.stop()
    for each in running:
        with pytest.raises(StoppedError):
            each.result(timeout=10)
    with pytest.raises(CancelledError):
        waiting.result(timeout=10)
    assert workers.submit(lambda check: check() or "begun").result(timeout=10) == "begun"
    workers.stop()


def test_what_is_like_another_waits_for_it_without_taking_a_core():
    from equivcheck.replay.workers import Workers

    workers, done, go = Workers(), [], Event()

    def first(_check):
        go.wait(10)
        done.append("first")

    like = [workers.submit(first, like="key")]
    like += [workers.submit(lambda _check: done.append("like it"), like="key") for _ in range(workers.count)]
    others = [workers.submit(lambda _check, key=key: done.append(key), like=key) for key in ("another", None)]
    for each in others if workers.count > 1 else ():
        each.result(timeout=10)
    go.set()
    for each in (*like, *others):
        each.result(timeout=10)
    assert done.index("first") < done.index("like it")
    assert done.count("like it") == workers.count
    if workers.count > 1:
        assert set(done[:2]) == {"another", None}
    workers.stop()


def test_what_is_like_one_that_failed_runs_all_the_same():
    from equivcheck.replay.workers import Workers

    workers, go = Workers(), Event()

    def fails(_check):
        go.wait(10)
        raise ValueError("the first")

    first = workers.submit(fails, like="key")
    then = workers.submit(lambda _check: "the second", like="key")
    raises = workers.submit(fails, like="key")
    go.set()
    with pytest.raises(ValueError, match="the first"):
        first.result(timeout=10)
    assert then.result(timeout=10) == "the second"
    with pytest.raises(ValueError, match="the first"):
        raises.result(timeout=10)
    workers.stop()


def test_what_is_like_one_that_was_stopped_is_not_begun():
    from equivcheck.replay.workers import StoppedError, Workers

    workers = Workers()
    first = workers.submit(endless, like="key")
    then = workers.submit(lambda _check: "begun", like="key")
    workers.stop()
    for each in (first, then):
        with pytest.raises(StoppedError):
            each.result(timeout=10)


def test_stopping_what_was_never_begun():
    from equivcheck.replay.workers import Workers

    Workers().stop()


@pytest.fixture(scope="module")
def arm(tiny):
    from equivcheck.arms.build import Builder

    return lambda seed=0: Builder(resolve(tiny.patched({"training.seed": seed}))).build("frozen")


def begun(arm, rehearsals, folder=None, progress=lambda *_: None):
    from equivcheck.replay.training import begin

    return begin(arm, progress, evidence=None, rehearsals=rehearsals, folder=folder)


def test_it_runs_on_a_worker(arm):
    from equivcheck.replay.rehearse import Rehearsals

    threads = []
    begun(arm(), Rehearsals(), progress=lambda *_: threads.append(current_thread()))()
    assert threads
    assert main_thread() not in threads


def test_seeds_at_once_are_seeds_one_by_one(arm):
    """They share one graph, and spare variables once there are some."""
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train

    rehearsals = Rehearsals()
    waiting = [begun(arm(seed), rehearsals) for seed in range(6)]
    together = [wait() for wait in waiting]
    assert len(rehearsals.known) == 1
    assert together == [train(arm(seed), lambda *_: None).curves for seed in range(6)]
    assert len({repr(curves) for curves in together}) > 1


@pytest.fixture
def run(monkeypatch):
    """The epochs of each training that was run."""
    from equivcheck.replay.compiled import Rehearsal

    ran, plain = [], Rehearsal.run

    def counted(self, tables, epochs, *rest):
        ran.append(epochs)
        return plain(self, tables, epochs, *rest)

    monkeypatch.setattr(Rehearsal, "run", counted)
    return ran


def test_arms_that_are_fed_the_same_from_the_cut_on_are_trained_once(tiny, run, tmp_path):
    """What is kept of each is what fit would leave in it."""
    from equivcheck.arms.build import Builder
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train, train_by_fit

    patches = ({}, {"backbone.call": "inference"}, {"training.shuffle": False})  # nothing in it draws or averages
    first, again, expected = (
        [Builder(resolve(tiny.patched({"training.epochs": 2, **patch}))).build("frozen") for patch in patches]
        for _ in range(3)
    )
    rehearsals = Rehearsals()
    curves = [begun(arm, rehearsals, tmp_path)() for arm in first]
    assert len(run) == 2  # another order is another training
    kept = [train(arm, lambda *_: None, folder=tmp_path) for arm in again]
    assert len(run) == 2
    wanted = [train_by_fit(arm, lambda *_: None) for arm in expected]
    assert curves == [each.curves for each in kept] == [each.curves for each in wanted]
    for ours, theirs in zip(kept, wanted, strict=True):
        assert all(map(np.array_equal, ours.weights, theirs.weights))


def test_what_it_keeps_is_what_a_training_alone_keeps(arm, tmp_path):
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train

    aside, alone = tmp_path / "aside", tmp_path / "alone"
    curves = begun(arm(), Rehearsals(), aside)()
    trained = train(arm(), lambda *_: None, folder=alone)
    assert [path.name for path in aside.iterdir()] == [path.name for path in alone.iterdir()]
    again = train(arm(), lambda *_: None, folder=aside)
    assert again.curves == trained.curves == curves
    for ours, theirs in zip(again.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert begun(arm(), Rehearsals(), aside)() == curves


def test_a_stopped_training_keeps_nothing(arm, tmp_path):
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.workers import StoppedError

    rehearsals, reached = Rehearsals(), Event()

    def progress(_done, _total):
        reached.set()
        Event().wait(0.2)

    wait = begun(arm(), rehearsals, tmp_path, progress)
    assert reached.wait(60)
    rehearsals.workers.stop()  # while progress holds it up behind the first of two epochs
    with pytest.raises(StoppedError):
        wait()
    assert list(tmp_path.iterdir()) == []
