"""What every command owes its user: an example, JSON, silence, statuses, errors of one line."""

from __future__ import annotations

import errno
import inspect
import io
import json
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import dataset_samples
import pytest
import typer
from bundle_samples import many_samples, write
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from structure import ROOT

from analysis import manners
from analysis.cli import COMMANDS, app
from analysis.commands.options import command_line
from analysis.datasets import benchmark
from analysis.manners import PartFailed, mannered, plain, run, say, show
from analysis.progress import LOG_SECONDS, LoggedProgress, console, progress
from mitheory.errors import BundleError, MitheoryError
from mitheory.testing import save_tiny

GROUP = typer.main.get_command(app)
FUNCTIONS = {name: getattr(import_module(f"analysis.commands.{name}"), name) for name in COMMANDS}
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def examples(function) -> list[list[str]]:
    """The command lines in a docstring: paragraphs that begin with `mitheory`."""
    text = re.sub(r"\[bold\]Examples?\[/\]:", "\n\n", inspect.getdoc(function) or "")
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return [shlex.split(part) for part in paragraphs if part.startswith("mitheory ")]


# --- every command ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_of_the_help_parses(name):
    """Into the options of its own command: a renamed option would leave a dead example."""
    found = examples(FUNCTIONS[name])
    assert found
    for _, command, *arguments in found:
        assert command == name.replace("_", "-")
        context = GROUP.commands[command].make_context(command, list(arguments))
        assert context.params


def test_the_check_of_examples_itself():
    def wrong() -> None:
        """Nothing.

        [bold]Example[/]: mitheory inspect x --frobnicate
        """

    ((_, command, *arguments),) = examples(wrong)
    with pytest.raises(manners.WrongUsage):
        GROUP.commands[command].make_context(command, arguments)


IN_ORDER = ("reproduce", "extract")  # others read what these write
SMALLER = {  # what is added to an example: the same, on fewer questions or a smaller model
    "reproduce": "--limit 48 --jobs 1",
    "extract": "--limit 6 --device cpu",
    "audit": "--claims printed_tables_consistent,max_below_sum --jobs 1",
    "ablate": "--limit 48 --jobs 1",
    "calibrate": "--parts verdicts --jobs 1",
    "dtypes": "--images 2",
    "evaluate": "--budget 2 --device cpu",
    "card": "--limit 16",
}
CHECKPOINTS = ("llava-hf/llava-1.5-7b-hf", "Qwen/Qwen3-VL-2B-Instruct")  # nowhere near a test


@pytest.mark.slow
def test_every_example_of_the_help_runs(tmp_path, monkeypatch, capsys):
    """In one folder, as a reader would copy them; with --json each outcome is one line of it."""
    pytest.importorskip("transformers")
    tiny = save_tiny("LlavaForConditionalGeneration", tmp_path / "tiny")
    dataset_samples.pope(tmp_path / "data" / "pope", images=3)
    records = benchmark("pope").records(tmp_path / "data" / "pope")
    said = [{"sample_id": record.sample_id, "answer": "yes"} for record in records]
    dataset_samples.write_jsonl(tmp_path / "answers.jsonl", said)
    monkeypatch.chdir(tmp_path)
    ended = {}
    for name in (*IN_ORDER, *(n for n in COMMANDS if n not in IN_ORDER)):
        for _, *words in examples(FUNCTIONS[name]):
            smaller = [str(tiny) if word in CHECKPOINTS else word for word in words]
            smaller += [*SMALLER.get(name, "").split(), "--json", "--quiet"]
            monkeypatch.setattr(sys, "argv", ["mitheory", *smaller])
            status = run(app, smaller)
            told = capsys.readouterr()
            ended[" ".join(words)] = (status, told.out.count("\n"), told.out[:400])
            json.loads(told.out)
    wrong = [f"{line}: {end}" for line, end in ended.items() if end[:2] != (0, 1)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_common_options_and_an_outcome(name):
    options = {o for p in GROUP.commands[name.replace("_", "-")].params for o in p.opts}
    assert options >= {"--json", "--quiet", "-q", "--verbose", "-v", "--debug"}
    assert inspect.signature(FUNCTIONS[name]).return_annotation not in ("None", None)


def test_a_line_of_registration_for_every_file():
    files = {p.stem for p in (ROOT / "analysis" / "commands").glob("*.py")}
    assert sorted(COMMANDS) == sorted(files - {"__init__", "options"})


@pytest.mark.parametrize("arguments", [["claims"], ["datasets"], ["study", "--list"]])
def test_lists_for_machines(capsys, arguments):
    """One line of JSON and nothing else; without --json, the same names for readers."""
    assert run(app, [*arguments, "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    names = [each["name"] for each in json.loads(out)]
    assert len(names) > 5
    assert run(app, arguments) == 0
    shown = capsys.readouterr().out
    assert [name for name in names if name[:12] not in shown] == []


def test_inspect_for_machines(tmp_path, capsys):
    path = write(tmp_path / "b", many_samples(images=2, questions=2))
    assert run(app, ["inspect", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["samples"]) == (2, 4)


def test_an_audit_for_machines(tmp_path, capsys):
    """Verdicts as in verdicts.json; messages stay away from standard output."""
    arguments = ["audit", "--claims", "printed_tables_consistent", "--jobs", "1"]
    assert run(app, [*arguments, "--out", str(tmp_path), "--json"]) == 0
    told = capsys.readouterr()
    outcome = json.loads(told.out)
    written = json.loads((tmp_path / "verdicts.json").read_text())["verdicts"]
    assert [v["claim"] for v in outcome["verdicts"]] == [v["claim"] for v in written]
    assert outcome["errors"] == {}
    assert "open" in told.err
    assert not CONTROL.search(told.err)


def test_what_changes_no_result_is_no_part_of_the_provenance(monkeypatch):
    """Else an extraction resumed with --verbose would be another job."""
    line = ["mitheory", "extract", "-v", "--out", "my folder", "--debug", "--json"]
    monkeypatch.setattr(sys, "argv", line)
    assert command_line() == "mitheory extract --out 'my folder'"


# --- statuses and errors ----------------------------------------------------------------------

RAISED = {
    "known": (BundleError("b:\n  bad"), 2, "b: bad", "mitheory inspect"),
    "full": (OSError(errno.ENOSPC, "No space left"), 74, "No space left", "free some space"),
    "other": (FileNotFoundError(2, "No such file", "x"), 74, "No such file", "check the path"),
    "bug": (ZeroDivisionError("by [zero]"), 70, "ZeroDivisionError: by [zero]", "--debug"),
    "stopped": (KeyboardInterrupt(), 130, "interrupted", "goes on where it was"),
}


def toy() -> typer.Typer:
    """An application with one command for every end."""
    made = typer.Typer()

    def ends(how: str = "well", size: int = 1) -> object:
        """End in some way."""
        say("a message")
        show("a table")
        if how in RAISED:
            raise RAISED[how][0]
        return PartFailed({"size": size}) if how == "part" else {"size": size}

    def other() -> dict[str, int]:
        """With one command only, typer makes no group."""
        return {}

    made.command()(mannered(ends))
    made.command()(mannered(other))
    return made


@pytest.mark.parametrize("how", RAISED)
@pytest.mark.parametrize("silence", [[], ["--quiet"]])
def test_errors_are_one_line_with_a_hint(capsys, how, silence):
    """On standard error, --quiet or not, and never a traceback."""
    _, status, words, hint = RAISED[how]
    assert run(toy(), ["ends", "--how", how, *silence]) == status
    lines = capsys.readouterr().err.splitlines()
    assert lines[:-1] == ([] if silence else ["a message"])
    assert lines[-1].startswith("error: ")
    assert words in lines[-1]
    assert hint in lines[-1].partition("(hint: ")[2]


@pytest.mark.parametrize("how", RAISED)
def test_tracebacks_with_debug_only(how):
    with pytest.raises(type(RAISED[how][0])):
        run(toy(), ["ends", "--how", how, "--debug"])


@pytest.mark.parametrize("how", RAISED)
def test_errors_for_machines(capsys, how):
    run(toy(), ["ends", "--how", how, "--json"])
    found = json.loads(capsys.readouterr().out)["error"]
    assert found["type"] == type(RAISED[how][0]).__name__
    assert RAISED[how][2] in found["message"]
    assert found["hint"]


@pytest.mark.parametrize(
    ("arguments", "words", "hint"),
    [
        (["ends", "--sise", "1"], "--sise", "`mitheory ends --help`"),
        (["ends", "--size", "one"], "integer", "`mitheory ends --help`"),
        (["neds"], "neds", "`mitheory --help`"),
        (["ends", "--quiet", "--verbose"], "contradict", "`mitheory ends --help`"),
    ],
)
def test_a_wrong_command_line_is_one_line_too(capsys, arguments, words, hint):
    assert run(toy(), arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert hint in line


def test_outcomes_and_statuses(capsys):
    """0 with the outcome; 1 with it too where a part failed; silence spares the tables."""
    assert run(toy(), ["ends", "--size", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"size": 3}
    assert run(toy(), ["ends", "--how", "part", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"size": 1}
    assert run(toy(), ["ends", "--quiet"]) == 0
    assert capsys.readouterr() == ("a table\n", "")
    assert run(toy(), ["ends", "--verbose"]) == 0
    told = capsys.readouterr()
    assert told.out == "a table\n"
    versions, message, seconds = told.err.splitlines()
    assert "torch" in versions
    assert message == "a message"
    assert re.fullmatch(r"\d+\.\d s", seconds)
    assert not console.quiet, "the next command is not quiet"


@pytest.mark.parametrize(
    "name", [n for n in COMMANDS if "jobs" in inspect.signature(FUNCTIONS[n]).parameters]
)
def test_no_workers_are_refused_before_the_work(name, capsys):
    assert run(app, [name, "--jobs", "0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'--jobs'" in line


def test_what_the_figures_lack_is_an_error_like_any_other(tmp_path, capsys):
    """They are drawn by another process, whose errors are those of the command."""
    assert run(app, ["figures", str(tmp_path), "--json"]) == 2
    told = capsys.readouterr()
    error = json.loads(told.out)["error"]
    assert "must hold results.parquet" in error["message"]
    (line,) = told.err.splitlines()
    assert "results.parquet" in line
    assert "(hint: " in line


def test_a_fault_of_the_figures_is_no_traceback(tmp_path, capsys):
    """Only with --debug: a table that is none is read by nobody."""
    for name in ("results.parquet", "kept.parquet", "scenes.parquet"):
        (tmp_path / name).write_bytes(b"no table")
    (tmp_path / "run.json").write_text("{}")
    arguments = ["figures", str(tmp_path)]
    assert run(app, arguments) == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    with pytest.raises(RuntimeError) as ended:
        run(app, [*arguments, "--debug"])
    assert "Traceback" in "".join(ended.value.__notes__)


def test_no_command_is_a_call_for_help(capsys):
    assert run(app, []) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_the_version(capsys):
    assert run(app, ["--version"]) == 0
    assert re.fullmatch(r"mitheory \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_statuses_are_documented():
    """In the help of `mitheory`, in docs/cli.md, and there only those that exist."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", page, re.MULTILINE))
    assert {int(number): text for number, text in rows.items()} == manners.STATUSES
    assert all(f"{number} (" in inspect.getdoc(app.registered_callback.callback)
               for number in manners.STATUSES)  # fmt: skip


def test_every_error_of_ours_has_a_hint():
    def below(kind):
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    kinds = below(MitheoryError)
    assert len(kinds) > 20
    assert all(manners.hint(kind("x")) and manners.status(kind("x")) == 2 for kind in kinds)


@pytest.mark.parametrize(
    ("shell", "typed", "wanted"),
    [
        ("bash", {"COMP_WORDS": "mitheory au", "COMP_CWORD": "1"}, "audit"),
        ("bash", {"COMP_WORDS": "mitheory score po", "COMP_CWORD": "2"}, "pope"),
        ("bash", {"COMP_WORDS": "mitheory extract --ov", "COMP_CWORD": "2"}, "--overwrite"),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "mitheory study --model fruitfly-"}, "-contrastive"),
    ],
)
def test_shells_complete_commands_options_and_names(monkeypatch, capsys, shell, typed, wanted):
    for name, value in {"_MITHEORY_COMPLETE": f"complete_{shell}", **typed}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        run(app, [])
    assert ended.value.code == 0
    assert wanted in capsys.readouterr().out


# --- JSON -------------------------------------------------------------------------------------


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_outcomes_become_json(value):
    """Strict JSON for whatever there is; finite values come back as they were."""
    text = json.dumps(plain(value), allow_nan=False)
    again = json.loads(text)
    assert again == plain(value)
    if "nan" not in repr(value) and "inf" not in repr(value):
        assert again == value


def test_what_json_has_nothing_like_is_refused():
    with pytest.raises(TypeError, match="got set"):
        plain({"a": {1}})


# --- progress ---------------------------------------------------------------------------------


def logged(seconds: float | None, *, steps: int = 8) -> str:
    """What a log holds of a task of which every step takes 10 seconds."""
    now = [0.0]
    log = Console(file=io.StringIO(), force_terminal=False)
    bar = LoggedProgress(console=log, disable=True, seconds=seconds, clock=lambda: now[0])
    with bar:
        task = bar.add_task("[bold]read[/]", total=steps)
        for _ in range(steps):
            now[0] += 10
            bar.advance(task)
    return log.file.getvalue()


def test_a_log_gets_a_line_now_and_then():
    """By hand: 10 s a step and 30 s between lines; the end is told whenever it comes."""
    assert logged(30).splitlines() == [
        "read: 3 of 8 (38%), 30 s",
        "read: 6 of 8 (75%), 60 s",
        "read: 8 of 8 (100%), 80 s",
    ]
    assert logged(1e9).splitlines() == ["read: 8 of 8 (100%), 80 s"]
    assert logged(None) == ""
    assert not CONTROL.search(logged(1))


def test_a_terminal_gets_a_bar_and_no_lines():
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80)
    with LoggedProgress(console=terminal, seconds=0.0) as bar:
        bar.update(bar.add_task("read", total=1), completed=1)
    assert "of 1" not in terminal.file.getvalue()


def test_who_hears_of_progress():
    """A command's log does; a library's caller and --quiet do not."""
    heard = {}

    def listen() -> dict[str, int]:
        heard[len(heard)] = (LOG_SECONDS.get(), progress().disable)
        return {}

    listen()
    mannered(listen)(quiet=True)
    mannered(listen)()
    mannered(listen)(verbose=True)
    assert [seconds for seconds, _ in heard.values()] == [None, None, 30.0, 5.0]
    assert all(disabled for _, disabled in heard.values())


@pytest.mark.parametrize(
    ("options", "terminal", "heard"),
    [
        ({}, False, {**manners.NO_BARS}),
        ({}, True, {}),
        ({"quiet": True}, True, {**manners.NO_BARS, **manners.NO_WARNINGS}),
    ],
)
def test_libraries_hear_how_loud_a_command_is(monkeypatch, options, terminal, heard):
    """As long as it runs; what its user has set is left alone."""
    known = [*manners.NO_BARS, *manners.NO_WARNINGS]
    for name in known:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(console, "_force_terminal", terminal)
    seen = {}

    def listen() -> dict[str, int]:
        seen.update({name: os.environ[name] for name in known if name in os.environ})
        return {}

    mannered(listen)(**options)
    assert seen == heard
    assert not set(known) & set(os.environ)
    monkeypatch.setenv("HF_HUB_VERBOSITY", "debug")
    mannered(listen)(quiet=True)
    assert seen["HF_HUB_VERBOSITY"] == os.environ["HF_HUB_VERBOSITY"] == "debug"


def test_a_checkpoint_loads_in_silence(tmp_path: Path):
    """Whose loading draws a bar of its own; with --quiet nothing is said at all."""
    pytest.importorskip("transformers")
    tiny = save_tiny("LlavaForConditionalGeneration", tmp_path / "tiny")
    command = [sys.executable, "-m", "analysis.cli", "extract", "--model", str(tiny), "--quiet"]
    done = subprocess.run(
        [*command, "--limit", "2", "--device", "cpu", "--out", str(tmp_path / "b"), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["samples"] == 2


def test_a_log_of_a_real_run_has_no_control_characters(tmp_path: Path):
    """Through a pipe, as under cron, Slurm or CI."""
    options = ["--limit", "4", "--no-attention", "--out", str(tmp_path / "fly"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "analysis.cli", "extract", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"] == 4
    assert "4 of 4 (100%)" in done.stderr
    assert not CONTROL.search(done.stderr)
