"""The names that Keras knows, so that a spec can be judged without importing Keras.

A test compares each list with the installed Keras. The ``Literal`` types are what the models check; the tuples of
the same names are for everyone else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args

#: Functions of ``keras.applications``, and one network that it lacks.
Application = Literal[
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet101",
    "ResNet101V2",
    "ResNet152",
    "ResNet152V2",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "VGG19",
    "Xception",
    "inception_v4",
]
APPLICATIONS: tuple[str, ...] = get_args(Application)

#: Modules of ``keras.applications`` with a ``preprocess_input``.
PreprocessingModule = Literal[
    "convnext",
    "densenet",
    "efficientnet",
    "efficientnet_v2",
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3",
    "nasnet",
    "resnet",
    "resnet_v2",
    "vgg16",
    "vgg19",
    "xception",
]
PREPROCESSING: tuple[str, ...] = get_args(PreprocessingModule)

#: Optimizers, in lower case as ``keras.optimizers.get`` takes them.
OptimizerName = Literal[
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "ftrl",
    "lion",
    "muon",
    "nadam",
    "rmsprop",
    "schedulefreeadamw",
    "sgd",
]
OPTIMIZERS: tuple[str, ...] = get_args(OptimizerName)

#: Loss functions of ``keras.losses`` for a classifier, as ``keras.losses.get`` takes them.
Loss = Literal[
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "dice",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]
LOSSES: tuple[str, ...] = get_args(Loss)


def snake_case(name: str) -> str:
    """A layer's name in a spec: the one that Keras itself derives from the class, ``GlobalAveragePooling2D`` included.

    It is the rule of ``keras.src.utils.naming.to_snake_case``, which names unnamed layers, so a spec and
    ``model.summary()`` say the same: ``global_average_pooling2d`` (not ``..._2d``), ``re_lu``, ``leaky_re_lu``.
    """
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", words).lower()


_HEAD = (
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "AveragePooling2D",
    "BatchNormalization",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "ELU",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "GroupNormalization",
    "Identity",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPooling2D",
    "PReLU",
    "RMSNormalization",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "Softmax",
    "SpatialDropout2D",
    "UnitNormalization",
    "ZeroPadding2D",
)

# MixUp and CutMix are missing on purpose: they mix the labels too, which a layer in front of a backbone cannot.
_AUGMENTATION = (
    "AugMix",
    "AutoContrast",
    "Equalization",
    "GaussianNoise",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "Rescaling",
    "Solarization",
)

#: Layers of a classifier's head. None executes code from the spec (no Lambda).
HEAD: tuple[str, ...] = tuple(sorted(map(snake_case, _HEAD)))

#: Layers that change images at random, and the plain ones that are used beside them.
AUGMENTATION: tuple[str, ...] = tuple(sorted(map(snake_case, _AUGMENTATION)))

#: Name in a spec -> class of ``keras.layers``, for both lists.
LAYERS: Mapping[str, str] = {snake_case(name): name for name in (*_HEAD, *_AUGMENTATION)}


#: Families of ``keras.applications`` and the module whose ``preprocess_input`` their weights know; the first that fits.
_FAMILIES = (
    (r"ConvNeXt", "convnext"),
    (r"DenseNet", "densenet"),
    (r"EfficientNetV2", "efficientnet_v2"),
    (r"EfficientNet", "efficientnet"),
    (r"InceptionResNetV2", "inception_resnet_v2"),
    (r"InceptionV3", "inception_v3"),
    (r"MobileNetV3", "mobilenet_v3"),
    (r"MobileNetV2", "mobilenet_v2"),
    (r"MobileNet", "mobilenet"),
    (r"NASNet", "nasnet"),
    (r"ResNet\d+V2", "resnet_v2"),
    (r"ResNet", "resnet"),
    (r"VGG16", "vgg16"),
    (r"VGG19", "vgg19"),
    (r"Xception", "xception"),
    # The same range of inputs, -1 to 1, in TF-Slim's inception_preprocessing.py for all of them.
    (r"inception_v4", "inception_v3"),
)


def preprocessing_of(application: str) -> str:
    """The module of ``keras.applications`` that a function's pretrained weights belong to."""
    return next(module for family, module in _FAMILIES if re.match(family, application))
