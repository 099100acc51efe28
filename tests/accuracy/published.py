"""``reports/accuracy.md``: what the study found, misses and false alarms by name."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version

import compatible
import declared
import in_code
from cases import Case, Outcome, judge

from equivcheck.catalog import all_checks

#: What the study must reach: of single faults and clean pipelines all, of the causes in combinations 98 %.
MOST_MISSED_IN_COMBINATIONS = 0.02

Results = Sequence[tuple[Case, Outcome]]


def reached(results: Results) -> bool:
    """Whether every target is met."""
    single, combined, clean = (_of(results, kind) for kind in ("single", "combined", "clean"))
    alone = all(judge(case, outcome).right for case, outcome in [*single, *clean])
    planted = sum(len(case.planted) for case, _ in combined)
    missed = sum(len(judge(case, outcome).missed) for case, outcome in combined)
    return alone and missed <= MOST_MISSED_IN_COMBINATIONS * planted and not _broken(combined)


_INTRODUCTION = """\
# Accuracy

Faults are planted in clean pipelines and the tool is asked for the causes; clean pipelines of many kinds are shown to
it as well. Made by `python tests/accuracy/study.py --write`; the cases are in `tests/accuracy/`.
"""


def page(results: Results, source: str, sample: str = "") -> str:
    """The whole page.

    Args:
        results: What came of every case.
        source: Hash of the package and the fixtures that they came of.
        sample: How the cases were drawn; empty for all of them.
    """
    versions = ", ".join(f"{name} {version(name)}" for name in ("equivcheck", "tensorflow", "keras", "numpy"))
    seeds = f"{declared.SEED} (declared in a spec) and {in_code.SEED} (in code)"
    return "\n".join(
        [
            _INTRODUCTION,
            f"Python {platform.python_version()}, {versions}, CPU. Combinations are drawn with seeds {seeds}.",
            f"SHA-256 of package and fixtures: {source[:16]}.",
            *([f"A sample: {len(results)} cases {sample}."] if sample else []),
            "",
            *_section("In total", _totals(results)),
            *_section("Everything that was wrong", _wrong(results)),
            *_section("By check", _by_check(results)),
            *_section("Planted together", _together(results)),
            *_section("Clean pipelines", [f"- {case.name}" for case, _ in _of(results, "clean")]),
            *_section("Not planted", _not_planted()),
        ]
    )


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""]


def _of(results: Results, kind: str) -> list[tuple[Case, Outcome]]:
    return [(case, outcome) for case, outcome in results if case.kind == kind]


def _broken(results: Results) -> int:
    return sum(bool(judge(case, outcome).broken) for case, outcome in results)


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines]


def _totals(results: Results) -> list[str]:
    rows = []
    for kind, what in (
        ("single", "one fault"),
        ("combined", "two or three faults"),
        ("clean", "clean"),
    ):
        found = _of(results, kind)
        judged = [judge(case, outcome) for case, outcome in found]
        planted = sum(len(case.planted) for case, _ in found)
        named = planted - sum(len(judgement.missed) for judgement in judged)
        later = sum(bool(outcome.uncovered) for _, outcome in found)
        first = sum(not judgement.behind and not judgement.missed for judgement in judged)
        rows.append(
            [
                what,
                len(found),
                f"{named} of {planted}" + (f" ({100 * named / planted:.1f} %)" if planted else "") if planted else "",
                f"{first} of {len(found)}" if kind == "single" else "",
                later if planted else "",
                sum(bool(judgement.alarms) for judgement in judged),
                _broken(found),
            ]
        )
    headings = [
        "pipelines",
        "number",
        "causes named",
        "cause first",
        "uncovered by repairing others",
        "with another error",
        "could not be judged",
    ]
    return _table(headings, rows)


def _wrong(results: Results) -> list[str]:
    lines = []
    for case, outcome in results:
        judgement = judge(case, outcome)
        if judgement.right:
            continue
        said = [
            *(f"missed {cause.code} ({cause.name})" for cause in judgement.missed),
            *(f"{code} came first" for code in judgement.behind if code not in judgement.alarms),
            *(f"false alarm {code}" for code in judgement.alarms),
            *(f"not judged: {reason}" for reason in judgement.broken),
        ]
        lines.append(f"- {case.kind}, {case.name}: {'; '.join(said)}")
    return lines or ["Nothing."]


def _by_check(results: Results) -> list[str]:
    counts: Mapping[str, dict[str, int]] = {
        check.code: dict.fromkeys(("alone", "found", "together", "named", "alarms"), 0) for check in all_checks()
    }
    for case, outcome in results:
        judgement = judge(case, outcome)
        for cause in case.planted:
            row = counts[str(cause.code)]
            planted, found = ("alone", "found") if case.kind == "single" else ("together", "named")
            row[planted] += 1
            row[found] += cause not in judgement.missed
        for code in judgement.alarms:
            counts[code]["alarms"] += 1
    headings = ["code", "name", "planted alone", "found", "planted with others", "named", "false alarms"]
    return _table(headings, ([check.code, check.name, *counts[check.code].values()] for check in all_checks()))


def _together(results: Results) -> list[str]:
    rows = []
    for case, outcome in _of(results, "combined"):
        judgement = judge(case, outcome)
        missed = ", ".join(str(cause.code) for cause in judgement.missed)
        rows.append([case.name, ", ".join((*outcome.errors, *outcome.others)) or outcome.trouble, missed])
    return _table(["planted", "said", "missed"], rows)


def _not_planted() -> list[str]:
    lines = ["Single faults that a base does not let happen:", ""]
    lines += [f"- {code} on {base}: {reason}" for (base, code), reason in sorted(declared.UNFIT.items())]
    lines += ["", "Pairs, and triples that hold such a pair:", ""]
    lines += [f"- {pair}: {reason}" for pair, reason in declared.left_out().items()]
    lines += [f"- {one} with {other} in code: {reason}" for (one, other), reason in in_code.MASKED_OPTIONS.items()]
    lines += [f"- {together}: {reason}" for together, reason in declared.UNPLANTABLE.items()]
    lines.append("- every two faults of which one sets a key or option that the other sets, or decides what it says")
    lines += ["", "What two faults make together that neither makes alone, and so no false alarm:", ""]
    lines += [f"- {' and '.join(pair)}: {code}, {reason}" for pair, (code, reason) in compatible.TOGETHER.items()]
    if waiting := in_code.waiting():
        lines += ["", f"Faults that no check is for yet: {', '.join(waiting)}."]
    return lines
