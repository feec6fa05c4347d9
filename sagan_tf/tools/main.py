"""The command `sagan`: all commands of this package under one name.

A command's module has `COMMAND` and `main`; nothing of it is imported before it is asked for.
"""

import difflib
import importlib
import sys
import textwrap
import types
from typing import NoReturn

from sagan_tf import cli
from sagan_tf.config import help_text

# What the list of commands has under each heading; `prepare-data` is in `prepare_data.py`.
HEADINGS = {
    "To begin with": ("demo",),
    "Data": ("make-emoji", "prepare-data", "check-data"),
    "Training and scores": ("train", "eval", "score-images", "make-classifier"),
    "A trained run": ("sample", "attention-maps", "explore", "report", "compare"),
    "Other programs": ("export", "import-weights", "convert-checkpoint"),
    "Speed": ("benchmark", "compile-ahead"),
}
COMMANDS = tuple(name for names in HEADINGS.values() for name in names)
# `sagan benchmark` has commands of its own, each with its module.
BENCHMARK = "benchmark"
BENCHMARKS = {
    "step": "benchmark",
    "input": "benchmark_input",
    "eval": "benchmark_eval",
    "gpu": "benchmark_gpu",
}
_USUAL_BENCHMARK = "step"
_BENCHMARK_SUMMARY = "Measures speed: of the training step, the input, an evaluation, or a GPU."


def main() -> None:
    """Runs the command that the first word names."""
    words = sys.argv[1:]
    if not words or words[0] == "help" or words[0].startswith("-"):
        _answer(words)
    name, *rest = words
    if name == BENCHMARK:
        _run_benchmark(rest)
    if name not in COMMANDS:
        _unknown(name, COMMANDS, program="sagan")
    _run(module_of(name), f"sagan {name}", words=rest)


def module_of(name: str) -> str:
    """The module of a command, by its name."""
    return name.replace("-", "_")


def load(module: str) -> types.ModuleType:
    """A command's module, which has `COMMAND` and `main`."""
    return importlib.import_module(f"sagan_tf.tools.{module}")


def text() -> str:
    """The list of all commands."""
    # Say how they are called.
    lines = [
        "usage: sagan COMMAND [--flag=value ...]",
        "",
        "Self-Attention GAN in TensorFlow 2: prepare, train, score, look.",
    ]

    # List them.
    for heading, names in HEADINGS.items():
        lines += ["", f"{heading}:"]
        for name in names:
            lines += _entry(name, _summary(name))
    lines += [
        "",
        "sagan COMMAND -h explains a command and all its flags.",
        "sagan --version shows the version.",
    ]
    return "\n".join(lines)


def benchmark_text() -> str:
    """The list of all benchmarks."""
    lines = [
        "usage: sagan benchmark [step|input|eval|gpu] [--flag=value ...]",
        "",
        _BENCHMARK_SUMMARY,
        "",
    ]
    for name, module in BENCHMARKS.items():
        usual = " This one runs where flags come first." if name == _USUAL_BENCHMARK else ""
        lines += _entry(name, load(module).COMMAND.summary + usual)
    lines += ["", "sagan benchmark step -h explains a benchmark and all its flags."]
    return "\n".join(lines)


def all_texts() -> dict[str, str]:
    """The help of every command, by the name of its file in docs/flags."""
    texts = {"sagan": text(), BENCHMARK: benchmark_text()}

    # Each command for itself.
    for name in COMMANDS:
        if name != BENCHMARK:
            texts[name] = help_text.text(load(module_of(name)).COMMAND, f"sagan {name}")
    for name, module in BENCHMARKS.items():
        command = load(module).COMMAND
        texts[f"{BENCHMARK}-{name}"] = help_text.text(command, f"sagan {BENCHMARK} {name}")
    return texts


def _summary(name: str) -> str:
    if name == BENCHMARK:
        return _BENCHMARK_SUMMARY
    return load(module_of(name)).COMMAND.summary


def _entry(name: str, summary: str) -> list[str]:
    """The lines of one command in a list."""
    return textwrap.wrap(
        summary,
        help_text.WIDTH,
        initial_indent=f"  {name:20}",
        subsequent_indent=" " * 22,
    )


def _answer(words: list[str]) -> NoReturn:
    """Says what is there, where no command is named, and leaves."""
    if help_text.wants_version(words):
        cli.leave(help_text.version())
    if not words or words[0] == "help" or help_text.wants_help(words):
        cli.leave(text())
    cli.fail(f"{words[0]}: expected a command first, as in sagan train; sagan -h lists them")


def _run_benchmark(words: list[str]) -> NoReturn:
    """Runs the benchmark that the first word names; where flags come first, that of the step."""
    # Show what there is.
    if not words or help_text.wants_help(words[:1]):
        cli.leave(benchmark_text())

    # Run one.
    if words[0].startswith("-"):
        words = [_USUAL_BENCHMARK, *words]
    name, *rest = words
    if name not in BENCHMARKS:
        _unknown(name, tuple(BENCHMARKS), program="sagan benchmark")
    _run(BENCHMARKS[name], f"sagan benchmark {name}", words=rest)


def _run(module: str, program: str, *, words: list[str]) -> NoReturn:
    """Runs one command, as if its module had been started."""
    sys.argv[1:] = words
    found = load(module)
    cli.run(found.COMMAND, found.main, program=program)
    sys.exit(0)


def _unknown(name: str, names: tuple[str, ...], *, program: str) -> NoReturn:
    """Ends with one line about a command that does not exist."""
    near = difflib.get_close_matches(name.lower().replace("_", "-"), names, n=1)
    suggestion = f"did you mean {program} {near[0]}? " if near else ""
    cli.fail(f"{program} {name}: there is no such command; {suggestion}{program} -h lists them")


if __name__ == "__main__":
    main()
