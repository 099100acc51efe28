"""Pipelines as people write them: nothing about them is declared to the tool, which has to measure everything.

``bottleneck`` and ``frozen`` each make one arm. Their options are how people differ; a fault is planted by giving one
arm another option than the other. The images are patterns of four classes, 16 x 16 pixels, in a mixed order.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

HERE = Path(__file__).parent
CLASSES = 4
SIZE = (16, 16, 3)
BATCH = 8  # 44 samples: five batches and a tail of four

RANDOM = np.random.default_rng(0)


def patterns(count):
    """Coarse patterns, one family a class, in a mixed order."""
    labels = RANDOM.permutation(count) % CLASSES
    families = RANDOM.integers(40, 200, (CLASSES, 4, 4, 3))
    coarse = families[labels] + RANDOM.integers(-40, 40, (count, 4, 4, 3))
    return np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2).astype(np.uint8), labels


TRAIN, TRAIN_LABELS = patterns(44)
VALIDATION, VALIDATION_LABELS = patterns(20)


# --- images ---


def scaled(images, mode):
    """What preprocessing scripts do to pixels."""
    images = np.asarray(images, "float32") if not tf.is_tensor(images) else tf.cast(images, "float32")
    if mode == "tf":
        return images / 127.5 - 1.0
    if mode == "unit":
        return images / 255.0
    if mode == "bgr":
        return images[..., ::-1] / 127.5 - 1.0
    if mode == "twice":
        return (images / 127.5 - 1.0) / 255.0
    return images


def samples(data):
    """Images and labels as arrays in a mixed order, sorted by class, or some of them."""
    rows = np.arange(len(TRAIN))
    if data == "sorted":
        rows = np.argsort(TRAIN_LABELS, kind="stable")
    elif data == "short":
        rows = rows[:36]
    return TRAIN[rows], TRAIN_LABELS[rows]


def viewed(images, labels, how):
    """Images mirrored at random, from a seed, before anything else is done: a draw of each, or three."""
    draws = {"none": 0, "one": 1, "three": 3}.get(how, 0)
    if not draws:
        return images, labels
    mirrored = np.random.default_rng(5).random((draws, len(images))) < 0.5
    views = [np.where(chosen[:, None, None, None], images[:, :, ::-1], images) for chosen in mirrored]
    return np.concatenate(views), np.tile(labels, draws)


def anew(x, y, batch):
    """Batches whose images are mirrored anew in every epoch, alike wherever they are read."""
    drawn = tf.data.Dataset.random(seed=5, rerandomize_each_iteration=True)
    pairs = tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices((x, y)), drawn)

    def mirrored(sample, number):
        return tf.image.stateless_random_flip_left_right(sample[0], seed=(number, 0)), sample[1]

    return pairs.map(mirrored).batch(batch)


def folder():
    """The training images as PNG files in a folder for each class."""
    root = HERE / "images"
    for row in np.argsort(TRAIN_LABELS, kind="stable"):
        path = root / f"class_{TRAIN_LABELS[row]}" / f"{row:03}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(TRAIN[row]).save(path)
    return root


def encoded(labels, how):
    """Labels as the loss is given them."""
    if how == "one_hot":
        return keras.utils.to_categorical(labels, CLASSES)
    if how == "column":
        return labels[:, None]
    if how == "float":
        return labels.astype("float32")
    return labels


# --- loaders ---


class Batches(keras.utils.PyDataset):
    """A hand-written sequence; some shuffle themselves, some forget the tail, some wrap around to fill it."""

    def __init__(self, x, y, batch, habit):
        super().__init__()
        self.x, self.y, self.batch, self.habit = x, y, batch, habit
        self.order = np.arange(len(x))

    def __len__(self):
        return len(self.x) // self.batch if self.habit == "drops" else -(-len(self.x) // self.batch)

    def __getitem__(self, index):
        rows = np.arange(index * self.batch, (index + 1) * self.batch)
        rows = rows % len(self.x) if self.habit == "wraps" else rows[rows < len(self.x)]
        return self.x[self.order[rows]], self.y[self.order[rows]]

    def on_epoch_end(self):
        if self.habit == "shuffles":
            np.random.default_rng(0).shuffle(self.order)


def loaded(x, y, o):
    """Training data as fit takes them, and the arguments that fit needs with them."""
    if o.loader == "arrays":
        return (x, y), {"batch_size": o.batch, "shuffle": o.shuffle}
    if o.loader in {"dataset", "mapped", "small_buffer", "reshuffled", "unbatched", "cached"}:
        made = tf.data.Dataset.from_tensor_slices((x, y))
        if o.loader == "small_buffer":
            made = made.shuffle(3, seed=1)
        if o.loader == "reshuffled":
            made = made.shuffle(len(x), seed=1)
        if o.loader == "mapped":
            made = made.map(lambda image, label: (tf.image.random_flip_left_right(image, seed=1), label))
        if o.loader == "cached":
            made = made.cache()
        made = made.batch(o.batch, drop_remainder=o.drop)
        if o.loader == "unbatched":
            made = made.unbatch().batch(o.batch)
        return made.prefetch(2), {}
    if o.loader == "sequence":
        return Batches(x, y, o.batch, o.habit), {"shuffle": False}
    if o.loader == "directory":
        made = keras.utils.image_dataset_from_directory(
            folder(), image_size=SIZE[:2], batch_size=o.batch, shuffle=False, verbose=False, label_mode="int"
        )
        return made.map(lambda images, labels: (scaled(images, o.scale), labels)), {}
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        preprocessing_function=lambda image: scaled(image, o.scale)
    )
    flow = generator.flow_from_directory(
        folder(), target_size=SIZE[:2], batch_size=o.batch, shuffle=False, class_mode="sparse"
    )
    return flow, {"shuffle": False}


# --- networks ---


class OldBatchNormalization(keras.layers.BatchNormalization):
    """As ported from Keras 2.1: freezing it keeps its weights, not its mode."""

    def call(self, inputs, training=None, mask=None):  # noqa: ARG002  (Keras' own signature)
        if not training:
            return super().call(inputs, training=False)
        mean, variance = keras.ops.moments(inputs, axes=(0, 1, 2))
        return keras.ops.batch_normalization(
            inputs, mean, variance, axis=-1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )


class DriftingBatchNormalization(OldBatchNormalization):
    """As ported from Keras 1: its statistics move as well."""

    def call(self, inputs, training=None, mask=None):  # noqa: ARG002  (Keras' own signature)
        if training:
            mean, variance = keras.ops.moments(inputs, axes=(0, 1, 2))
            self.moving_mean.assign(0.9 * self.moving_mean + 0.1 * mean)
            self.moving_variance.assign(0.9 * self.moving_variance + 0.1 * variance)
        return super().call(inputs, training=training)


NORMALISATIONS = {
    "keras": keras.layers.BatchNormalization,
    "old": OldBatchNormalization,
    "drifting": DriftingBatchNormalization,
}


def backbone(o):
    """A small pretrained network: the same weights at each call."""
    keras.utils.set_random_seed(o.weights)
    inputs = keras.Input(SIZE, name="image")
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False, name="conv1")(inputs)
    x = NORMALISATIONS[o.normalisation](name="bn1")(x)
    x = keras.layers.ReLU(name="relu1")(x)
    if o.noise == "gaussian":
        x = keras.layers.GaussianNoise(0.3, name="noise")(x)
    x = keras.layers.SeparableConv2D(12, 3, padding="same", name="conv2")(x)
    x = NORMALISATIONS[o.normalisation](name="bn2")(x)
    x = keras.layers.Activation("relu", name="relu2")(x)
    if o.noise == "spatial":
        x = keras.layers.SpatialDropout2D(0.4, name="spatial")(x)
    pooling = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}[o.pooling]
    x = pooling(name="pool")(x)
    if o.noise == "dropout":
        x = keras.layers.Dropout(0.5, name="dropout")(x)
    base = keras.Model(inputs, x, name="base")
    for name in ("bn1", "bn2"):
        layer = base.get_layer(name)
        layer.moving_mean.assign(np.linspace(-0.2, 0.2, layer.moving_mean.shape[0]))
        layer.moving_variance.assign(np.linspace(0.2, 0.6, layer.moving_variance.shape[0]))
    return base


class InferenceOnly(keras.layers.Layer):
    """Runs a network as predict does, whatever fit says."""

    def __init__(self, network):
        super().__init__(name="inference_only")
        self.network = network

    def call(self, inputs):
        return self.network(inputs, training=False)


class Wrapped(keras.layers.Layer):
    """A network inside a layer of the user's own."""

    def __init__(self, network):
        super().__init__(name="wrapped")
        self.network = network

    def call(self, inputs, training=None):
        return self.network(inputs, training=training)


class EndToEnd(keras.Model):
    """Backbone and head in a subclassed model."""

    def __init__(self, base, head, training):
        super().__init__(name="end_to_end")
        self.base, self.head, self.mode = base, head, training

    def call(self, inputs, training=None):
        x = self.base(inputs, training=training if self.mode == "passed" else False)
        for layer in self.head:
            x = layer(x, training=training) if isinstance(layer, keras.layers.Dropout) else layer(x)
        return x


def head_layers(o):
    """The head: always drawn from the same seed, whatever was built before."""
    start = keras.initializers.GlorotUniform(seed=o.head_seed)
    penalty = keras.regularizers.L2(0.01) if o.penalty else None
    last = keras.layers.Dense(
        CLASSES,
        activation=None if o.logits else "softmax",
        kernel_initializer=start,
        kernel_regularizer=penalty,
        name="probabilities",
    )
    if o.head == "dropout":
        return [keras.layers.Dropout(0.3, seed=5, name="head_dropout"), last]
    if o.head == "deep":
        hidden = keras.initializers.GlorotUniform(seed=11)
        return [keras.layers.Dense(6, activation="relu", kernel_initializer=hidden, name="hidden"), last]
    return [last]


def compiled(model, o):
    """Compiles."""
    names = {"sparse": "sparse_categorical_crossentropy", "one_hot": "categorical_crossentropy"}
    loss = o.loss or names["one_hot" if o.labels == "one_hot" else "sparse"]
    if loss == "from_logits":
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if loss == "smoothed":
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.2)
    made = {
        "adam": lambda: keras.optimizers.Adam(o.rate),
        "sgd": lambda: keras.optimizers.SGD(o.rate, momentum=o.momentum),
        "rmsprop": lambda: keras.optimizers.RMSprop(o.rate),
        "adamw": lambda: keras.optimizers.AdamW(o.rate, weight_decay=0.01),
        "clipped": lambda: keras.optimizers.Adam(o.rate, clipnorm=0.01),
        "scheduled": lambda: keras.optimizers.Adam(
            keras.optimizers.schedules.ExponentialDecay(o.rate, decay_steps=5, decay_rate=0.9)
        ),
    }[o.optimizer]()
    model.compile(optimizer=made, loss=loss, metrics=["accuracy"], jit_compile=o.jit)
    return model


def called(base, o):
    """An input of the model's own, and the backbone called on it."""
    inputs = x = keras.Input(SIZE)
    if o.style == "layer_by_layer":
        for layer in base.layers[1:]:
            x = layer(x)
        return inputs, x
    if o.inside == "rescaling":
        x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    if o.inside == "operations":
        x = x / 127.5 - 1.0
    if o.inside == "flip":
        x = keras.layers.RandomFlip("horizontal", seed=3)(x)
    if o.style == "training_false":
        return inputs, base(x, training=False)
    wrapper = {"nested": None, "wrapped": Wrapped, "inference": InferenceOnly}[o.style]
    return inputs, wrapper(base)(x) if wrapper else base(x)


def joined(base, o):
    """Backbone and head in one model, in one of the ways in which people join them."""
    head = head_layers(o)
    if o.style == "subclassed":
        return EndToEnd(base, head, "passed")
    if o.style == "subclassed_inference":
        return EndToEnd(base, head, "inference")
    if o.style == "sequential":
        return keras.Sequential([keras.Input(SIZE), base, *head], name="stacked")
    inputs, x = (base.input, base.output) if o.style == "flat" else called(base, o)
    for layer in head:
        x = layer(x)
    return keras.Model(inputs, x, name="end_to_end")


def freeze(base, model, o):
    """Freezes, or means to."""
    if o.freeze == "base":
        base.trainable = False
    elif o.freeze == "layers":
        for layer in base.layers:
            layer.trainable = False
    elif o.freeze == "wrong_slice":
        for layer in model.layers[:-2]:
            layer.trainable = False
    elif o.freeze == "one_back_on":
        base.trainable = False
        base.get_layer("conv2").trainable = True
    elif o.freeze == "normalisation_back_on":
        base.trainable = False
        base.get_layer("bn2").trainable = True
    elif o.freeze == "everything":
        model.trainable = False


@contextmanager
def precision(o, part):
    """Under which policy the backbone or the model is built."""
    keras.config.set_dtype_policy("mixed_float16" if o.precision in {"mixed", f"mixed {part}"} else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


# --- arms ---

DEFAULTS = {
    "style": "nested",
    "loader": "arrays",
    "data": "mixed",
    "batch": BATCH,
    "shuffle": True,
    "habit": "plain",
    "drop": False,
    "views": "none",
    "scale": "tf",
    "inside": "nothing",
    "classes": (0, 1, 2, 3),
    "labels": "sparse",
    "loss": None,
    "normalisation": "keras",
    "noise": "none",
    "pooling": "avg",
    "weights": 1,
    "freeze": "base",
    "late": False,
    "head": "plain",
    "head_seed": 7,
    "penalty": False,
    "logits": False,
    "optimizer": "adam",
    "rate": 0.01,
    "momentum": 0.0,
    "jit": False,
    "epochs": 2,
    "weighted": False,
    "misaligned": "no",
    "validation": "own",
    "precision": "single",
    "callbacks": False,
    "extracted": 8,
}


def chosen(options):
    """All options, those given before the defaults."""
    unknown = options.keys() - DEFAULTS.keys()
    if unknown:
        raise TypeError(f"unknown options: {unknown}")
    return SimpleNamespace(**{**DEFAULTS, **options})


def renumbered(labels, o):
    """Class indices in this arm's own numbering."""
    return np.asarray(o.classes)[labels]


def arguments(o, extra):
    """What fit is given beside the data."""
    fit = {"epochs": o.epochs, **extra}
    if o.weighted:
        fit["class_weight"] = {0: 5.0, 1: 1.0, 2: 1.0, 3: 0.2}
    if o.callbacks:
        fit["callbacks"] = [keras.callbacks.EarlyStopping(monitor="loss", patience=0, min_delta=10.0)]
    return fit


def validation_samples(o):
    """Images and labels to validate on."""
    if o.validation == "training":
        return TRAIN, TRAIN_LABELS
    if o.validation == "short":
        return VALIDATION[:12], VALIDATION_LABELS[:12]
    return VALIDATION, VALIDATION_LABELS


def bottleneck(**options):
    """A head on features that were stored before."""
    o = chosen(options)
    with precision(o, "backbone"):
        base = backbone(o)
    base.trainable = False
    images, labels = viewed(*samples(o.data), o.views)
    x = scaled(images, o.scale)
    held, held_labels = validation_samples(o)
    held = scaled(held, o.scale)
    features = base.predict(x, batch_size=o.extracted, verbose=0)
    if o.misaligned == "features":
        features = features[np.random.default_rng(3).permutation(len(features))]
    if o.misaligned == "labels":
        labels = labels[np.random.default_rng(3).permutation(len(labels))]
    if o.misaligned == "stale":
        features = backbone(chosen({**options, "weights": 99})).predict(x, verbose=0)
    with precision(o, "model"):
        model = compiled(keras.Sequential([keras.Input(features.shape[1:]), *head_layers(o)], name="top"), o)
    y = encoded(renumbered(labels, o), o.labels)
    data, extra = loaded(features, y, o)
    if o.views == "every epoch":
        data = anew(x, y, o.batch).map(lambda views, labels: (base(views, training=False), labels))
        x, extra = None, {}
    held_features = base.predict(held, batch_size=o.extracted, verbose=0)
    return SimpleNamespace(
        model=model,
        train=data,
        validation=(held_features, encoded(renumbered(held_labels, o), o.labels)),
        fit=arguments(o, extra),
        backbone=base,
        images=x,
        validation_images=held,
    )


def frozen(**options):
    """Backbone and head trained end to end."""
    o = chosen(options)
    with precision(o, "backbone"):
        base = backbone(o)
    with precision(o, "model"):
        model = joined(base, o)
    freeze(base, model, o)
    images, labels = viewed(*samples(o.data), o.views)
    x = scaled(images, "none" if o.inside in {"rescaling", "operations"} else o.scale)
    held, held_labels = validation_samples(o)
    held = scaled(held, "none" if o.inside in {"rescaling", "operations"} else o.scale)
    y = encoded(renumbered(labels, o), o.labels)
    compiled(model, o)
    if o.late:
        # A trial epoch before the backbone is frozen: from then on the train function knows what it updates.
        base.trainable = True
        compiled(model, o)
        model.optimizer.build(model.trainable_variables)
        variables = [*model.variables, *model.optimizer.variables]
        before = [np.array(variable) for variable in variables]
        model.fit(x, y, batch_size=o.batch, verbose=0)
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        base.trainable = False
    data, extra = (anew(x, y, o.batch), {}) if o.views == "every epoch" else loaded(x, y, o)
    return SimpleNamespace(
        model=model,
        train=data,
        validation=(held, encoded(renumbered(held_labels, o), o.labels)),
        fit=arguments(o, extra),
    )
