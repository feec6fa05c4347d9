"""The command line: config dataclasses as absl flags, and the exit codes of all commands.

It is the only importer of `absl.flags`.
"""

import contextlib
import dataclasses
import gc
import os
import select
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, Optional

from absl import app, flags, logging

from sagan_tf import errors, tensorflow_log
from sagan_tf.config import help_text

flags.disclaim_key_flags()  # so that --helpfull lists our flags under the command that has them

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}

# A flag that a command may have -> what makes the command need less memory. The first one counts.
_LESS_MEMORY = {
    "accumulate": "a larger --accumulate (with the same result), or a smaller --batch_size,",
    "dcgan_generator_batch_size": "a smaller --dcgan_generator_batch_size, or --manifold_images,",
    "workers": "a smaller --workers",
    "batch_size": "a smaller --batch_size",
    "seeds": "a smaller number of --seeds or --classes",
}


def define(*kinds: type) -> None:
    """Defines a flag for every field of the given config dataclasses."""
    for kind in kinds:
        for field in dataclasses.fields(kind):
            define_flag = _DEFINE[help_text.value_type(kind, field.name)]
            if help_text.is_repeated(kind, field.name):
                define_flag = flags.DEFINE_multi_string
            define_flag(field.name, field.default, field.metadata["help"])


def value(name: str) -> Any:
    """The value of a flag."""
    return flags.FLAGS[name].value


def given(name: str) -> bool:
    """Whether a flag was given."""
    return flags.FLAGS[name].present > 0


def given_values(*names: str) -> dict[str, Any]:
    """The values of those of these flags that were given."""
    return {name: value(name) for name in names if given(name)}


def make(kind: type, known: Optional[Mapping[str, Any]] = None) -> Any:
    """A config of class `kind` from the flags.

    Args:
      kind: a config dataclass.
      known: values, by field, of flags that were not given.
    Raises:
      errors.UserError: a value fails its check.
    """
    values = {}
    for field in dataclasses.fields(kind):
        if known and field.name in known and not given(field.name):
            values[field.name] = known[field.name]
        elif help_text.is_repeated(kind, field.name):
            values[field.name] = tuple(value(field.name))
        else:
            values[field.name] = value(field.name)
    return kind(**values)


def run(command: help_text.Command, main: Callable[[], None], *, program: str = "") -> None:
    """Runs a command: prepares the process, parses the command line, calls `main` and leaves.

    Exit code 0 when done, and after -h and --version; 1 after `errors.UserError` or a wrong flag,
    with its one line on standard error; 128 + the signal's number when a signal ended the run, or
    SIGPIPE's where the reader of its output, such as `head`, has ended before it; 75 when another
    worker was lost.

    Args:
      command: its flags and its help.
      main: what it does.
      program: how the user has called it; empty: as Python has started it.
    """
    # Answer -h and --version at once, before anything else is loaded.
    answer = help_text.answer(command, program or _program(), words=sys.argv[1:])
    if answer:
        leave(answer)

    # Run it.
    define(*command.kinds)
    prepare_process()
    app.run(
        lambda _: sys.exit(_exit_code(main)),
        flags_parser=lambda argv: _parse(argv, command),
    )


def _program() -> str:
    """How this process was started, as in `python -m sagan_tf.tools.sample`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return f"python -m {spec.name}" if spec else f"python {sys.argv[0]}"


def prepare_process() -> None:
    """Sets what all commands share: TensorFlow's variables, garbage collection, standard output.

    Call it before TensorFlow is imported. A variable that the user has set stays as it is.
    """
    # Keep TensorFlow's own remarks off the terminal; `tensorflow_log` holds back what is left.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if tensorflow_log.is_shown() else "2")

    # Take oneDNN's kernels, which are the faster ones (docs/performance.md): on a CPU without
    # AVX-512 TensorFlow leaves them off.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

    # Collect garbage less often. Importing TensorFlow and tracing make millions of objects, and
    # looking through all of them again and again takes a second or two of every start.
    gc.set_threshold(100_000, 50, 50)

    # Print names of files that are not UTF-8.
    sys.stdout.reconfigure(errors="backslashreplace")


def _parse(argv: Sequence[str], command: help_text.Command) -> list[str]:
    """Sets the flags; words without a flag become the value of the command's argument."""
    argument = command.argument
    try:
        rest = flags.FLAGS(list(argv), known_only=False)
    except (flags.Error, OSError, ValueError) as error:
        # Of a file of flags that cannot be opened, the system's error says more than absl's.
        reason = error.__context__
        if isinstance(error, flags.CantOpenFlagFileError) and isinstance(reason, OSError):
            path = os.fsdecode(reason.filename)
            fail(f"--flagfile={path}: cannot be read ({reason.strerror}); name a file of flags")
        fail(_of_flag(error))

    # Words are the values of a flag that takes several.
    if command.takes_several:
        flags.FLAGS[argument].value = [*flags.FLAGS[argument].value, *rest[1:]]
        return rest[:1]

    # A single word is the value of the flag `argument`, also where a flagfile has another one.
    named = {word.lstrip("-").split("=")[0] for word in argv[1:] if word.startswith("-")}
    if argument and len(rest) == 2 and rest[1] and argument not in named:
        flags.FLAGS[argument].value = rest.pop()
    if len(rest) > 1:
        expected = "flags only, as in --name=value"
        if argument:
            expected += f", and one word without a flag, the value of --{argument}"
        fail(f"{rest[-1] or repr('')}: expected {expected}")
    return rest


def _of_flag(error: Exception) -> str:
    """What absl says of a flag, in one line."""
    text = " ".join(str(error).split())
    flag, found, _ = text.partition(": ('Non-boolean argument")
    return f"{flag}: expected true or false" if found else text


def _exit_code(main: Callable[[], None]) -> int:
    """Calls `main`; 0, or leaves with one line about the error that it raised."""
    # TensorFlow Datasets logs all that it does.
    if not given("verbosity"):
        logging.set_verbosity(logging.WARNING)

    # Run the command.
    try:
        hint = _less_memory()
        kept_quiet = tensorflow_log.held_back(
            hint,
            (errors.UserError, BrokenPipeError),
            explained_by_log=errors.MachineError,
        )
        with kept_quiet, within_memory(hint):
            main()
        sys.stdout.flush()
    except BrokenPipeError:
        if _has_reader():
            raise  # Another pipe broke than that of standard output.
        _flush()
        return 128 + signal.SIGPIPE
    except errors.UserError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except errors.WorkerLost as lost:
        fail(str(lost), errors.RESTART)
    except errors.Interrupted as stop:
        fail(str(stop), 128 + stop.signal)
    return 0


@contextlib.contextmanager
def within_memory(hint: str) -> Iterator[None]:
    """Turns an error about memory, Python's or TensorFlow's, into one that says what needs less."""
    try:
        yield
    except Exception as error:
        if not _is_about_memory(error):
            raise
        text = " ".join(str(error).split()).removesuffix(".")
        reason = textwrap.shorten(text, 160, placeholder=" ...") or "Python found none"
        raise errors.MachineError(f"memory ran out ({reason}); {hint}") from error


def _is_about_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True

    # An error of TensorFlow's can only come when it has been imported.
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
        return False

    # A full disk is a resource too.
    text = str(error).lower()
    is_exhausted = isinstance(error, tensorflow.errors.ResourceExhaustedError)
    return "out of memory" in text or (is_exhausted and ("oom" in text or "memory" in text))


def _less_memory() -> str:
    """What this command's user can do where memory runs out."""
    for flag, change in _LESS_MEMORY.items():
        if flag in flags.FLAGS:
            return f"{change} needs less"
    return "close other programs, or take a machine with more"


def leave(answer: str) -> NoReturn:
    """Prints an answer and ends the process; a reader such as `head` may end before that."""
    with contextlib.suppress(BrokenPipeError):
        print(answer)
    _flush()
    sys.exit(0)


def _flush() -> None:
    """Flushes standard output; where its reader has ended, what is left is dropped."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _has_reader() -> bool:
    """Whether somebody may still read standard output."""
    output = select.poll()
    output.register(sys.stdout, select.POLLOUT)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in output.poll(0))


def fail(line: str, code: int = 1) -> NoReturn:
    """Ends the process with one line on standard error."""
    _flush()
    print(("" if code > 1 else "error: ") + line, file=sys.stderr)
    sys.exit(code)
