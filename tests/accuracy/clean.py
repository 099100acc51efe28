"""Clean pipelines of many kinds: whatever is different about their arms makes no difference."""

from __future__ import annotations

from typing import Any

from cases import Case
from declared import BASES
from in_code import code_case

from equivcheck.findings import Patch

SOFTMAX = {"dense": {"units": 5, "activation": "softmax"}}
ONE_HOT: Patch = {"labels": "one_hot", "training.loss": "categorical_crossentropy"}
MIXED: Patch = {"data.train": {"csv": "../digits/target/train_mixed.csv"}, "training.shuffle": False}
#: Five places for classes, as a binary vector each: what binary cross-entropy of several outputs is for.
SIGMOIDS: Patch = {
    "labels": "one_hot",
    "training.loss": "binary_crossentropy",
    "head": [{"dense": {"units": 5, "activation": "sigmoid"}}],
}


def _optimizer(name: str, **arguments: Any) -> Patch:
    return {"training.optimizer": {"name": name, **arguments}}


#: As patches of the clean fixture.
DECLARED: dict[str, Patch] = {
    **{f"base: {name}": patch for name, patch in BASES.items()},
    "labels spelt differently": {"frozen.labels": "one_hot", "frozen.training.loss": "categorical_crossentropy"},
    "one-hot features, sparse images": {
        "bottleneck.labels": "one_hot",
        "bottleneck.training.loss": "categorical_crossentropy",
    },
    "one output a class": SIGMOIDS,
    "squared error": {"labels": "one_hot", "training.loss": "mean_squared_error"},
    "divergence": {"labels": "one_hot", "training.loss": "kl_divergence"},
    "focal loss": {"labels": "one_hot", "training.loss": "categorical_focal_crossentropy"},
    "not shuffled, mixed": MIXED,
    "sorted in both": {"training.shuffle": False},
    "the tail dropped in both": {**MIXED, "training.batch_size": 16, "training.drop_remainder": True},
    "one sample a batch": {"training.batch_size": 1},
    "a last batch of one": {"training.batch_size": 7},
    "one batch for all": {"training.batch_size": 256},
    "another seed": {"training.seed": 4711},
    "raw pixels in both": {"preprocessing": "none"},
    "[0, 1] in both": {"preprocessing": {"rescale": 1 / 255}},
    "preprocessing spelt differently": {"frozen.preprocessing": {"application": "inception_v3"}},
    "torch preprocessing in both": {"preprocessing": {"application": "densenet"}},
    "caffe preprocessing in both": {"preprocessing": {"application": "vgg16"}},
    "dropout behind the cut, kept off": {"backbone.cut": "flatten", "frozen.backbone.call": "inference"},
    "the guide's recipe, nothing random in the backbone": {"frozen.backbone.call": "training_false"},
    "old Keras on a backbone without batch normalisation": {**BASES["vgg"], "frozen.keras_semantics": "2.1"},
    "a slice that freezes all of a flat backbone": {
        **BASES["vgg"],
        "frozen.backbone.call": "flat",
        "frozen.backbone.freeze": {"layers": ":-1"},
    },
    "cut at a feature map": {"backbone.cut": "stem_1_relu", "head": [{"global_average_pooling2d": {}}, SOFTMAX]},
    "cut by index": {"backbone.cut": -4},
    "random layers in the head": {
        "head": [{"dropout": {"rate": 0.5}}, {"gaussian_noise": {"stddev": 0.1}}, SOFTMAX],
    },
    "batch normalisation in the head": {"head": [{"batch_normalization": {}}, SOFTMAX]},
    "a deep head": {"head": [{"dense": {"units": 16, "activation": "relu"}}, {"dropout": {"rate": 0.2}}, SOFTMAX]},
    "a penalty in both": {
        "head": [
            {"dense": {**SOFTMAX["dense"], "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}}}},
        ]
    },
    "rmsprop": _optimizer("rmsprop"),
    "momentum": _optimizer("sgd", learning_rate=0.1, momentum=0.9, nesterov=True),
    "decay": _optimizer("adamw", weight_decay=0.1),
    "averaged weights": _optimizer("adam", use_ema=True),
    "clipped by norm": _optimizer("adam", clipnorm=0.1),
    "clipped by global norm": _optimizer("sgd", learning_rate=0.1, global_clipnorm=0.5),
    "a schedule": _optimizer(
        "adam",
        learning_rate={
            "class_name": "ExponentialDecay",
            "config": {"initial_learning_rate": 0.05, "decay_steps": 3, "decay_rate": 0.9},
        },
    ),
    "grey images": {"data.image_size": [32, 32], "frozen.data.classes": ["eight", "five", "nine", "seven", "six"]},
}

#: Networks of keras.applications with random weights: size of the images, and how the frozen arm calls them. Those that
#: drop units or whole blocks at random in fit are called in inference mode.
APPLICATIONS: dict[str, tuple[int, str]] = {
    "MobileNet": (32, "nested"),
    "MobileNetV2": (32, "flat"),
    "MobileNetV3Small": (32, "inference"),
    "VGG16": (32, "flat"),
    "VGG19": (32, "nested"),
    "ResNet50": (32, "nested"),
    "ResNet50V2": (32, "training_false"),
    "DenseNet121": (32, "nested"),
    "EfficientNetB0": (32, "inference"),
    "EfficientNetV2B0": (32, "inference"),
    "InceptionV3": (75, "flat"),
    "Xception": (71, "nested"),
    "NASNetMobile": (32, "nested"),
    "ConvNeXtTiny": (32, "nested"),
}
_NOISE = '''\
"""Images of noise, of two classes."""

import numpy as np


def samples():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (10, {size}, {size}, 3)).astype(np.uint8), random.permutation(10) % 2
'''
_APPLICATION = """\
version: 1
data:
  train: {{callable: "noise:samples"}}
  validation: {{callable: "noise:samples"}}
  image_size: [{size}, {size}]
backbone: {{application: {name}, weights: none}}
preprocessing: {{rescale: 0.00784313725490196, offset: -1.0}}
head: [dense: {{units: 2, activation: softmax}}]
training: {{loss: sparse_categorical_crossentropy, epochs: 1, batch_size: 4}}
frozen:
  backbone: {{call: {call}}}
"""

STRAIGHT = {"shuffle": False}
#: Options of both arms, then of the frozen arm and of the bottleneck arm alone.
IN_CODE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "nested": ({}, {}, {}),
    "flat": ({}, {"style": "flat"}, {}),
    "stacked": ({}, {"style": "sequential"}, {}),
    "subclassed": ({}, {"style": "subclassed"}, {}),
    "wrapped": ({}, {"style": "wrapped"}, {}),
    "layer by layer": ({}, {"style": "layer_by_layer"}, {}),
    "training=False": ({}, {"style": "training_false"}, {}),
    "inference mode and dropout": ({"noise": "dropout"}, {"style": "inference"}, {}),
    "subclassed inference mode and dropout": ({"noise": "dropout"}, {"style": "subclassed_inference"}, {}),
    "inference mode and noise": ({"noise": "gaussian"}, {"style": "inference"}, {}),
    "inference mode and old batch normalisation": ({"normalisation": "old"}, {"style": "inference"}, {}),
    "inference mode and drifting statistics": ({"normalisation": "drifting"}, {"style": "subclassed_inference"}, {}),
    "frozen layer by layer": ({}, {"freeze": "layers", "style": "flat"}, {}),
    "arrays not shuffled": (STRAIGHT, {}, {}),
    "a data set": (STRAIGHT, {"loader": "dataset"}, {}),
    "a cached data set": (STRAIGHT, {"loader": "cached", "style": "flat"}, {}),
    "a data set batched again": (STRAIGHT, {"loader": "unbatched"}, {}),
    "data sets in both": ({"loader": "dataset"}, {}, {}),
    "a sequence": (STRAIGHT, {"loader": "sequence"}, {}),
    "sequences in both": ({"loader": "sequence"}, {"style": "subclassed"}, {}),
    "a sequence against a data set": ({}, {"loader": "sequence"}, {"loader": "dataset"}),
    "a folder": ({"data": "sorted", **STRAIGHT}, {"loader": "directory"}, {}),
    "an ImageDataGenerator": ({"data": "sorted", **STRAIGHT}, {"loader": "generator"}, {}),
    "sorted in both": ({"data": "sorted", **STRAIGHT}, {}, {}),
    "one augmented draw in both": ({"views": "one"}, {}, {}),
    "three augmented draws in both": ({"views": "three"}, {"style": "flat"}, {}),
    "augmented anew for every epoch, in both": ({"views": "every epoch"}, {}, {}),
    "tail dropped in both": ({"loader": "dataset", "drop": True}, {}, {}),
    "labels in a column": ({}, {"labels": "column"}, {}),
    "float labels": ({}, {"labels": "float"}, {}),
    "labels spelt differently": ({}, {"labels": "one_hot"}, {}),
    "one-hot features": ({}, {}, {"labels": "one_hot"}),
    "one-hot in both": ({"labels": "one_hot"}, {}, {}),
    "smoothed in both": ({"labels": "one_hot", "loss": "smoothed"}, {}, {}),
    "logits in both": ({"logits": True, "loss": "from_logits"}, {}, {}),
    # Keras 3 sees the softmax in front of such a loss and takes what went into it.
    "from_logits behind a softmax": ({}, {"loss": "from_logits"}, {}),
    "another numbering in both": ({"classes": (2, 0, 3, 1)}, {}, {}),
    "rescaled inside": ({}, {"inside": "rescaling"}, {}),
    "rescaled by operations": ({}, {"inside": "operations"}, {}),
    "raw pixels in both": ({"scale": "none"}, {}, {}),
    "blue before red in both": ({"scale": "bgr"}, {}, {}),
    "max pooling": ({"pooling": "max"}, {"style": "wrapped"}, {}),
    "a deep head": ({"head": "deep"}, {"style": "sequential"}, {}),
    "dropout in the head": ({"head": "dropout"}, {}, {}),
    "dropout in the head of a subclassed model": ({"head": "dropout"}, {"style": "subclassed"}, {}),
    "a penalty in both": ({"penalty": True}, {"style": "flat"}, {}),
    "class weights in both": ({"weighted": True}, {}, {}),
    "sgd": ({"optimizer": "sgd", "momentum": 0.9}, {}, {}),
    "adamw": ({"optimizer": "adamw"}, {"style": "flat"}, {}),
    "rmsprop": ({"optimizer": "rmsprop"}, {}, {}),
    "clipped in both": ({"optimizer": "clipped"}, {"style": "subclassed"}, {}),
    "a schedule in both": ({"optimizer": "scheduled"}, {}, {}),
    "a large batch": ({"batch": 64}, {}, {}),
    "a batch size that divides": ({"batch": 11}, {}, {}),
    "features extracted in other batches": ({}, {}, {"extracted": 32}),
    "features extracted one by one": ({}, {}, {"extracted": 1}),
    "half precision in both": ({"precision": "mixed"}, {}, {}),
    "features of half precision": ({}, {}, {"precision": "mixed backbone"}),
    "validated on the training samples in both": ({"validation": "training"}, {}, {}),
}


def cases() -> list[Case]:
    """All clean pipelines."""
    declared = [Case("clean", f"spec: {name}", patches=(patch,)) for name, patch in DECLARED.items()]
    applications = [
        Case(
            "clean",
            f"keras.applications: {name}, {call}",
            files={
                "spec.yaml": _APPLICATION.format(name=name, size=size, call=call),
                "noise.py": _NOISE.format(size=size),
            },
        )
        for name, (size, call) in APPLICATIONS.items()
    ]
    in_code = [
        code_case("clean", f"code: {name}", frozen={**shared, **theirs}, bottleneck={**shared, **ours})
        for name, (shared, theirs, ours) in IN_CODE.items()
    ]
    return [*declared, *applications, *in_code]
