"""What a network gives at its frontier, in the order of each seed: computed again only where batches matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

ROWS = 24


def network(kind):
    """A frozen network behind which a head stands, and its frontier."""
    import keras
    import tensorflow as tf

    from equivcheck.arms.legacy import LegacyBatchNormalization
    from equivcheck.replay.frontier import TRIED, find_frontier, run_through

    keras.utils.set_random_seed(0)
    norm = LegacyBatchNormalization(updates_when_frozen=False) if kind == "batch" else keras.layers.BatchNormalization()
    layers = [keras.layers.Conv2D(4, 3), norm, keras.layers.GlobalAveragePooling2D(name="pool")]
    for layer in layers:
        layer.trainable = False
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Dense(2, name="head")])
    model.compile("sgd", "mse")
    x = tf.constant(np.random.default_rng(0).normal(size=(ROWS, 8, 8, 3)).astype(np.float32))
    passes = [run_through(model, x[:TRIED], training=training) for training in (True, False)]
    found = find_frontier(model, x[:TRIED], *passes)
    assert found is not None
    assert found.path == "pool"
    return model, found, x


def prefix_of(model, found):
    from equivcheck.replay.features import Prefix, Shared, bytes_of
    from equivcheck.replay.memo import Memo

    return Prefix(model, found, {True: Shared(()), False: Shared(())}, Memo(bytes_of, 1 << 20))


@pytest.fixture
def rearranged(monkeypatch):
    """Whether each further order was only a rearrangement of the first."""
    from equivcheck.replay import features

    told, plain = [], features._rearranged

    def noted(*args):
        table = plain(*args)
        told.append(table is not None)
        return table

    monkeypatch.setattr(features, "_rearranged", noted)
    return told


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [
        ("sample", 1, True),
        ("sample", 4, True),
        ("sample", 7, False),  # the last batch is smaller, and its kernels may be others
        ("batch", 1, True),  # a batch of one has no mates
        ("batch", 4, False),
        ("batch", ROWS, False),
    ],
)
def test_another_order_gives_what_computing_it_gives(rearranged, kind, size, expected):
    model, found, x = network(kind)
    used = prefix_of(model, found)
    orders = [np.random.default_rng(seed).permutation(ROWS) for seed in range(3)]
    for order in [np.arange(ROWS), *orders, np.arange(ROWS)]:
        given = used.features(x, order[None], batch_size=size, training=True)
        fresh = prefix_of(model, found).features(x, order[None], batch_size=size, training=True)
        np.testing.assert_array_equal(given.numpy(), fresh.numpy())
    assert rearranged == [expected] * 3  # the first is still there at last
    assert len(list(used.kept.finished())) == 4


def test_batches_that_only_changed_places_prove_nothing(rearranged):
    """Their statistics are what they were, wherever their samples stand."""
    model, found, x = network("batch")
    prefix = prefix_of(model, found)
    prefix.features(x, np.arange(ROWS)[None], batch_size=4, training=True)
    moved = np.arange(ROWS).reshape(-1, 4)[::-1].reshape(-1)
    prefix.features(x, moved[None], batch_size=4, training=True)
    assert rearranged == [False]


def test_an_order_that_was_asked_for_is_kept(rearranged):
    model, found, x = network("sample")
    prefix = prefix_of(model, found)
    first = prefix.features(x, np.arange(ROWS)[None], batch_size=4, training=True)
    assert prefix.features(x, np.arange(ROWS)[None], batch_size=4, training=True) is first
    assert prefix.features(x, np.arange(ROWS)[None], batch_size=4, training=False) is not first
    assert rearranged == []


def test_several_passes_stand_one_behind_the_other(rearranged):
    """Each begins with a batch of its own, so an uneven one stays the last of its pass."""
    model, found, x = network("batch")
    orders = np.stack([np.arange(ROWS), np.arange(ROWS)[::-1]])[:, :6]
    both = prefix_of(model, found).features(x, orders, batch_size=4, training=True)
    each = [prefix_of(model, found).features(x, order[None], batch_size=4, training=True) for order in orders]
    np.testing.assert_array_equal(both.numpy(), np.concatenate([one.numpy() for one in each]))


@pytest.fixture
def siblings(tiny):
    """The frozen arm as declared, and one on the same backbone with another loss."""
    from equivcheck.arms.build import Builder
    from equivcheck.spec import resolve

    declared = Builder(resolve(tiny), shares=True)
    other = resolve(tiny.patched({"labels": "one_hot", "training.loss": "categorical_crossentropy"}))
    return declared.build("frozen"), replace(declared, experiment=other).build("frozen")


def test_arms_on_one_backbone_share_its_features(siblings, monkeypatch):
    from equivcheck.replay import features
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train, train_by_fit
    from equivcheck.trace.state import undisturbed

    first, second = siblings
    with undisturbed(second.model):
        expected = train_by_fit(second, lambda *_: None)
    kept, traced, reach = Rehearsals(), [], features._reach

    def counted(model, *arguments, **keywords):
        traced.append(model)
        return reach(model, *arguments, **keywords)

    monkeypatch.setattr(features, "_reach", counted)
    for arm in (first, second):
        with undisturbed(arm.model):
            given = train(arm, lambda *_: None, rehearsals=kept)
        assert given.how == "compiled", given.why
    assert set(map(id, traced)) == {id(first.model)}
    assert given.curves == expected.curves


def test_features_of_other_weights_are_none_of_theirs(siblings):
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train, train_by_fit
    from equivcheck.trace.state import undisturbed

    first, second = siblings
    kept = Rehearsals()
    with undisturbed(first.model):
        train(first, lambda *_: None, rehearsals=kept)
    kernel = next(variable for variable in second.model.non_trainable_variables if "kernel" in variable.path)
    kernel.assign(2.0 * np.array(kernel))
    with undisturbed(second.model):
        expected = train_by_fit(second, lambda *_: None)
    with undisturbed(second.model):
        given = train(second, lambda *_: None, rehearsals=kept)
    assert given.curves == expected.curves


def test_like_networks_share_a_graph_and_give_their_own_features(siblings, tiny):
    """A backbone that was made anew, with other weights."""
    import tensorflow as tf

    from equivcheck.arms.build import Builder
    from equivcheck.replay.cut import Cuts, cut_of
    from equivcheck.replay.eligible import build
    from equivcheck.replay.tables import tables_of
    from equivcheck.spec import resolve

    first, other = siblings[0], Builder(resolve(tiny)).build("frozen")
    for variable in other.model.non_trainable_variables:
        if "kernel" in variable.path:
            variable.assign(2.0 * np.array(variable))
    cuts, prefixes = Cuts(), []
    for arm in (first, other):
        build(arm)
        prefixes.append(cut_of(arm, tables_of(arm), cuts).prefix)
    x = tf.constant(first.train.feed.x)
    order = np.arange(len(x))[None]
    tables = [prefix.features(x, order, batch_size=8, training=True).numpy() for prefix in prefixes]
    assert prefixes[0].traced.keys() == prefixes[1].traced.keys()
    for way, traced in prefixes[0].traced.items():
        assert prefixes[1].traced[way].concrete is traced.concrete
    alone = cut_of(other, tables_of(other), Cuts()).prefix
    np.testing.assert_array_equal(tables[1], alone.features(x, order, batch_size=8, training=True).numpy())
    assert np.abs(tables[0] - tables[1]).max() > 0
    assert all(map(np.array_equal, tables[:1], [prefixes[0].features(x, order, batch_size=8, training=True).numpy()]))


def test_networks_that_normalize_by_what_they_were_adapted_to_share_no_graph(tensorflow):
    """What such a layer computes with are constants of the graph."""
    import keras
    import tensorflow as tf

    from equivcheck.arms.arm import Arm, Feed, Split
    from equivcheck.replay.cut import Cuts, cut_of
    from equivcheck.replay.eligible import build
    from equivcheck.replay.tables import tables_of

    images = np.random.default_rng(0).normal(size=(8, 6, 6, 3)).astype(np.float32)
    cuts, given = Cuts(), []
    for scale in (1.0, 5.0):
        norm = keras.layers.Normalization(name="norm")
        norm.adapt(scale * images)
        pool = keras.layers.GlobalAveragePooling2D(name="pool")
        head = keras.layers.Dense(2, kernel_initializer="ones", name="head")
        model = keras.Sequential([keras.Input((6, 6, 3)), norm, pool, head])
        model.compile("sgd", "mse")
        arm = Arm("frozen", model, Split(Feed(images, np.zeros((8, 2)))), None, {"epochs": 1, "batch_size": 4}, 0)
        build(arm)
        prefix = cut_of(arm, tables_of(arm), cuts).prefix
        table = prefix.features(tf.constant(images), np.arange(8)[None], batch_size=4, training=True)
        np.testing.assert_allclose(table.numpy(), norm(images).numpy().mean((1, 2)), rtol=1e-5)
        given.append(prefix)
    (one, other) = (next(iter(prefix.traced.values())).concrete for prefix in given)
    assert one is not other


@pytest.mark.parametrize(
    ("patch", "graphs"),
    [
        ({"backbone.call": "inference", "keras_semantics": "1.2"}, 1),  # every layer is told the same in both modes
        ({}, 1),  # today's frozen BatchNormalization does the same whatever it is told
        ({"keras_semantics": "1.2"}, 2),
    ],
    ids=str,
)
def test_training_and_evaluation_share_a_graph_where_no_layer_tells_them_apart(tiny, patch, graphs):
    from equivcheck.arms.build import Builder
    from equivcheck.replay.cut import Cuts, cut_of
    from equivcheck.replay.eligible import build
    from equivcheck.replay.tables import tables_of
    from equivcheck.spec import resolve

    arm = Builder(resolve(tiny.patched({"training.batch_size": 4, **patch}))).build("frozen")
    build(arm)
    tables = tables_of(arm)
    prefix = cut_of(arm, tables, Cuts()).prefix
    x = tables.train[0]
    traced = [prefix.trace(x, len(x), batch_size=4, training=training) for training in (True, False)]
    assert len({id(each.concrete) for each in traced}) == graphs
    alone = cut_of(arm, tables, Cuts()).prefix.trace(x, len(x), batch_size=4, training=False)
    assert alone.concrete is not traced[0].concrete
    rows = np.arange(len(x))
    for shared, own in zip(traced[1](x, rows, 4), alone(x, rows, 4), strict=True):
        np.testing.assert_array_equal(shared.numpy(), own.numpy())
