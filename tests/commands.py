"""Commands for tests, in processes that need not import TensorFlow.

Importing takes 5 seconds of every start. The standard library's fork server imports `preloaded`
once, and each command is a copy of it. Tests whose point is the start itself use `subprocess`.
"""

import multiprocessing
import multiprocessing.connection
import os
import runpy
import signal
import sys
import threading
from concurrent import futures

_COPIES = multiprocessing.get_context("forkserver")
_COPIES.set_forkserver_preload(["tests.preloaded"])


class Command:
    """A command in a process of its own, with what tests use of `subprocess.Popen`.

    Args:
      words: a file or `-m` and a module, and the command's own words.
      env: its variables; this process's by default.
      cwd: where it works; here by default.
    """

    def __init__(self, *words, env=None, cwd=None):
        # Start it.
        readers, writers = zip(*[_COPIES.Pipe(duplex=False) for _ in range(2)])
        self._process = _COPIES.Process(
            target=run_command,
            args=([str(word) for word in words],),
            kwargs={
                "environment": dict(os.environ if env is None else env),
                "directory": str(cwd or os.getcwd()),
                "outputs": list(writers),
            },
        )
        self._process.start()

        # Keep the ends that are read.
        for writer in writers:
            writer.close()
        self.stdout, self.stderr = (
            os.fdopen(os.dup(reader.fileno()), encoding="utf-8") for reader in readers
        )

    @property
    def returncode(self):
        """Its exit code, or minus the number of the signal that killed it; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """Waits for its end; what it has written since the last look. Killed when time is out."""
        limit = threading.Timer(timeout, self.kill)
        limit.start()
        with futures.ThreadPoolExecutor() as pool:
            out, err = pool.map(lambda stream: stream.read(), (self.stdout, self.stderr))
        self._process.join()
        limit.cancel()
        return out, err


def run_command(
    words: list[str],
    *,
    environment: dict[str, str],
    directory: str,
    outputs: list[multiprocessing.connection.Connection],
) -> None:
    """Becomes the command `python WORDS`.

    Args:
      words: a file or `-m` and a module, and the command's own words.
      environment: all of its variables.
      directory: where it works.
      outputs: the pipes that its standard output and standard error go to.
    """
    # Take its surroundings.
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    for descriptor, output in enumerate(outputs, start=1):
        os.dup2(output.fileno(), descriptor)
        output.close()
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115

    # Run it.
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, os.path.dirname(words[0]))
        runpy.run_path(words[0], run_name="__main__")
