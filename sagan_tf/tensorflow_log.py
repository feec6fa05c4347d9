"""Filter of standard error, which holds back what TensorFlow's C++ code logs at its start.

    python tensorflow_log.py HINT < what is written to standard error

`TF_CPP_MIN_LOG_LEVEL` does not silence these lines: absl writes them before it knows a level. So
`held_back` gives the process a pipe as its file descriptor 2, and this program stands behind it.

The program is a process of its own. A thread would not run while TensorFlow holds Python's
interpreter lock, and the last words of a crash would die with it. They wait in the pipe, and this
process outlives its parent to print them. Standard library only, so that it starts at once.
"""

import collections
import contextlib
import glob
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TextIO, Union

SHOW = "SAGAN_SHOW_TENSORFLOW_LOG"
_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_HEADING = f"TensorFlow's log, held back until here ({SHOW}=1 shows all of it as it comes):\n"

# What the parent writes into the pipe at its end: forget what was held back, or print it.
_MARK = b"\x1fsagan_tf:"
_FORGET = _MARK + b"forget\n"
_PRINT = _MARK + b"print\n"

# "2026-01-31 12:34:56.789012: I path/file.cc:12] ..." and "I0000 00:00:1769862896.789 123 file.cc".
_LOG_LINE = re.compile(
    rb"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: ([IWEF])|([IWEF])\d{4} \d\d:\d\d:\d+\.\d+ +\d+) "
)
# Errors that only say that a CUDA library registers itself twice, or that tf.data has an attribute
# that it does not know (where TensorFlow is deterministic).
_HARMLESS_ERROR = re.compile(
    rb"Unable to register cu\w+ factory|already registered"
    rb"|NodeDef mentions attribute \w+ which is not in the op definition"
)
# Lines that say that there is no GPU. They are harmless where there is none.
_WITHOUT_GPU = re.compile(
    rb".*(?:failed call to cuInit|Cannot dlopen some GPU libraries"
    rb"|Skipping registering GPU devices)"
)
_GPU_FILES = "/dev/nvidia*"
# Lines of the same remarks that have no beginning of their own.
_HARMLESS_LINE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions:"
)
# What the last words of a crash begin with: a failed check of TensorFlow's, C++, Python's
# `faulthandler`.
_LAST_WORDS = re.compile(
    rb"\d{4}-\d\d-\d\d [\d:.]+: F |F\d{4} \d\d:\d\d:|terminate called|Fatal Python error"
)
_NO_MEMORY = re.compile(rb".*std::bad_alloc")
_MOST_LINES = 200  # That are held back; the newest.
_PATIENCE = 0.5  # Seconds between two looks whether the parent lives, and for the rest of a line.
_LOOKS = 20  # How many looks back a kill may be the parent's: freeing much memory takes seconds.

# Where Linux counts the processes that it killed because memory ran out.
_OOM_COUNTERS = (
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
    "/proc/vmstat",
)


def is_shown() -> bool:
    """Whether the user wants to see the log: by our variable, or by TensorFlow's own."""
    return os.environ.get(SHOW, "0") not in ("", "0") or os.environ.get(_LEVEL) == "0"


@contextlib.contextmanager
def held_back(
    hint: str,
    expected: Union[type[Exception], tuple[type[Exception], ...]],
    *,
    explained_by_log: type[Exception],
) -> Iterator[None]:
    """Holds the log back while the body runs, and prints it if the body fails.

    Only what is written to file descriptor 2 goes through the filter. Python's `sys.stderr` stays
    what it was, a terminal or not.

    Args:
      hint: what to do where memory runs out; printed if the system kills this process for it.
      expected: errors that say themselves what is wrong. After these nothing is printed.
      explained_by_log: those of them of which the log may say more. It is printed.
    """
    if is_shown() or not _is_open(2):
        yield
        return

    # Run the body. The filter ends before anybody says what came of it.
    with _filtered(hint) as ending:
        try:
            yield
        except Exception as error:
            if isinstance(error, explained_by_log) or not isinstance(error, expected):
                ending.append(_PRINT)
            raise


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _filtered(hint: str) -> Iterator[list[bytes]]:
    """Puts the filter behind file descriptor 2; gives a list for the order that ends it."""
    # Start the filter, which prints where this process printed. In a session of its own it is not
    # interrupted from the keyboard.
    kept = os.dup(2)
    reading_end, writing_end = os.pipe()
    command = [sys.executable, "-I", "-S", __file__, hint]
    process = subprocess.Popen(
        command, stdin=reading_end, stdout=subprocess.DEVNULL, start_new_session=True
    )
    os.close(reading_end)

    # Write into it, but for Python, which writes on as before.
    os.dup2(writing_end, 2)
    os.close(writing_end)
    ending: list[bytes] = []
    stream = _python_stream(kept)
    with _absl_prints_to(stream), contextlib.redirect_stderr(stream):
        try:
            yield ending
        finally:
            # Wait until it has printed all that came before.
            with contextlib.suppress(OSError):
                os.write(2, ending[0] if ending else _FORGET)
            process.wait()
            os.dup2(kept, 2)


def _python_stream(kept: int) -> TextIO:
    """What Python's `sys.stderr` writes to: the descriptor that file descriptor 2 was before."""
    stream = sys.stderr
    try:
        writes_there = stream.fileno() == 2
    except (AttributeError, OSError):
        writes_there = False
    if not writes_there:
        return stream
    return open(kept, "w", buffering=1, encoding=stream.encoding, errors=stream.errors)


@contextlib.contextmanager
def _absl_prints_to(stream: TextIO) -> Iterator[None]:
    """Lets Python's absl log there: its lines look like those of C++, and may be a library's."""
    # It keeps the stream that was standard error when it was imported.
    absl_logging = sys.modules.get("absl.logging")
    handler = absl_logging and absl_logging.get_absl_handler().python_handler
    if not handler or handler.stream is not sys.stderr:
        yield
        return

    # Exchange it.
    before = handler.setStream(stream)
    try:
        yield
    finally:
        if before is not None:
            handler.setStream(before)


def is_remark(line: bytes) -> bool:
    """Whether a line is a remark of TensorFlow that the user need not see when all is well."""
    if _WITHOUT_GPU.match(line):
        return not has_gpu()

    # Tell the log's lines by their beginning.
    found = _LOG_LINE.match(line)
    if found is None:
        return _HARMLESS_LINE.match(line) is not None
    severity = found[1] or found[2]
    if severity == b"E":
        return _HARMLESS_ERROR.search(line) is not None
    return severity in (b"I", b"W")


def has_gpu() -> bool:
    """Whether this machine has a GPU of NVIDIA's that the user has not hidden."""
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return bool(glob.glob(_GPU_FILES)) and not is_hidden


class Filter:
    """What was held back, and where everything else is printed.

    A crash prints what was held back too, in front of its last words: a container may end every
    other process with its first one, so nothing waits for the parent's end.

    Args:
      out: file descriptor that lines are printed to.
    """

    def __init__(self, out: int):
        self._out = out
        self._held: collections.deque[bytes] = collections.deque(maxlen=_MOST_LINES)
        self._begun = b""  # A line whose end has not come yet.
        self._is_open = False  # After a crash nothing is held back.
        self._lacked_memory = False

    def add(self, data: bytes) -> bool:
        """Takes what was written; says whether the parent has given its order."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            line, mark, order = (line + b"\n").partition(_MARK)
            if line:
                self._take(line)
            if mark:
                if mark + order == _PRINT:
                    self._print_held()
                return True
        return False

    def pause(self) -> None:
        """Prints a line that waits for its end, unless it may be a remark."""
        if self._begun and not is_remark(self._begun):
            self._print(self._begun)
            self._begun = b""

    def end(self, killed_for_memory: int, *, hint: str) -> None:
        """Prints what is to be said of a parent that has gone without a word.

        Args:
          killed_for_memory: how many processes the system has killed of late. The system does not
            say which, and any process of this machine counts.
          hint: what to do where memory runs out.
        """
        if self._begun:
            self._take(self._begun + b"\n")

        # Say no more than is known.
        if self._lacked_memory:
            self._print(f"error: memory ran out; {hint}\n".encode())
        elif killed_for_memory:
            what = "a process" if killed_for_memory == 1 else f"{killed_for_memory} processes"
            self._print(
                f"error: memory may have run out (the system killed {what} for it just now); "
                f"{hint}\n".encode()
            )

    def _take(self, line: bytes) -> None:
        # Print all of it where a crash begins.
        if _LAST_WORDS.match(line):
            self._print_held()
            self._is_open = True
            self._lacked_memory |= _NO_MEMORY.match(line) is not None

        # Print the line, or hold it back.
        if self._is_open or not is_remark(line):
            self._print(line)
        else:
            self._held.append(line)

    def _print_held(self) -> None:
        if self._held:
            self._print(_HEADING.encode() + b"".join(self._held))
            self._held.clear()

    def _print(self, data: bytes) -> None:
        # The terminal may have gone. What comes is read all the same: the writer must not wait.
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._out, data) :]


def processes_killed_for_memory() -> int:
    """How many processes the system has killed, since it started, because memory ran out."""
    counts = [0]
    for path in _OOM_COUNTERS:
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            counts += map(int, re.findall(r"^oom_kill (\d+)", file.read(), re.MULTILINE))
    return max(counts)  # Several files count the same kill.


def main(hint: str) -> None:
    """Filters standard input to standard error, until the parent says so or is gone."""
    # Outlive the parent, whoever else is told to end.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    parent = os.getppid()
    killed = collections.deque([processes_killed_for_memory()], maxlen=_LOOKS)
    looked = time.monotonic()
    lines = Filter(2)

    # Other processes may hold the pipe open when the parent has gone.
    while True:
        if time.monotonic() - looked >= _PATIENCE:
            killed.append(processes_killed_for_memory())
            looked = time.monotonic()
        if select.select([0], [], [], _PATIENCE)[0]:
            data = os.read(0, 65536)
            if not data:
                break
            if lines.add(data):
                return
        elif os.getppid() != parent:
            break
        else:
            lines.pause()

    lines.end(processes_killed_for_memory() - killed[0], hint=hint)


if __name__ == "__main__":
    main(sys.argv[1])
