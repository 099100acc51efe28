"""What a log says of its training, and the spec says otherwise: then the two curves are not of one experiment."""

from __future__ import annotations

from dataclasses import dataclass

from equivcheck.measured import ObservedLog


@dataclass(frozen=True, slots=True)
class Declared:
    """What a spec says of one arm's training.

    Attributes:
        epochs: Epochs of all phases; None where only the user's code knows.
        batches: Batches of an epoch.
        samples: Samples of an epoch.
        validated: Samples of an evaluation; None where there is none.
    """

    epochs: int | None
    batches: int
    samples: int
    validated: int | None


def unlike(log: ObservedLog, declared: Declared) -> tuple[str, ...]:
    """In words, one for each thing; nothing is said of what the log does not tell."""
    said = [
        ("of {} epochs", log.planned_epochs, declared.epochs),
        ("on {} samples an epoch", log.training_samples, declared.samples),
        ("validated on {} samples", log.validation_samples, declared.validated),
    ]
    # Old versions of Keras counted samples there, later ones batches.
    bars = {declared.batches, declared.samples}
    if len(log.steps) == 1 and log.steps[0] not in bars:
        said.append(("with bars of {}", log.steps[0], declared.batches))
    return tuple(
        f"{text.format(told)}, in the spec {'none' if ours is None else ours}"
        for text, told, ours in said
        if told is not None and told != ours and not (ours is None and text.startswith("of"))
    )
