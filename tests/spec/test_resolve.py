"""Everything that can be wrong with a spec, said in plain words, at its line and column, all at once."""

from __future__ import annotations

import pytest

from equivcheck.errors import SpecError
from equivcheck.spec import CodeArm, load, resolve

CODE = 'version: 1\nbottleneck: {callable: "train:bottleneck"}\nfrozen: {callable: "train:frozen"}\n'


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version: 1", "", "1:1 version: is missing"),
        ("version: 1", "version: 2", "1:10 version: is 2; this equivcheck reads version 1"),
        ("version: 1", "version: '1'", "1:10 version: is '1', not a whole number"),
        ("version: 1", "version: true", "1:10 version: is true, not a whole number"),
        ("name: tiny", "name: ''", "2:7 name: is empty"),
        ("name: tiny", "nmae: tiny", "2:1 nmae: unknown key -> name"),
        ("name: tiny", "name: 3", '2:7 name: is 3, not text; write it in quotes: "3"'),
        ("name: tiny", "bottleneck: 3", "2:13 bottleneck: is 3, not a mapping"),
        ("name: tiny", "a.b: 3", "2:1 a.b: unknown key"),
        ("{directory: images/train}", "{directry: x}", "4:11 data.train.directry: unknown key -> directory"),
        ("{directory: images/train}", "images/train", "4:10 data.train: is 'images/train', not a mapping"),
        ("{directory: images/train}", "{directory: 3}", "4:22 data.train.directory: is 3, not a path"),
        (
            "{directory: images/train}",
            "{directory: a, npz: b}",
            "4:3 data.train: directory and npz are given; give exactly one of directory, npz, csv, callable",
        ),
        ("{directory: images/train}", "{}", "4:3 data.train: gives none of directory, npz, csv, callable"),
        (
            "{directory: images/train}",
            "{directory: a, image: b}",
            "4:25 data.train.image: goes with npz or csv; here directory is given",
        ),
        (
            "{directory: images/train}",
            '{callable: "x"}',
            "4:21 data.train.callable: is 'x', not module:function, such as train:frozen_arm",
        ),
        (
            "{directory: images/train}",
            '{directory: "a\\0b"}',
            "4:22 data.train.directory: is not a path: it contains a NUL character",
        ),
        (
            "{directory: images/train}",
            "{directory: ~nobody-at-all/x}",
            "4:22 data.train.directory: is not a path: there is no home folder ~nobody-at-all",
        ),
        (
            "{directory: images/train}",
            "{directory: a, classes: [x, x]}",
            "4:25 data.train.classes: must name at least two classes, each once",
        ),
        (
            "{directory: images/train}",
            "{directory: a, classes: [1, b]}",
            '4:35 data.train.classes.0: is 1, not text; write it in quotes: "1"',
        ),
        ("  image_size: [8, 9]", "", "3:1 data.image_size: is missing"),
        ("[8, 9]", "8", "6:15 data.image_size: is not a pair; write [height, width] in pixels"),
        ("[8, 9]", "[8, 9, 3]", "6:3 data.image_size: is not a pair; write [height, width] in pixels"),
        ("[8, 9]", "[8, 0]", "6:19 data.image_size.1: is 0; it must be greater than 0"),
        ("[8, 9]", "[8, 9.0]", "6:19 data.image_size.1: is 9.0, not a whole number"),
        ("[8, 9]", "[8, 9]\n  channels: 2", "7:13 data.channels: is 2, which is not known"),
        ("[8, 9]", "[8, 9]\n  channels: true", "7:13 data.channels: is true, not a whole number"),
        ("VGG16", "vgg16", "8:16 backbone.application: is 'vgg16', which is not known -> VGG16"),
        ("VGG16", "[VGG16]", "8:3 backbone.application: is a list, which is not known"),
        ("application: VGG16", "file: x", "9:3 backbone.weights: goes with application; here file is given"),
        (
            "weights: none",
            "weights:",
            "9:3 backbone.weights: has no value; remove the key, or write none where that is",
        ),
        ("weights: none", "cut: true", "9:8 backbone.cut: is neither the name nor the index of a layer"),
        (
            "learning_rate: 0.1",
            "learning_rate: .nan",
            "15:41 training.optimizer.learning_rate: is NaN; expected a finite number",
        ),
        (
            "learning_rate: 0.1",
            "learning_rate: {class_name: ExponentialDecay, config: {initial_learning_rate: -.inf}}",
            (
                "15:104 training.optimizer.learning_rate.config.initial_learning_rate: is infinite; "
                "expected a finite number"
            ),
        ),
        ("units: 2", "units: 2, bias_initializer: .inf", "12:41 head.1.dense.bias_initializer: is infinite; expected"),
        ("weights: none", "cut: 1.5", "9:8 backbone.cut: is neither the name nor the index of a layer"),
        ("weights: none", "freeze: yes", "9:11 backbone.freeze: is not true, false or a slice such as"),
        ("weights: none", "freeze: {}", "9:3 backbone.freeze.layers: is missing"),
        ("weights: none", "freeze: {layers: a}", "9:20 backbone.freeze.layers: is 'a', not a Python slice, such as"),
        ("weights: none", "freeze: {layer: ':2'}", "9:12 backbone.freeze.layer: unknown key -> layers"),
        ("weights: none", "call: nesting", "9:9 backbone.call: is 'nesting', which is not known -> nested"),
        ("weights: none", "trained_with: none", "9:17 backbone.trained_with: is 'none', not a mapping"),
        ("- flatten", "- flaten", "11:5 head.0: 'flaten' is not a layer that is known here -> flatten"),
        ("- flatten", "- 3", "11:5 head.0: is not a layer; write - dense: {units: 2} or - flatten"),
        ("- flatten", "- random_flip", "11:5 head.0: 'random_flip' is not a layer that is known here"),
        ("- flatten", "- lambda: {function: x}", "11:5 head.0.lambda: 'lambda' is not a layer that is known here"),
        ("- flatten", "- {dense: {}, relu: {}}", "11:5 head.0: has 2 keys; a layer is one key, such as dense"),
        (
            "- dense: {units",
            "- dens: {units",
            "12:5 head.1.dens: 'dens' is not a layer that is known here -> dense",
        ),
        ("{units: 2, activation: softmax}", "3", "12:12 head.1.dense: is not a mapping of arguments; write - dense"),
        ("{rescale: 0.5, offset: -1}", "nope", "13:16 preprocessing: is 'nope', not a mapping or none"),
        ("{rescale: 0.5, offset: -1}", "{rescale: true}", "13:26 preprocessing.rescale: is true, not a number"),
        (
            "{rescale: 0.5, offset: -1}",
            "{rescale: .inf}",
            "13:26 preprocessing.rescale: is Infinity, not a finite number",
        ),
        (
            "{rescale: 0.5, offset: -1}",
            "{application: inceptionv3}",
            "13:30 preprocessing.application: is 'inceptionv3', which is not known -> inception_v3",
        ),
        (
            "{name: sgd, learning_rate: 0.1}",
            "sgd",
            "15:14 training.optimizer: is 'sgd', not a mapping; write {name: sgd}",
        ),
        ("name: sgd", "name: SGD", "15:21 training.optimizer.name: is 'SGD', which is not known -> sgd"),
        ("name: sgd", "name: [sgd]", "15:15 training.optimizer.name: is a list, which is not known"),
        (
            "categorical_crossentropy",
            "categorical_crossentropi",
            "16:9 training.loss: is 'categorical_crossentropi', which is not known -> categorical_crossentropy",
        ),
        ("  loss: categorical_crossentropy", "", "14:1 training.loss: is missing"),
        ("  loss: cat", "  shuffle: no\n  loss: cat", "16:12 training.shuffle: is 'no', not true or false"),
        ("  loss: cat", "  epochs: true\n  loss: cat", "16:11 training.epochs: is true, not a whole number"),
        ("  loss: cat", "  epochs: 0\n  loss: cat", "16:11 training.epochs: is 0; it must be greater than 0"),
        ("  loss: cat", "  seed: 2147483648\n  loss: cat", "16:9 training.seed: is 2147483648; it must be less than"),
        ("one_hot", "onehot", "17:9 labels: is 'onehot', which is not known -> one_hot"),
        ("one_hot", "one_hot\nkeras_semantics: 2.1", "18:18 keras_semantics: is 2.1, not text; write it in quotes"),
        ("one_hot", "one_hot\nkeras_semantics: new", "18:18 keras_semantics: is 'new', not a version of Keras"),
        ("one_hot", "one_hot\naugmentation: [flatten]", "18:16 augmentation.0: 'flatten' is not a layer"),
        ("one_hot", "one_hot\naugmentation: 3", "18:15 augmentation: is 3, not a list or none"),
        ("one_hot", "one_hot\nobserved: {frozn: x}", "18:12 observed.frozn: unknown key -> frozen"),
        (
            "one_hot",
            "one_hot\nfrozen: {labels: onehot}",
            "18:18 frozen.labels: is 'onehot', which is not known -> one_hot",
        ),
        ("one_hot", "one_hot\nfrozen: {lables: binary}", "18:10 frozen.lables: unknown key -> labels"),
        ("one_hot", "one_hot\nfrozen: {name: x}", "18:10 frozen.name: unknown key"),
        (
            "one_hot",
            "one_hot\nfrozen: {backbone: {file: a, callable: 'b:c'}}",
            "18:10 frozen.backbone: file and callable are given; give exactly one of application, file, callable",
        ),
        ("one_hot", "one_hot\nfrozen: {training: {loss: }}", "18:21 frozen.training.loss: is missing"),
        (
            "one_hot",
            "one_hot\nfrozen: {callable: 'a:b', labels: sparse}",
            "18:27 frozen.labels: does not go with callable, which makes the whole arm",
        ),
        ("one_hot", "one_hot\nfrozen: {callable: }", "18:10 frozen.callable: is null, not text"),
        ("one_hot", "one_hot\nlabels: sparse", "18:1 labels: is given twice, first in line 17"),
        ("one_hot", "!!str one_hot", "17:9 labels: tag !!str is not allowed; a spec is plain data"),
    ],
)
def test_one_mistake_is_one_problem(problems, valid, old, new, expected):
    """However many arms it concerns, and with line and column."""
    assert old in valid
    (found,) = problems(valid.replace(old, new, 1))
    if found != expected:
        assert found.startswith(expected)


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(problems):
    """Of the text, of values, and missing ones too."""
    found = problems(
        "version: 1\nnmae: x\ndata: {train: {npz: 3}}\nbackbone: {}\nhead: []\n"
        "training: {optimizer: {name: Adam, momentum: {a: 1}}, loss: hinge, loss: hinge}\n"
    )
    assert found == [
        "2:1 nmae: unknown key -> name",
        "3:1 data.validation: is missing",
        "3:1 data.image_size: is missing",
        "3:21 data.train.npz: is 3, not a path",
        "4:1 backbone: gives none of application, file, callable",
        "5:1 head: is empty",
        "6:30 training.optimizer.name: is 'Adam', which is not known -> adam",
        (
            "6:36 training.optimizer.momentum: may only have the keys class_name and config, such as "
            "{class_name: L2, config: {l2: 0.01}}"
        ),
        "6:68 training.loss: is given twice, first in line 6",
    ]


def test_allowed_values_are_listed(write, valid):
    with pytest.raises(SpecError) as raised:
        load(write(valid.replace("one_hot", "onehot")))
    assert str(raised.value) == (
        "spec.yaml:17:9: labels: is 'onehot', which is not known; allowed: sparse, one_hot, binary; "
        'did you mean "one_hot"?\n    labels: onehot\n            ^'
    )


@pytest.mark.parametrize(
    ("argument", "key"),
    [
        ("{module: os, class_name: System}", "head.1.dense.kernel_regularizer"),
        ("{registered_name: x, class_name: L2}", "head.1.dense.kernel_regularizer"),
        ("{class_name: Lambda}", "head.1.dense.kernel_regularizer.class_name"),
        ("{class_name: __lambda__}", "head.1.dense.kernel_regularizer.class_name"),
        ("{class_name: function}", "head.1.dense.kernel_regularizer.class_name"),
        ("{class_name: L2, config: 3}", "head.1.dense.kernel_regularizer.config"),
        (
            "[{class_name: L2, config: {l2: {class_name: os.system}}}]",
            "head.1.dense.kernel_regularizer.0.config.l2.class_name",
        ),
    ],
)
def test_arguments_from_which_keras_would_run_something_are_refused(problems, valid, argument, key):
    (found,) = problems(valid.replace("activation: softmax", f"kernel_regularizer: {argument}"))
    assert f" {key}: " in found


def test_keras_objects_may_be_written_as_class_name_and_config(experiment, valid):
    regularizer = "{class_name: L2, config: {l2: 0.01}}"
    arm = experiment(valid.replace("activation: softmax", f"kernel_regularizer: {regularizer}")).frozen
    assert arm.head[1].arguments["kernel_regularizer"] == {"class_name": "L2", "config": {"l2": 0.01}}


def test_a_mistake_in_a_shared_value_that_both_arms_override_is_still_one(problems, valid):
    """A typo is a typo even where it has no effect today."""
    arms = "bottleneck: {labels: sparse}\nfrozen: {labels: binary}\n"
    assert problems(valid.replace("one_hot", "onehot") + arms) == [
        "17:9 labels: is 'onehot', which is not known -> one_hot"
    ]


def test_what_only_one_arm_lacks_is_missing_there(problems, valid):
    text = valid.replace("  loss: categorical_crossentropy\n", "") + "bottleneck:\n  training: {loss: hinge}\n"
    assert problems(text) == ["14:1 frozen.training.loss: is missing"]


def test_an_arm_from_code_needs_no_keys_but_the_other_does(problems):
    found = problems('version: 1\nfrozen: {callable: "train:frozen"}\n')
    assert found == [f"1:1 {key}: is missing" for key in ("data", "backbone", "head", "training")]


def test_two_arms_from_code_need_no_shared_keys(experiment):
    found = experiment(CODE)
    assert (found.bottleneck, found.frozen) == (CodeArm(callable="train:bottleneck"), CodeArm(callable="train:frozen"))
    assert found.differences == ()
    assert found.name == "spec"


def test_shared_keys_are_checked_even_where_both_arms_come_from_code(problems):
    assert problems(CODE + "labels: onehot\n") == ["4:9 labels: is 'onehot', which is not known -> one_hot"]


def test_another_version_is_the_only_problem(problems):
    """What another version allows is not ours to judge."""
    assert problems("version: 3\nsomething: new\n") == ["1:10 version: is 3; this equivcheck reads version 1"]


def test_empty_sections_are_fine(experiment, valid):
    """As they are when all their keys are commented out."""
    found = experiment(valid + "bottleneck:\nfrozen:\nobserved:\n")
    assert found.bottleneck == found.frozen
    assert found.observed is None


def test_a_wrong_patch_is_located_at_the_nearest_key_of_the_file(document, valid):
    patched = document(valid).patched({"frozen.training.loss": "hing"})
    with pytest.raises(SpecError) as raised:
        resolve(patched)
    (problem,) = raised.value.problems
    assert (problem.key, problem.suggestion) == ("frozen.training.loss", "hinge")
    assert problem.message == "is 'hing', which is not known"
