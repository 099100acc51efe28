"""How often the tool is right: ``python tests/accuracy/study.py [--write]``.

Plants faults alone and together, declared in a spec and in code, and shows clean pipelines of many kinds. Outcomes are
kept as they come, so a study that was stopped goes on where it was; ``--jobs 2`` runs two cases side by side. Exits
with 1 where a target is missed; ``--write`` also writes ``reports/accuracy.md``. The whole takes half an hour of one
core, on a slow machine more than one hour; ``--sample 60`` a part of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import clean
import declared
import in_code
import numpy as np
from cases import ROOT, Case, Outcome, judge
from journal import Journal, StaleError
from processes import Measure, in_processes, in_this
from published import page, reached
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Probe = Callable[[Case], Outcome]

#: Of the sample.
SEED = 20261126


def all_cases() -> list[Case]:
    """Every case of the study."""
    return [
        *declared.singles(),
        *in_code.singles(),
        *declared.combined(),
        *in_code.combined(),
        *clean.cases(),
    ]


def run(cases: Sequence[Case], journal: Journal, measure: Measure) -> list[tuple[Case, Outcome]]:
    """Runs what is not in the journal; shows on stderr how far it is and what went wrong."""
    console = Console(stderr=True)
    outcomes: dict[str, Outcome] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=len(cases))

        def came(case: Case, outcome: Outcome) -> None:
            outcomes[case.key] = outcome
            progress.update(task, description=f"{case.kind}: {case.name}"[:60], advance=1)
            if not judge(case, outcome).right:
                said = outcome.trouble or ", ".join((*outcome.errors, *outcome.others, *outcome.failed))
                console.print(
                    f"{case.kind}: {case.name}: said {said or 'nothing'}", markup=False, highlight=False, soft_wrap=True
                )

        waiting = []
        for case in cases:
            if (known := journal.get(case)) is None:
                waiting.append(case)
            else:
                came(case, known)
        for case, outcome in measure(waiting):
            journal.keep(case, outcome)
            came(case, outcome)
    return [(case, outcomes[case.key]) for case in cases]


def chosen(cases: Iterable[Case], kinds: Sequence[str], words: Sequence[str]) -> list[Case]:
    """The cases of these kinds whose name holds one of these words; all, where nothing is asked for."""
    return [
        case
        for case in cases
        if (not kinds or case.kind in kinds) and (not words or any(word in case.name for word in words))
    ]


def drawn(cases: Sequence[Case], each: int) -> list[Case]:
    """A sample of each kind, always the same; of single faults each code at least once.

    Args:
        cases: All cases.
        each: Cases of each kind; single faults may be more, where there are more codes.
    """
    shuffled = [cases[place] for place in np.random.default_rng(SEED).permutation(len(cases))]
    first = list({str(case.planted[0].code): case for case in reversed(shuffled) if case.kind == "single"}.values())
    taken = set(map(id, first))
    for kind, missing in (("single", each - len(first)), ("combined", each), ("clean", each)):
        rest = [case for case in shuffled if case.kind == kind and id(case) not in taken]
        taken |= set(map(id, rest[: max(0, missing)]))
    return [case for case in cases if id(case) in taken]


def main(arguments: Sequence[str] | None = None, probe: Probe | None = None) -> int:
    """Runs the study, and says by its exit code whether all targets were reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="also write reports/accuracy.md; not for one kind")
    parser.add_argument("--kind", action="append", default=[], choices=["single", "combined", "clean"])
    parser.add_argument("--match", action="append", default=[], help="only cases whose name holds this")
    parser.add_argument("--sample", type=int, metavar="N", help="only N cases of each kind, but each code once")
    parser.add_argument("--list", action="store_true", help="only list the cases")
    parser.add_argument("--jobs", type=int, default=1, help="processes that run cases side by side")
    parser.add_argument("--cache", type=Path, help="folder of the journal and of stored features")
    options = parser.parse_args(arguments)
    if options.write and (options.kind or options.match):
        parser.error("--write publishes all kinds of cases; run it without --kind and --match")
    everything = all_cases()
    cases = everything if options.sample is None else drawn(everything, options.sample)
    plantable = [case for case in cases if case.name not in declared.UNPLANTABLE]
    cases = chosen(plantable, options.kind, options.match)
    if options.list:
        sys.stdout.writelines(f"{case.kind}: {case.name}\n" for case in cases)
        return 0
    folder = options.cache or default_folder()
    journal = Journal(folder)
    try:
        with in_processes(options.jobs, folder) if probe is None else in_this(probe) as measure:
            results = run(cases, journal, measure)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; what was run is kept, and the same command goes on from there\n")
        return 130
    except StaleError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sample = "" if options.sample is None else f"drawn with seed {SEED} from {len(everything)}, each code at least once"
    text = page(results, journal.source, sample)
    if options.write:
        (ROOT / "reports" / "accuracy.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0 if reached(results) else 1


def default_folder() -> Path:
    """Where outcomes are kept: the user's cache, or a folder that may be cleared."""
    base = os.environ.get("XDG_CACHE_HOME") or (Path.home() / ".cache")
    folder = Path(base) / "equivcheck-study"
    return folder if os.access(Path(base).parent, os.W_OK) else Path(tempfile.gettempdir()) / "equivcheck-study"


if __name__ == "__main__":
    sys.exit(main())
