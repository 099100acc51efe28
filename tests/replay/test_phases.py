"""Phases are trained as a user's own script would train them, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

SGD = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}
HEAD = [{"dropout": {"rate": 0.5}}, {"dense": {"units": 3, "activation": "softmax"}}]


@pytest.fixture
def built(tiny):
    from equivcheck.arms.build import Builder

    def build(tuned, name="frozen", **patch):
        phases = {"head": {"epochs": 3}, "tuned": {"epochs": 2, **tuned}}
        return Builder(resolve(tiny.patched({"head": HEAD, "training.phases": phases, **patch}))).build(name)

    return build


def by_hand(arm, tune):
    """compile, fit, change ``trainable``, compile, fit: what a script does, on a model of the same weights."""
    import keras

    model, (x, y), validation = arm.model, (arm.train.feed.x, arm.train.feed.y), arm.validation.feed.as_tuple()
    curves = {}
    for change, epochs in ((None, 3), (tune, 2)):
        if change is not None:
            change(model)
        keras.utils.set_random_seed(0)
        history = model.fit(x, y, validation_data=validation, epochs=epochs, batch_size=8, verbose=0).history
        for metric, values in history.items():
            curves.setdefault(metric, []).extend(values)
    return curves, [np.array(variable) for variable in model.variables]


def in_phases(arm):
    from equivcheck.replay.phases import joined, train_in_phases

    parts = list(train_in_phases(arm, lambda *_: None))
    curves = {curve.metric: list(curve.values) for curve in joined([training.curves for _, training in parts])}
    return curves, [np.array(variable) for variable in arm.model.variables], [training.how for _, training in parts]


def recompiled(unfreeze):
    def tune(model):
        import keras

        unfreeze(model)
        model.compile(
            optimizer=keras.optimizers.SGD(0.05, momentum=0.9),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )

    return tune


def whole(model):
    model.get_layer("backbone").trainable = True


def last(model):
    for layer in model.get_layer("backbone").layers[2:]:
        layer.trainable = True


def without_batchnorm(model):
    import keras

    for layer in model.get_layer("backbone").layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)


def nothing(_model):
    pass


@pytest.mark.parametrize(
    ("tuned", "unfreeze"),
    [
        ({}, nothing),
        ({"unfreeze": True}, whole),
        ({"unfreeze": {"layers": "2:", "of": "backbone"}}, last),
        ({"unfreeze": True, "unfreeze_batchnorm": False}, without_batchnorm),
    ],
)
def test_two_phases_are_those_of_a_script(built, tuned, unfreeze):
    tuned = {"optimizer": SGD, **tuned}
    curves, weights = by_hand(built(tuned), recompiled(unfreeze))
    ours, trained, how = in_phases(built(tuned))
    assert how == ["compiled", "compiled"]
    assert ours == curves
    for mine, yours in zip(trained, weights, strict=True):
        np.testing.assert_array_equal(mine, yours)


@pytest.mark.parametrize(("tuned", "unfreeze"), [({}, nothing), ({"unfreeze": True}, whole)])
def test_without_a_compile_fit_goes_on_with_its_step(built, tuned, unfreeze):
    tuned = {"recompile": False, **tuned}
    curves, weights = by_hand(built(tuned), unfreeze)
    ours, trained, how = in_phases(built(tuned))
    assert how == ["fit", "fit"]
    assert ours == curves
    for mine, yours in zip(trained, weights, strict=True):
        np.testing.assert_array_equal(mine, yours)


def test_the_second_phase_moves_the_backbone(built):
    arm = built({"unfreeze": True, "optimizer": SGD})
    before = [np.array(variable) for variable in arm.model.get_layer("backbone").trainable_variables]
    assert before == []
    kernel = arm.model.get_layer("backbone").get_layer("conv").kernel
    value = np.array(kernel)
    in_phases(arm)
    assert np.abs(np.array(kernel) - value).max() > 0


def test_phases_of_the_bottleneck_arm_and_of_a_frozen_one_are_the_same(built):
    tuned = {"optimizer": SGD}
    assert in_phases(built(tuned, "bottleneck"))[0] == in_phases(built(tuned))[0]


def test_a_metric_that_one_phase_lacks_is_nan_there():
    from equivcheck.measured import Curve
    from equivcheck.replay.phases import joined

    parts = [(Curve("frozen", "loss", (1.0, 0.5)),), (Curve("frozen", "loss", (0.4,)), Curve("frozen", "lr", (0.1,)))]
    found = {curve.metric: curve.values for curve in joined(parts)}
    assert found["loss"] == (1.0, 0.5, 0.4)
    assert repr(found["lr"]) == "(nan, nan, 0.1)"


def told(*_):
    return None


@pytest.mark.parametrize("name", ["bottleneck", "frozen"])
@pytest.mark.parametrize("augmented", [False, True])
def test_phases_beside_others_are_those_by_themselves(built, name, augmented, tmp_path):
    """Begun at once, each from its own arm; and once more from what was kept of them."""
    from equivcheck.replay.phases import begin_in_phases, joined, train_in_phases
    from equivcheck.replay.rehearse import Rehearsals

    patch = {"frozen.augmentation": [{"gaussian_noise": {"stddev": 0.1}}]} if augmented else {}
    tuned, rehearsals = {"unfreeze": True, "optimizer": SGD}, Rehearsals()
    parts = train_in_phases(built(tuned, name, **patch), told, rehearsals=Rehearsals())
    expected = joined([training.curves for _, training in parts])
    arms = [built(tuned, name, **patch) for _ in range(2)]
    before = [[np.array(variable) for variable in arm.model.variables] for arm in arms]
    begun = [begin_in_phases(arm, told, evidence=None, rehearsals=rehearsals, folder=tmp_path) for arm in arms]
    assert [wait() for wait in begun] == [expected] * 2
    for arm, values in zip(arms, before, strict=True):
        for variable, value in zip(arm.model.variables, values, strict=True):
            np.testing.assert_array_equal(np.array(variable), value)
    (kept,) = tmp_path.rglob("*.npz")
    again = begin_in_phases(built(tuned, name, **patch), told, evidence=None, rehearsals=rehearsals, folder=tmp_path)
    kept.unlink()
    assert again() == expected
    assert not list(tmp_path.rglob("*.npz"))
    rehearsals.workers.stop()


def test_phases_that_go_on_with_the_step_of_fit_do_not_run_beside_others(built):
    from equivcheck.replay.phases import begin_in_phases
    from equivcheck.replay.rehearse import Rehearsals

    arm = built({"recompile": False})
    assert begin_in_phases(arm, told, evidence=None, rehearsals=Rehearsals(), folder=None) is None


def test_features_of_what_an_earlier_phase_has_trained_are_not_stored_before_it(built):
    """The whole network is trained first, and only its head then."""
    from equivcheck.replay.graph import RefusedError
    from equivcheck.replay.phases import begin_in_phases
    from equivcheck.replay.rehearse import Rehearsals

    rehearsals = Rehearsals()
    arm = built({"freeze": True, "optimizer": SGD}, **{"frozen.backbone.freeze": False})
    begun = begin_in_phases(arm, told, evidence=None, rehearsals=rehearsals, folder=None)
    with pytest.raises(RefusedError, match="what an earlier phase trains"):
        begun()
    rehearsals.workers.stop()


@pytest.mark.parametrize("aside", [False, True])
def test_what_was_kept_of_another_later_phase_is_not_taken(built, aside, tmp_path):
    """Only its momentum is another one, which no variable holds."""
    from equivcheck.replay.phases import begin_in_phases, joined, train_in_phases
    from equivcheck.replay.rehearse import Rehearsals

    found = []
    for momentum in (0.9, 0.2):
        tuned = {"unfreeze": True, "optimizer": {**SGD, "momentum": momentum}}
        expected = joined([training.curves for _, training in train_in_phases(built(tuned), told)])
        rehearsals = Rehearsals()
        if aside:
            begun = begin_in_phases(built(tuned), told, evidence=None, rehearsals=rehearsals, folder=tmp_path)
            curves = begun()
        else:
            parts = train_in_phases(built(tuned), told, rehearsals=rehearsals, folder=tmp_path)
            curves = joined([training.curves for _, training in parts])
        rehearsals.workers.stop()
        assert curves == expected
        found.append(curves)
    assert found[0] != found[1]
