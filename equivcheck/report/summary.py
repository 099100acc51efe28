"""The paragraph that answers "why do my curves diverge?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.measured import Curve
from equivcheck.report.curve_gap import METRIC_NAMES, Gap, gap, values_of
from equivcheck.report.numbers import is_accuracy, measured, metric_share, metric_value, number, percent
from equivcheck.report.prose import counted, first_sentence, listed
from equivcheck.report.ranking import of_severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equivcheck.findings import Cleared, Finding
    from equivcheck.measured import Attribution, FirstDivergence, PhaseSpan
    from equivcheck.report.model import Verdict

#: Causes that are spelled out; the others are counted.
_SPELLED_OUT = 4

#: Where the curves were once this many times further apart than at the end, the end does not tell the story.
_TELLING = 1.5

_PP = "percentage points"
#: Share of a gap below which a difference of losses is the rounding of their sums.
_ROUNDING = 1e-6

_NOT_THE_SAME = (
    "training a head on stored features (bottleneck) and through the frozen backbone (frozen) is not the same "
    "computation."
)
_NO_CURVES = "No pair of curves was trained, so this rests on what was measured layer by layer and step by step."
_UNDECIDED = (
    "So this says neither that the two arms are equivalent nor that they differ: remove the obstacle and run the check "
    "again."
)


def summarise(
    name: str,
    verdict: Verdict,
    findings: Sequence[Finding],
    cleared: Sequence[Cleared],
    curves: Sequence[Curve],
    first_divergence: FirstDivergence,
    *,
    attribution: Attribution | None = None,
    compared: bool = True,
    reason: str | None = None,
    phases: Sequence[PhaseSpan] = (),
    untrained: str | None = None,
    undivided: str = "",
) -> str:
    """The answer in three to seven plain sentences.

    Args:
        name: Name of the spec.
        verdict: What the whole check came to.
        findings: All findings.
        cleared: Differences that proved harmless.
        curves: The curves that were trained, if any.
        first_divergence: First layers that differ on identical batches.
        attribution: How the gap divides among the causes, where that was replayed.
        compared: Whether the two arms' samples could be matched, so that layers were compared at all.
        reason: Why nothing can be concluded, as a clause; for an inconclusive verdict.
        phases: The phases of the training, where there are several.
        untrained: Why no arm was trained, as a clause; None where that was tried.
        undivided: Why it is not known how the gap divides, as a clause, where that was tried.

    Returns:
        One paragraph.
    """
    errors = of_severity(findings, "error")
    gaps = [found for metric in METRIC_NAMES if (found := gap(curves, metric))]
    # Shares come from the metric that the replays were scored by.
    metric = attribution["metric"] if attribution else gaps[0].metric if gaps else "val_accuracy"
    match verdict:
        case "divergent":
            sentences = [
                *_parting(name, gaps, untrained),
                *_in_phases(phases, curves),
                _causes(errors, metric),
                *(_accounting(attribution) if attribution else _unaccounted(undivided)),
                _layers(first_divergence, compared=compared),
                *_layers_later(phases, compared=compared),
                *_harmless(cleared),
                *_what_first(errors, curves),
            ]
        case "equivalent":
            sentences = [
                _agreement(name, gaps),
                *_in_phases(phases, curves),
                _layers(first_divergence, compared=compared),
                *_harmless(cleared),
                _nothing_to_repair(findings),
            ]
        case "inconclusive":
            sentences = [
                f"{name} could not be judged" + (f": {reason.rstrip('. ')}." if reason else "."),
                _causes(errors, metric) if errors else "No cause of a difference was found in what could be measured.",
                _trained(gaps, curves),
                _UNDECIDED,
            ]
    return " ".join(sentences)


def _parting(name: str, gaps: Sequence[Gap], untrained: str | None) -> list[str]:
    if not gaps:
        return [f"{name}: {_NOT_THE_SAME}", _NO_CURVES if untrained is None else _left_out(untrained)]
    main, *others = gaps
    first = (
        f"{name}: after {counted(main.epochs, 'epoch')} {METRIC_NAMES[main.metric]} is "
        f"{_value(main, main.bottleneck)} when the head is trained on stored features (bottleneck) and "
        f"{_value(main, main.frozen)} when it is trained through the frozen backbone (frozen), "
        f"{_difference(main, main.final)}."
    )
    sentences = [first]
    training = next((found for found in others if found.metric == "accuracy"), main)
    if abs(training.final) > abs(main.final):
        sentences.append(
            f"They part further in {METRIC_NAMES[training.metric]}: {_value(training, training.bottleneck)} against "
            f"{_value(training, training.frozen)}."
        )
    elif abs(main.widest) > _TELLING * abs(main.final):
        sentences.append(f"The two were further apart in epoch {main.widest_epoch}: {_difference(main, main.widest)}.")
    return sentences


def _in_phases(phases: Sequence[PhaseSpan], curves: Sequence[Curve]) -> list[str]:
    """How far apart the arms were at the end of each phase but the last."""
    told, before = [], 0
    for phase in phases[:-1]:
        if not phase.frozen or phase.bottleneck != phase.frozen:
            return []
        before += phase.frozen
        shown = [Curve(curve.arm, curve.metric, curve.values[:before]) for curve in curves]
        if found := next((found for metric in METRIC_NAMES if (found := gap(shown, metric))), None):
            told.append(
                f"Phase {phase.name} ends in epoch {before} with {_value(found, found.bottleneck)} and "
                f"{_value(found, found.frozen)}, {_difference(found, found.final)}."
            )
    return told


def _left_out(untrained: str) -> str:
    return (
        f"The arms were not trained ({untrained}), so this rests on what was measured layer by layer and step by step."
    )


def _value(of: Gap, value: float) -> str:
    return metric_value(of.metric, value)


def _difference(of: Gap, difference: float) -> str:
    if difference == 0:
        return "no difference"
    in_unit = 100 * difference if is_accuracy(of.metric) else difference
    return f"a difference of {metric_share(of.metric, in_unit, _PP)}"


def _causes(errors: Sequence[Finding], metric: str) -> str:
    if not errors:
        return "No check names a cause, so it lies in something that is not measured yet."
    spelled_out, more = errors[:_SPELLED_OUT], len(errors) - _SPELLED_OUT
    names = [_cause(finding, metric) for finding in spelled_out]
    if len(names) == 1:
        return f"The cause is this: {names[0]}."
    numbered = [f"({index}) {text}" for index, text in enumerate(names, start=1)]
    rest = [f"{counted(more, 'more cause')}"] if more > 0 else []
    order = ", the largest first" if all(finding.share is not None for finding in errors) else ""
    return f"There are {len(errors)} causes{order}: {'; '.join(numbered + rest)}."


def _cause(finding: Finding, metric: str) -> str:
    """Title, code, and its one telling number: the share of the gap, else the first measurement."""
    facts = [finding.code]
    if finding.share is not None:
        facts.append(f"{metric_share(metric, finding.share, _PP)} of the gap")
    else:
        facts += [measured({key: value}) for key, value in list(finding.measured.items())[:1]]
    return f"{first_sentence(finding.title)} ({': '.join(facts)})"


def _accounting(found: Attribution) -> list[str]:
    """What the shares are shares of, and what is left over."""
    metric, times = found["metric"], found["repetitions"]
    seeds = f", the mean over {times} seeds" if times > 1 else ""
    left = metric_share(metric, found["residual"], _PP) if found["residual"] else "nothing"
    if 0 < abs(found["residual"]) <= _ROUNDING * abs(found["gap"]):
        left = "nothing beyond rounding"
    gap = metric_share(metric, found["gap"], _PP)
    sentences = [f"Counterfactual trainings account for the gap in {METRIC_NAMES[metric]} ({gap}{seeds})"]
    sentences[0] += f"; {left} is left unexplained."
    if together := found["interactions"][:1]:
        share = metric_share(metric, together[0]["share"], _PP)
        sentences.append(f"{listed(together[0]['codes'])} act together ({share} beyond what each makes alone).")
    smallest, causes = found["smallest"], len(found["shares"])
    if smallest and len(smallest) < causes:
        sentences.append(f"Repairing {listed(smallest)} alone closes it.")
    return sentences


def _unaccounted(why: str) -> list[str]:
    return [f"How much of the gap each cause makes is not known: {why}."] if why else []


def _layers(first: FirstDivergence, *, compared: bool) -> str:
    if not compared:
        return (
            "The samples of the two arms could not be matched, so no layer was compared; causes that only this would "
            "show, such as another preprocessing, may be missing here."
        )
    if first.inference is None and first.training is None:
        return "Fed identical batches, no layer was found to differ, in inference or as fit runs it."
    if first.inference is None:
        return (
            "Fed identical batches, the arms agree in every layer in inference; as fit runs them, they first part at "
            f"{first.training}."
        )
    if first.training is None or first.training == first.inference:
        return f"Fed identical batches, the arms first part at {first.inference}, already in inference."
    return (
        f"Fed identical batches, the arms first part at {first.inference} in inference and at {first.training} "
        "as fit runs them."
    )


def _layers_later(phases: Sequence[PhaseSpan], *, compared: bool) -> list[str]:
    return [
        f"In phase {phase.name}, from equal weights, they part at {phase.first_divergence.training} as fit runs them."
        for phase in phases[1:]
        if compared and phase.first_divergence.training is not None
    ]


def _harmless(cleared: Sequence[Cleared]) -> list[str]:
    if not cleared:
        return []
    names = list(dict.fromkeys(f"{difference.name.replace('-', ' ')} ({difference.code})" for difference in cleared))
    return [f"Measured and harmless: {listed(names)}."]


def _what_first(errors: Sequence[Finding], curves: Sequence[Curve]) -> list[str]:
    sentences = []
    if repairable := next((finding for finding in errors if finding.repair), None):
        assert repairable.repair
        sentences.append(f"Start with {repairable.code}: {first_sentence(repairable.repair.text)}.")
    for metric in filter(is_accuracy, METRIC_NAMES):
        if values := values_of(curves, "repaired", metric):
            sentences.append(
                f"With every repair applied the frozen arm was trained again and reached {percent(values[-1])} "
                f"{METRIC_NAMES[metric]}."
            )
            break
    return sentences


def _agreement(name: str, gaps: Sequence[Gap]) -> str:
    if not gaps:
        return (
            f"{name}: the two arms are the same computation in everything that was measured; no pair of curves was "
            "trained."
        )
    compared = f"{listed([METRIC_NAMES[found.metric] for found in gaps])} over {counted(gaps[0].epochs, 'epoch')}"
    apart = max(gaps, key=lambda found: abs(found.widest))
    if apart.widest == 0:
        return f"{name}: the two arms train alike, their curves agree to the last bit ({compared})."
    return (
        f"{name}: the two arms train alike, their curves differ by at most {number(abs(apart.widest))} "
        f"({METRIC_NAMES[apart.metric]}; compared: {compared})."
    )


def _nothing_to_repair(findings: Sequence[Finding]) -> str:
    worth_reading = [
        counted(len(found), noun)
        for noun, found in (("warning", of_severity(findings, "warning")), ("note", of_severity(findings, "note")))
        if found
    ]
    if worth_reading:
        return f"Nothing separates the arms, but {listed(worth_reading)} below should be read."
    return "There is nothing to repair."


def _trained(gaps: Sequence[Gap], curves: Sequence[Curve]) -> str:
    if gaps:
        main = gaps[0]
        return (
            f"Both arms were trained, but their {METRIC_NAMES[main.metric]}, {_value(main, main.bottleneck)} "
            f"(bottleneck) and {_value(main, main.frozen)} (frozen), cannot be relied on."
        )
    arms = sorted({curve.arm for curve in curves})
    return f"Curves exist for {listed(arms)} only." if arms else "No curves were trained."
