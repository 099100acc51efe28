"""Two models side by side: what is counted, in a graph and without one."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

X = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)


def models(*, eager=False):
    """Two with other weights in the second layer."""
    import keras

    made = []
    for scale in (1.0, 1.5):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(5, name="same"), keras.layers.Dense(3, name="other")]
        model = keras.Sequential([keras.Input((6,)), *layers])
        layers[1].kernel.assign(layers[1].kernel * scale)
        model.compile(run_eagerly=eager)
        made.append(model)
    return tuple(made)


def counted(*batches, eager=False, training=False):
    import tensorflow as tf

    from equivcheck.trace.together import Together

    together = Together(models(eager=eager), training=training)
    together.prepare(tf.constant(X[:2]))
    for batch in batches:
        together.count(tf.constant(batch))
    return together


def test_preparing_counts_nothing():
    assert [tally.size for tally in counted().tallies] == [0, 0, 0]


@pytest.mark.parametrize("eager", [False, True])
def test_each_batch_is_counted_once(eager):
    """Each tensor once, too, although it is one layer's output and the next one's input."""
    together = counted(X, X[:4], eager=eager)
    assert [tally.size for tally in together.tallies] == [13 * 6, 13 * 5, 13 * 3]
    assert [tally.equal for tally in together.tallies] == [True, True, False]


def test_a_graph_counts_what_plain_calls_count():
    lazy, eager = counted(X, X[:4]), counted(X, X[:4], eager=True)
    for one, other in zip(lazy.tallies, eager.tallies, strict=True):
        assert one.max_abs == pytest.approx(other.max_abs, rel=1e-5)
        assert one.beyond == other.beyond


def test_one_graph_serves_batches_of_any_size():
    assert len(counted(X, X[:1], X[:4])._graphs) == 1


def test_what_fails_is_not_counted(monkeypatch):
    """Not even the layers that came before."""
    import tensorflow as tf

    together = counted(X, eager=True)
    before = list(together.tallies)
    monkeypatch.setattr(type(together), "_count", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        together.count(tf.constant(X))
    assert together.tallies == before


def test_memory_is_told_from_other_errors():
    import tensorflow as tf

    from equivcheck.errors import InconclusiveError
    from equivcheck.trace.together import out_of_memory

    assert out_of_memory(MemoryError())
    assert out_of_memory(tf.errors.ResourceExhaustedError(None, None, "OOM"))
    named = InconclusiveError("layer a raised")
    named.__cause__ = MemoryError()
    assert out_of_memory(named)
    assert not out_of_memory(InconclusiveError("layer a raised"))
    assert not out_of_memory(ValueError())
