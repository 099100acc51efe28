"""What metrics are called, by version of Keras and in logs that a translator went over."""

from __future__ import annotations

#: Keras names an accuracy after how it resolved it; translators of forum posts do not stop at logs.
_ALIASES = {
    "acc": "accuracy",
    "binary_accuracy": "accuracy",
    "categorical_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "exactitude": "accuracy",
    "exactitud": "accuracy",
    "genauigkeit": "accuracy",
    "准确率": "accuracy",
    "精度": "accuracy",
    "perte": "loss",
    "pérdida": "loss",
    "perdida": "loss",
    "perda": "loss",
    "verlust": "loss",
    "损失": "loss",
    "損失": "loss",
}

#: The word in front of "1/50".
EPOCH = frozenset(
    {"epoch", "epoque", "époque", "epoca", "época", "epoche", "эпоха", "エポック", "时代", "时期", "纪元", "轮"}
)


def metric_name(written: str) -> str:
    """``val_acc`` -> ``val_accuracy``, ``perte`` -> ``loss``; an unknown name stays as it is, in lower case."""
    name = written.casefold()
    short = name.removeprefix("val_")
    return ("val_" if name != short else "") + _ALIASES.get(short, short)
