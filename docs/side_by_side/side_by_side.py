"""Measures several timed programs side by side, so that the machine's noise hits all of them.

Each program speaks the protocol of stepping.py: a JSON line {"ready": true, "batch": B} once it is
built and warm, then one JSON line {"seconds": s, "peak_mb": p} for every line it reads. All are
started one after the other and stay in memory; in each round each in turn runs one iteration while
the others wait for input. Where they do not fit in memory together, --one-at-a-time starts each
afresh in every round (A B A B ...), which takes longer.

It needs nothing but Python 3.10 or later:
  python side_by_side.py --rounds 5 --json result.json \\
      --program "reference=REF/bin/python time_reference.py --reference DIR --batch 8" \\
      --program "BigGAN-PyTorch=TORCH/bin/python time_biggan.py --biggan DIR --batch 8"
The table's last column is the median, over the rounds, of a program's images/s relative to those
of the first program in the same round.
"""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import tempfile
import threading
from pathlib import Path

import stepping

COLUMNS = ("program", "batch", "median s", "min s", "max s", "images/s", "peak MB", "ratio")


class Failed(Exception):
    """A program died, was too slow, or said something that is not an answer."""


class Program:
    """A timed program: its name, its command, and, while running, its process."""

    def __init__(self, text, timeout):
        self.name, _, self.command = (part.strip() for part in text.partition("="))
        if not self.name or not self.command:
            raise ValueError(f'--program {text!r}: it must read "NAME=shell command"')
        self.timeout = timeout
        self.ready = None
        self.answers = []

    @contextlib.contextmanager
    def running(self):
        """While this holds the process runs and is ready; after an error it is ended by force."""
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as self.errors:
            self.process = subprocess.Popen(
                self.command,
                shell=True,
                text=True,
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
            )
            try:
                self.ready = self._answer("ready", "batch")
                yield
            except BaseException:
                self._kill()
                raise
            finally:
                self._stop()

    def step(self):
        """Has the process run one iteration and keeps its answer."""
        with contextlib.suppress(BrokenPipeError):  # _answer then tells why it died
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        self.answers.append(self._answer("seconds", "peak_mb"))

    def _stop(self, patience=60):
        """Ends the process: by the end of its input, or by force when that does not help."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self._kill()
            self.process.wait()
        self.process.stdout.close()

    def _kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _answer(self, *fields):
        """The next line of the process as a dictionary that has these fields."""
        timer = threading.Timer(self.timeout, self._kill)
        timer.start()
        line = self.process.stdout.readline()
        late = not timer.is_alive()
        timer.cancel()
        if late:
            raise Failed(f"{self.name}: no answer in {self.timeout} seconds")
        if not line:
            code = self.process.wait()
            raise Failed(f"{self.name} died with exit code {code}: {self._last_error()}")
        try:
            answer = json.loads(line)
            if all(field in answer for field in fields):
                return answer
        except (ValueError, TypeError):
            pass
        raise Failed(f"{self.name}: {line.strip()!r} has no {' and '.join(fields)}")

    def _last_error(self):
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        return lines[-1] if lines else "(nothing on standard error)"


def measure(programs, rounds, one_at_a_time):
    """Runs all rounds; the answers are then in the programs."""
    if one_at_a_time:
        for _ in range(rounds):
            for program in programs:
                with program.running():
                    program.step()
        return
    with contextlib.ExitStack() as stack:
        for program in programs:
            stack.enter_context(program.running())
        for _ in range(rounds):
            for program in programs:
                program.step()


def summary(program, first):
    """What one program's rounds come to, and its speed relative to the first program."""
    seconds = [answer["seconds"] for answer in program.answers]
    others = [answer["seconds"] for answer in first.answers]
    batch, first_batch = program.ready["batch"], first.ready["batch"]
    ratios = [(batch / own) / (first_batch / other) for own, other in zip(seconds, others)]
    median = statistics.median(seconds)
    return {
        "name": program.name,
        "batch": batch,
        "median_seconds": median,
        "min_seconds": min(seconds),
        "max_seconds": max(seconds),
        "images_per_second": batch / median,
        "peak_mb": max(answer["peak_mb"] for answer in program.answers),
        "ratio": statistics.median(ratios),
        "seconds": seconds,
        "command": program.command,
        "ready": program.ready,
    }


def table(rows):
    """The summaries as lines of aligned text."""
    cells = [COLUMNS] + [
        (
            row["name"],
            str(row["batch"]),
            f"{row['median_seconds']:.3f}",
            f"{row['min_seconds']:.3f}",
            f"{row['max_seconds']:.3f}",
            f"{row['images_per_second']:.3f}",
            f"{row['peak_mb']:.0f}",
            f"{row['ratio']:.3f}",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    return "\n".join(
        line[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))
        for line in cells
    )


def arguments():
    flags = stepping.Parser(description="Measures timed programs side by side.")
    flags.add_argument(
        "--program",
        action="append",
        required=True,
        metavar="NAME=COMMAND",
        help="a program and the shell command that starts it; give several",
    )
    flags.add_argument("--rounds", type=stepping.at_least(1), default=5)
    flags.add_argument(
        "--one-at-a-time", action="store_true", help="start each program afresh in every round"
    )
    flags.add_argument(
        "--timeout",
        type=stepping.at_least(1),
        default=1800,
        help="seconds that one answer may take",
    )
    flags.add_argument("--json", help="file to write the results to")
    return flags.parse_args()


def main():
    args = arguments()
    try:
        programs = [Program(text, args.timeout) for text in args.program]
        if len({program.name for program in programs}) < len(programs):
            raise ValueError("two programs have the same name")
        if args.json and not Path(args.json).absolute().parent.is_dir():
            raise ValueError(f"--json {args.json}: there is no such folder")
        measure(programs, args.rounds, args.one_at_a_time)
        rows = [summary(program, programs[0]) for program in programs]
        print(table(rows))
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(
                    {
                        "rounds": args.rounds,
                        "one_at_a_time": args.one_at_a_time,
                        "cpus": os.cpu_count(),
                        "programs": rows,
                    },
                    file,
                    indent=1,
                )
                file.write("\n")
    except (Failed, OSError, ValueError) as error:
        stepping.fail(error)
    except KeyboardInterrupt:
        stepping.fail("interrupted")


if __name__ == "__main__":
    main()
