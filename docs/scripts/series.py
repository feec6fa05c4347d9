"""A series of runs: commands as processes, several at a time, and a line of results for each.

Stopped, a series goes on where it was: a run with a line in the file of results is not made again.
"""

import argparse
import shlex
import signal
import subprocess
import sys
from concurrent import futures

import recipes
import result_lines


class Failed(Exception):
    """A command has ended with an error."""


class Processes:
    """Commands as processes, in the root of the project."""

    def __init__(self):
        self._running = set()

    def finish(self, words, log):
        """Runs `python WORDS` to its end; what it prints is added to a file.

        Raises:
          Failed: it ends with an error.
        """
        # Run it.
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"$ python {shlex.join(words)}\n")
            file.flush()
            process = subprocess.Popen(
                [sys.executable, *words], cwd=recipes.ROOT, stdout=file, stderr=subprocess.STDOUT
            )
            self._running.add(process)
            code = process.wait()
            self._running.discard(process)

        # Name the one that failed.
        if code:
            raise Failed(f"{log.stem}: {words[0]} ended with exit code {code}; {log} says why")

    def end(self, *_):
        """Asks all of them to end, and this program too; a handler of signals."""
        for process in list(self._running):
            process.terminate()
        raise KeyboardInterrupt


def missing(runs, path, *, done):
    """The runs that have no line of results yet; it prints how many have one.

    Args:
      runs: all that are asked for; each has a `key`.
      path: of the file of results.
      done: what the file holds, by key.
    """
    found = [run for run in runs if run.key not in done]
    print(f"{path}: {len(runs) - len(found)} of {len(runs)} runs are there", flush=True)
    return found


def measure(run, out, *, commands, result_of, finish):
    """Makes a run and scores it; its line of the results.

    Args:
      run: which; it has a `name`.
      out: directory of all runs; what the commands print goes into NAME.log there.
      commands: of a run and that directory, the words of its commands after `python`.
      result_of: of both, what the commands have left.
      finish: runs a command, as `Processes.finish`.
    Raises:
      Failed: a command has failed.
    """
    for words in commands(run, out):
        finish(words, out / f"{run.name}.log")
    return result_of(run, out)


def measure_all(runs, path, *, key, jobs, **how):
    """Makes runs, and appends their results.

    Args:
      runs: that have no result yet.
      path: of the file of results, in the directory of all runs.
      key: names of what decides a run, to be printed.
      jobs: how many to make at the same time.
      **how: a run is made and read, as of `measure`.
    Returns:
      What has failed, a line each. A run that fails does not stop the others.
    """
    failures = []
    with futures.ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(measure, run, path.parent, **how) for run in runs]
        try:
            for future in futures.as_completed(waiting):
                if isinstance(future.exception(), Failed):
                    failures.append(str(future.exception()))
                    continue
                row = future.result()
                result_lines.append(path, row)
                print(*(row[name] for name in key), row["values"], flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failures


def start(recipe, out, *, measure):
    """Makes a series, and ends the program with one line where something is wrong.

    Args:
      recipe: its name.
      out: directory of all runs, a `pathlib.Path`; it is made.
      measure: makes the series; it is given `Processes.finish` and returns what has failed.
    """
    # Make them. Ctrl-C reaches the commands by itself; another request to end is passed on.
    processes = Processes()
    signal.signal(signal.SIGTERM, processes.end)
    try:
        data = recipes.RECIPES[recipe].data
        if not (recipes.ROOT / data).is_dir():
            raise ValueError(
                f"--recipe={recipe}: there is no {data}; make it as docs/{recipe}.md says"
            )
        out.mkdir(parents=True, exist_ok=True)
        failures = measure(processes.finish)
    except (Failed, OSError, ValueError) as error:
        result_lines.fail(error)
    except KeyboardInterrupt:
        result_lines.fail("interrupted; the same command goes on from here")

    # Name the failures.
    if failures:
        result_lines.fail("; ".join(failures))


def parser(description):
    """A parser of the flags that every series has."""
    # What to train.
    flags = result_lines.Parser(description=description)
    flags.add_argument("out", metavar="OUT", help="directory of runs and results")
    flags.add_argument("--recipe", choices=tuple(recipes.RECIPES), default="digits")
    flags.add_argument("--seeds", type=at_least_one, default=3, help="how many, from 0 on")
    flags.add_argument("--max-steps", type=at_least_one, help="of a run; --show names the default")

    # How.
    flags.add_argument("--jobs", type=at_least_one, default=1, help="runs at the same time")
    flags.add_argument("--show", action="store_true", help="print the commands, and do nothing")
    return flags


def names_of(known):
    """An argparse type: names with commas between them, of the known ones."""

    def names(text):
        found = text.split(",")
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name}: expected some of {', '.join(known)}")
        return found

    return names


def at_least_one(text):
    """An argparse type: a whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return value
