"""The command `sagan`: its list, its sub-commands, and the help that docs/flags holds."""

import sys

import pytest

import sagan_tf
from sagan_tf import cli
from sagan_tf.tools import main
from tests.conftest import ROOT

FLAGS = ROOT / "docs" / "flags"
MODULES = sorted(
    path.stem
    for path in (ROOT / "sagan_tf" / "tools").glob("*.py")
    if path.stem not in ("__init__", "main")
)
IN_SAGAN = {main.module_of(name) for name in main.COMMANDS} | set(main.BENCHMARKS.values())


@pytest.fixture(name="sagan")
def fixture_sagan(monkeypatch, capsys):
    """Runs `sagan WORDS`: exit code, standard output and standard error."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["sagan", *words])
        with pytest.raises(SystemExit) as ended:
            main.main()
        return ended.value.code, *capsys.readouterr()

    return call


def test_docs_hold_the_help_of_every_command():
    texts = main.all_texts()
    files = {path.stem: path.read_text(encoding="utf-8") for path in FLAGS.glob("*.txt")}
    remedy = "make docs/flags again: python -m docs.flags.make"
    assert set(files) == set(texts), remedy
    for name, text in texts.items():
        assert files[name] == f"{text}\n", f"{name}.txt: {remedy}"


def test_every_tool_is_a_command_but_those_that_make_what_the_repository_holds():
    assert set(MODULES) - IN_SAGAN == {"make_digits", "make_digits_classifier"}


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",), ("help",), ("-h", "train")])
def test_list_of_commands(sagan, words):
    code, out, err = sagan(*words)
    assert (code, err) == (0, "")
    listed = [line.split()[0] for line in out.splitlines() if line[:3].strip()[:1].islower()]
    assert set(main.COMMANDS) <= set(listed)
    assert "  prepare-data        Makes records from pictures.\n" in out


def test_version(sagan):
    assert sagan("--version") == (0, f"sagan-tf {sagan_tf.__version__}\n", "")
    assert sagan("train", "--version") == (0, f"sagan-tf {sagan_tf.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["trian"],
            "sagan trian: there is no such command; did you mean sagan train? sagan -h lists them",
        ),
        (
            ["prepare_data", "--out=x"],
            "sagan prepare_data: there is no such command; did you mean sagan prepare-data? "
            "sagan -h lists them",
        ),
        (["x"], "sagan x: there is no such command; sagan -h lists them"),
        (
            ["--data_dir=data"],
            "--data_dir=data: expected a command first, as in sagan train; sagan -h lists them",
        ),
        (
            ["benchmark", "inputs"],
            "sagan benchmark inputs: there is no such command; did you mean sagan benchmark "
            "input? sagan benchmark -h lists them",
        ),
    ],
)
def test_unknown_command_is_one_line_with_a_suggestion(sagan, words, line):
    assert sagan(*words) == (1, "", f"error: {line}\n")


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["train", "-h"], "usage: sagan train [--flag=value ...]"),
        (["sample", "--help"], "usage: sagan sample [RUN] [--flag=value ...]"),
        (["benchmark", "-h"], "usage: sagan benchmark [step|input|eval|gpu] [--flag=value ...]"),
        (["benchmark"], "usage: sagan benchmark [step|input|eval|gpu] [--flag=value ...]"),
        (["benchmark", "gpu", "-h"], "usage: sagan benchmark gpu [--flag=value ...]"),
        (
            ["benchmark", "--rounds=2", "-h"],
            "usage: sagan benchmark step [AGAINST] [--flag=value ...]",
        ),
    ],
)
def test_help_of_a_command(sagan, words, usage):
    code, out, err = sagan(*words)
    assert (code, err) == (0, "")
    assert out.startswith(f"{usage}\n\n")


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("word", ["-h", "--help", "--version"])
def test_help_of_a_tool_only_helps(module, word, monkeypatch, capsys):
    """`make_digits_classifier --help` once trained, and wrote into a folder named --help."""
    monkeypatch.setattr(sys, "argv", [module, word])
    monkeypatch.setattr(cli, "prepare_process", lambda: pytest.fail("more than help"))
    with pytest.raises(SystemExit) as ended:
        cli.run(
            main.load(module).COMMAND, lambda: pytest.fail("the command itself"), program=module
        )
    assert ended.value.code == 0
    beginning = "sagan-tf " if word == "--version" else f"usage: {module} "
    assert capsys.readouterr().out.startswith(beginning)
