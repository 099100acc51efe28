"""The command line: what goes where, and the exit codes. The pipeline itself is replaced; TensorFlow never loads."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from equivcheck import __version__
from equivcheck.catalog import all_checks
from equivcheck.check_page import page
from equivcheck.cli import cli
from equivcheck.cli.exits import worst
from equivcheck.errors import InconclusiveError, UserCodeError
from equivcheck.findings import Finding, Repair
from equivcheck.report.json_format import dumps, loads
from equivcheck.report.model import Report
from equivcheck.spec import load, template

SPEC = 'version: 1\nbottleneck: {callable: "json:loads"}\nfrozen: {callable: "json:loads"}\n'


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        Path(name).write_text(SPEC, encoding="utf-8")
    Path("bad.yaml").write_text("version: 1\nlabels: onehot\n", encoding="utf-8")


@pytest.fixture
def call(monkeypatch):
    """Runs a command; its exit code, stdout and stderr."""
    # These tests may themselves run in a GitHub workflow.
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def invoke(*arguments):
        result = CliRunner().invoke(cli, list(arguments), prog_name="equivcheck")
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture
def pipeline(monkeypatch):
    """A pipeline whose reports, or errors, are given by the name of the spec; it remembers how it was called."""
    outcomes, calls = {}, []

    def run(path, **options):
        load(path)
        print("Epoch 1/1")  # noqa: T201  (as Keras does)
        calls.append((str(path), options))
        options["progress"]("building", 1, 2)
        outcome = outcomes.get(str(path), "equivalent")
        if isinstance(outcome, BaseException):
            raise outcome
        return Report(name=path.stem, verdict=outcome, summary=f"summary of {path.stem}")

    module = ModuleType("equivcheck.pipeline")
    module.run = run
    monkeypatch.setitem(sys.modules, "equivcheck.pipeline", module)
    run.outcomes, run.calls = outcomes, calls
    return run


def test_version_and_help(call):
    assert call("--version") == (0, f"equivcheck {__version__}\n", "")
    code, out, _ = call("-h")
    assert code == 0
    assert {"run", "validate", "explain", "checks", "init", "report", "schema"} <= set(out.split())


@pytest.mark.parametrize("entry", [["-m", "equivcheck"], ["-c", "from equivcheck.cli import main; main()"]])
def test_both_entry_points_are_the_same_command(entry):
    result = subprocess.run([sys.executable, *entry, "--help"], check=True, capture_output=True, text=True)
    assert result.stdout.startswith("Usage: equivcheck ")


# --- run ---


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("equivalent", 0),
        ("divergent", 1),
        ("inconclusive", 3),
        (UserCodeError("train:frozen raised ValueError: no"), 3),
        (InconclusiveError("out of memory"), 3),
        (MemoryError("too large"), 3),
    ],
)
def test_the_verdict_is_the_exit_code(call, pipeline, outcome, code):
    pipeline.outcomes["a.yaml"] = outcome
    assert call("run", "a.yaml")[0] == code


def test_the_report_goes_to_stdout_and_the_prints_of_keras_do_not(call, pipeline):
    _, out, err = call("run", "a.yaml", "--output-format", "json")
    assert loads(out).name == "a"
    assert err == "Epoch 1/1\n"


def test_the_terminal_report_is_the_default(call, pipeline):
    code, out, _ = call("run", "a.yaml")
    assert code == 0
    assert "summary of a" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("codes", "wins"), [([0, 0], 0), ([0, 1], 1), ([1, 3], 3), ([3, 2, 1], 2), ([2, 0], 2), ([3, 0], 3)]
)
def test_over_several_specs_the_worst_exit_code_wins(codes, wins):
    assert worst(codes) == wins


def test_one_bad_spec_does_not_stop_the_others(call, pipeline):
    pipeline.outcomes["b.yaml"] = "divergent"
    code, out, err = call("run", "bad.yaml", "a.yaml", "b.yaml")
    assert code == 2
    assert "summary of a" in out
    assert "summary of b" in out
    assert err.startswith("bad.yaml:1:1: data: is missing")
    assert [name for name, _ in pipeline.calls] == ["a.yaml", "b.yaml"]


def test_select_and_ignore_are_codes_or_prefixes(call, pipeline):
    """Repeated or separated by commas, in any case."""
    code, _, err = call("run", "a.yaml", "--select", "eq4, EQ501", "--select", "EQ1", "--ignore", "EQ402")
    assert code == 0, err
    ((_, options),) = pipeline.calls
    assert (options["select"], options["ignore"]) == (("EQ4", "EQ501", "EQ1"), ("EQ402",))


@pytest.mark.parametrize("pattern", ["EQ9", "dropout", "EQ4,", ""])
def test_a_code_that_no_check_has_is_an_error(call, pipeline, pattern):
    code, _, err = call("run", "a.yaml", "--select", pattern)
    assert code == 2
    assert "no check has a code that starts with" in err
    assert not pipeline.calls


def test_the_cache_folder_is_handed_on(call, pipeline):
    call("run", "a.yaml", "--cache-dir", "cache")
    assert pipeline.calls[0][1]["cache_dir"] == Path("cache")


def test_the_budget_is_handed_on(call, pipeline):
    call("run", "a.yaml", "--budget", "7.5", "--no-replay")
    options = pipeline.calls[0][1]
    assert (options["budget"], options["replay"]) == (7.5, False)


REPAIRED = Finding(
    "EQ104",
    "class-sorted-batches",
    "error",
    "frozen",
    "title",
    "message",
    {},
    "expected",
    repair=Repair("text", {"name": "repaired"}),
    verified=True,
)


def test_the_repaired_spec_is_written_beside_the_original(call, pipeline, monkeypatch):
    report = Report(name="a", verdict="divergent", summary="", findings=(REPAIRED,))
    monkeypatch.setattr(sys.modules["equivcheck.pipeline"], "run", lambda *_, **__: report)
    code, _, err = call("run", "a.yaml", "--fix")
    assert (code, err) == (1, "wrote a.repaired.yaml\n")
    assert Path("a.repaired.yaml").read_text(encoding="utf-8") == SPEC + "name: repaired\n"
    assert Path("a.yaml").read_text(encoding="utf-8") == SPEC
    code, _, err = call("run", "a.yaml", "--fix")
    assert code == 2
    assert "a.repaired.yaml: exists already" in err


@pytest.mark.parametrize("verified", [False, None])
def test_a_repair_that_did_not_hold_is_not_written(call, pipeline, monkeypatch, verified):
    report = Report(name="a", verdict="divergent", summary="", findings=(replace(REPAIRED, verified=verified),))
    monkeypatch.setattr(sys.modules["equivcheck.pipeline"], "run", lambda *_, **__: report)
    _, _, err = call("run", "a.yaml", "--fix")
    assert "nothing was written" in err
    assert not Path("a.repaired.yaml").exists()


def test_formats_and_files_are_paired_in_order(call, pipeline):
    code, out, _ = call(
        "run", "a.yaml", "--output-format", "json", "-o", "r.json", "--output-format", "terminal", "-o", "r.txt"
    )
    assert (code, out) == (0, "")
    assert loads(Path("r.json").read_text(encoding="utf-8")).name == "a"
    assert "summary of a" in Path("r.txt").read_text(encoding="utf-8")


def test_the_terminal_format_needs_no_file(call, pipeline):
    code, out, _ = call("run", "a.yaml", "--output-format", "terminal", "--output-format", "json", "-o", "r.json")
    assert code == 0
    assert "summary of a" in out
    assert loads(Path("r.json").read_text(encoding="utf-8")).name == "a"


def test_the_suffix_of_a_file_names_its_format(call, pipeline):
    files = {"r.json": "{", "r.HTML": "<!DOCTYPE html>", "r.md": "<!-- ", "r.xml": "<?xml", "r.sarif": '{\n  "$schema"'}
    code, out, _ = call("run", "a.yaml", *(part for name in (*files, "r.txt") for part in ("-o", name)))
    assert (code, out) == (0, "")
    for name, start in files.items():
        assert Path(name).read_text(encoding="utf-8").startswith(start)
    assert Path("r.txt").read_text(encoding="utf-8").startswith("EQUIVALENT")


def test_github_is_told_the_findings_on_stderr(call, pipeline, monkeypatch):
    report = Report(name="a", verdict="divergent", summary="", findings=(REPAIRED,))
    monkeypatch.setattr(sys.modules["equivcheck.pipeline"], "run", lambda *_, **__: report)
    told = f"::error title={REPAIRED.code} "
    assert told not in call("run", "a.yaml", "--output-format", "json")[2]
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    _, out, err = call("run", "a.yaml", "--output-format", "json")
    assert loads(out).name == "a"
    assert told in err


def test_a_file_has_no_colours_even_where_they_are_forced(call, pipeline, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    call("run", "a.yaml", "-o", "r.txt")
    assert "\x1b" not in Path("r.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output-format", "terminal", "-o", "x", "-o", "y"], "2 -o for 1 --output-format"),
        (["--output-format", "json", "--output-format", "terminal"], "only one format can go to stdout"),
        (["--output-format", "json", "--output-format", "terminal", "-o", "x", "-o", "x"], "the same file is given"),
        (["-o", "nowhere/x"], "nowhere/x: cannot be written: there is no folder nowhere"),
        (["-o", "a.yaml"], "-o a.yaml would overwrite the spec"),
        (["-o", "."], "is a directory"),
        (["b.yaml", "-o", "x"], "terminal and -o hold one report"),
        (["b.yaml", "--output-format", "json"], "json and -o hold one report"),
        (["b.yaml", "--output-format", "html"], "html and -o hold one report"),
        (["--output-format", "xml"], "'xml' is not one of 'terminal', 'json', 'markdown', 'html', 'junit', 'sarif'"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_run(call, pipeline, arguments, message):
    code, _, err = call("run", "a.yaml", *arguments)
    assert code == 2
    assert message in err
    assert not pipeline.calls


def test_a_folder_that_is_closed_is_refused_before_the_run(call, pipeline, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    code, _, err = call("run", "a.yaml", "-o", "x")
    assert code == 2
    assert err == "error: x: cannot be written: no permission to write into .\n"


# --- how errors are said ---


def test_an_error_is_one_line(call, pipeline):
    pipeline.outcomes["a.yaml"] = UserCodeError("train:frozen raised ValueError: no")
    assert call("run", "a.yaml", "-q")[2] == "Epoch 1/1\nerror: train:frozen raised ValueError: no\n"


def test_a_bug_is_one_line_and_no_verdict(call, pipeline):
    pipeline.outcomes["a.yaml"] = ZeroDivisionError("division by zero")
    code, out, err = call("run", "a.yaml")
    assert (code, out) == (3, "")
    assert err == "Epoch 1/1\ninternal error: ZeroDivisionError: division by zero; rerun with -v for the traceback\n"


def test_user_code_that_leaves_is_no_verdict(call, pipeline):
    """A callback's sys.exit(0) must not read as "equivalent"."""
    pipeline.outcomes["a.yaml"] = SystemExit(0)
    code, out, err = call("run", "a.yaml", "-q")
    assert (code, out) == (3, "")
    assert "the user's code ended the run with sys.exit(0)" in err


def test_with_v_the_traceback_is_shown(call, pipeline):
    pipeline.outcomes["a.yaml"] = ZeroDivisionError("division by zero")
    _, _, err = call("run", "a.yaml", "-v")
    assert "Traceback (most recent call last)" in err
    assert err.endswith("\ninternal error: ZeroDivisionError: division by zero\n")


def test_an_interrupt_is_one_line(call, pipeline):
    pipeline.outcomes["a.yaml"] = KeyboardInterrupt()
    assert call("run", "a.yaml", "b.yaml") == (130, "", "Epoch 1/1\ninterrupted\n")
    assert len(pipeline.calls) == 1


def test_a_reader_that_leaves_is_no_error():
    """As in ``equivcheck schema spec | head -1``: no message, and no exit code that would read as a verdict."""
    with subprocess.Popen(
        [sys.executable, "-m", "equivcheck", "schema", "spec"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_a_reader_that_leaves_a_report_is_no_verdict(tmp_path):
    """Rich would leave with 1, which reads as divergent, and was taken for a ``sys.exit`` of the user's code."""
    result = tmp_path / "result.json"
    result.write_text(dumps(Report(name="again", verdict="divergent", summary="summary")), encoding="utf-8")
    command = [sys.executable, "-m", "equivcheck", "report", str(result)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


# --- validate ---


def test_validate_names_each_valid_spec(call):
    assert call("validate", "a.yaml", "b.yaml") == (0, "a.yaml: valid\nb.yaml: valid\n", "")


def test_validate_says_all_problems_of_all_specs(call):
    code, out, err = call("validate", "bad.yaml", "a.yaml", "nowhere.yaml")
    assert (code, out) == (2, "a.yaml: valid\n")
    assert err.splitlines()[0] == "bad.yaml:1:1: data: is missing"
    assert "bad.yaml:2:9: labels: is 'onehot', which is not known; allowed: sparse, one_hot, binary; did" in err
    assert err.splitlines()[-1].startswith("error: nowhere.yaml: no such file")


def test_validate_looks_for_files_and_executes_nothing(call):
    Path("mine.py").write_text("raise SystemExit('executed')", encoding="utf-8")
    Path("a.yaml").write_text(SPEC.replace("json:loads", "mine:arm", 1).replace("json", "gone", 1), encoding="utf-8")
    code, _, err = call("validate", "a.yaml")
    assert code == 2
    assert err.startswith("a.yaml:3:10: frozen.callable: no module 'gone'")
    assert "mine" not in err


# --- explain and checks ---


@pytest.mark.parametrize("attribute", ["code", "name"])
def test_explain_takes_code_or_name(call, attribute):
    check = all_checks()[0]
    assert call("explain", getattr(check, attribute)) == (0, page(check), "")
    assert call("explain", getattr(check, attribute).lower())[0] == 0


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.code)
def test_every_page_has_the_same_headings(check):
    text = page(check)
    assert text.startswith(f"# {check.code} {check.name}\n\n{check.title}\n\n## ")
    assert [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")] == [
        "What it does",
        "Why it matters",
        "Shows it",
        "Does not",
        "How it is measured",
        "What it is mistaken for",
        "Repair",
        "References",
    ]


def test_an_unknown_check_is_an_error(call):
    check = all_checks()[0]
    code, out, err = call("explain", check.name[:-1])
    assert (code, out) == (2, "")
    assert err == (
        f"error: no check '{check.name[:-1]}'; did you mean \"{check.code} {check.name}\"? "
        "(equivcheck checks lists all)\n"
    )


def test_checks_lists_all(call):
    code, out, _ = call("checks")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [[check.code, check.name] for check in all_checks()]


def test_checks_as_json(call):
    _, out, _ = call("checks", "--output-format", "json")
    assert json.loads(out) == [{"code": check.code, "name": check.name, "title": check.title} for check in all_checks()]


# --- init, report, schema ---


def test_init_writes_the_template(call):
    code, out, err = call("init")
    assert (code, out) == (0, "")
    assert err == "wrote equivcheck.yaml; edit it, then: equivcheck validate equivcheck.yaml\n"
    assert Path("equivcheck.yaml").read_text(encoding="utf-8") == template()


@pytest.mark.parametrize("arguments", [["-"], ["--stdout"], ["some.yaml", "--stdout"]])
def test_init_prints_the_template(call, arguments):
    assert call("init", *arguments) == (0, template(), "")
    assert not Path("some.yaml").exists()


def test_init_overwrites_only_if_forced(call):
    code, _, err = call("init", "a.yaml")
    assert (code, err) == (2, "error: a.yaml: exists already; --force overwrites it\n")
    assert Path("a.yaml").read_text(encoding="utf-8") == SPEC
    assert call("init", "a.yaml", "--force")[0] == 0
    assert Path("a.yaml").read_text(encoding="utf-8") == template()


def test_init_does_not_write_through_a_dangling_link(call):
    Path("link.yaml").symlink_to("elsewhere.yaml")
    assert call("init", "link.yaml")[0] == 2
    assert not Path("elsewhere.yaml").exists()


@pytest.mark.parametrize(("path", "message"), [(".", "it is a folder"), ("nowhere/a.yaml", "cannot be written")])
def test_init_says_where_it_cannot_write(call, path, message):
    code, _, err = call("init", path, "--force")
    assert code == 2
    assert message in err


def test_a_new_spec_says_only_that_the_images_are_missing(call):
    """What a user sees who runs the two first commands; and with images it is valid."""
    call("init")
    code, _, err = call("validate", "equivcheck.yaml")
    assert code == 2
    assert [line.split(": ")[1] for line in err.splitlines() if "no such folder" in line] == [
        "data.train.directory",
        "data.validation.directory",
    ]
    assert len(err.splitlines()) == 6
    for folder in ("train/a", "train/b", "validation/a", "validation/b"):
        Path("images", folder).mkdir(parents=True)
        Path("images", folder, "1.png").touch()
    assert call("validate", "equivcheck.yaml") == (0, "equivcheck.yaml: valid\n", "")


def test_report_renders_a_result_again(call):
    """It succeeds whatever the verdict: the run has had its exit code."""
    report = Report(name="again", verdict="divergent", summary="summary of it")
    Path("r.json").write_text(dumps(report), encoding="utf-8")
    code, out, _ = call("report", "r.json")
    assert code == 0
    assert "summary of it" in out
    assert call("report", "r.json", "--output-format", "json") == (0, dumps(report), "")
    assert call("report", "r.json", "--output-format", "json", "-o", "s.json") == (0, "", "")
    assert Path("s.json").read_text(encoding="utf-8") == dumps(report)


@pytest.mark.parametrize("content", [None, "{", "{}", "\0"])
def test_what_is_no_result_is_bad_input(call, content):
    if content is not None:
        Path("r.json").write_text(content, encoding="utf-8")
    code, out, err = call("report", "r.json")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


@pytest.mark.parametrize("what", ["spec", "report"])
def test_schemas_are_printed(call, what):
    code, out, _ = call("schema", what)
    assert code == 0
    assert json.loads(out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
