"""What a trained arm answers: as evaluate says, in both modes, and without a trace of having been asked."""

from __future__ import annotations

import random

import numpy as np
import pytest

from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

HEAD = [
    {"batch_normalization": {}},
    {"dropout": {"rate": 0.5}},
    {"dense": {"units": 3, "activation": "softmax"}},
]


@pytest.fixture(scope="module")
def trained(tiny):
    """A frozen arm with dropout and normalisation in its head, after two epochs."""
    from equivcheck.arms.build import Builder
    from equivcheck.replay.training import train
    from equivcheck.trace.observed import observe

    observed = observe(Builder(resolve(tiny.patched({"head": HEAD}))).build("frozen"))
    return observed, train(observed.arm, lambda *_: None).curves


def test_it_says_what_evaluate_says_and_leaves_no_trace(trained):
    from equivcheck.trace.outcome import measure_outcome
    from equivcheck.trace.state import variables_of

    observed, curves = trained
    model, feed = observed.arm.model, observed.arm.train.feed
    before = [np.array(variable) for variable in variables_of(model)]
    states = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    outcome = measure_outcome(model, observed, curves)
    for variable, value in zip(variables_of(model), before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # noqa: NPY002
    _, accuracy = model.evaluate(feed.x, feed.y, verbose=0)
    assert outcome.in_inference == pytest.approx(accuracy, abs=1e-6)
    assert (outcome.epochs, outcome.samples) == (2, 20)
    values = {curve.metric: curve.values for curve in curves}
    assert (outcome.reported, outcome.validation) == (values["accuracy"][-1], values["val_accuracy"][-1])
    answers = model.predict(feed.x, verbose=0).argmax(axis=1)
    np.testing.assert_array_equal(outcome.predicted, np.bincount(answers))
    assert outcome.actual.tolist() == [7, 7, 6]
    assert outcome.constant == 7 / 20
    assert measure_outcome(model, observed, curves).in_training == outcome.in_training


def test_many_small_batches_are_traced_and_say_the_same(tiny, monkeypatch):
    """Layer by layer each of them would take as long as a large one."""
    from equivcheck.arms.build import Builder
    from equivcheck.trace import outcome
    from equivcheck.trace.observed import observe

    observed = observe(Builder(resolve(tiny.patched({"head": HEAD, "training.batch_size": 2}))).build("frozen"))
    model, plain, calls = observed.arm.model, type(observed.arm.model).call, []
    monkeypatch.setattr(type(model), "call", lambda self, *a, **k: calls.append(1) or plain(self, *a, **k))
    traced = outcome.measure_outcome(model, observed, ())
    assert len(calls) == 2 * 3  # of both models: once for all batches of training, and for what is evaluated at once
    monkeypatch.setattr(outcome, "_TRACED_FROM", 100)
    eager = outcome.measure_outcome(model, observed, ())
    assert len(calls) == 2 * (3 + 12)
    assert (traced.in_training, traced.in_inference) == (eager.in_training, eager.in_inference)
    np.testing.assert_array_equal(traced.predicted, eager.predicted)


@pytest.mark.parametrize("outputs", [[0.2, 0.6, 1.0], [-3.0, 0.2, 7.0]])
def test_a_single_output_is_a_side(tensorflow, outputs):
    """Of one half for probabilities, of zero for logits."""
    from equivcheck.trace.outcome import _classes_of

    assert _classes_of(np.array(outputs)[:, None]).tolist() == [0, 1, 1]
