"""Real runs for tests: start a command, wait for a line, read what it left."""

import json
import os
import pathlib
import re
import socket
import threading

import numpy as np
import tensorflow as tf

from tests.commands import Command
from tests.conftest import ROOT

# A run of a small model that starts quickly.
PLAIN = (
    "--image_size=32",
    "--z_dim=8",
    "--gf_dim=8",
    "--df_dim=8",
    "--number_classes=3",
    "--generator_type=baseline",
    "--discriminator_type=baseline",
    "--batch_size=2",
    "--num_towers=1",
    "--sample_every=0",
    "--health_every=0",
    "--save_summaries_steps=1",
    "--shuffle_buffer_size=10",
    "--ema_decay=0.9",
    "--nograph_optimizer",
)


def start(script, *flags, **options) -> Command:
    """Starts one of the two commands, `-m MODULE`, or a file."""
    return Command(script if script == "-m" else ROOT / script, *flags, **options)


def run(script, *flags, **options) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that ends by itself."""
    process = start(script, *flags, **options)
    out, err = process.communicate()
    return process.returncode, out, err


def wait_for(process, pattern: str) -> str:
    """Reads the process's output up to a line that matches, and returns it.

    A process that does not write one within five minutes is killed.
    """
    limit = threading.Timer(300, process.kill)
    limit.start()
    try:
        for line in process.stdout:
            if re.match(pattern, line):
                return line
    finally:
        limit.cancel()
    raise AssertionError(f"ended without {pattern}: {process.stderr.read()}")


def error_line(result, code: int = 1, beginning: str = "error: ") -> str:
    """The one line that a process that failed in a known way ends with."""
    found, _, err = result
    lines = [line for line in err.splitlines() if line.startswith(beginning)]
    assert found == code, err
    assert "Traceback" not in err
    assert len(lines) == 1, err
    assert err.rstrip().endswith(lines[0])
    return lines[0]


def environment(**changes):
    """This process's environment with changes, and without a colleague's cluster."""
    return {**{k: v for k, v in os.environ.items() if k != "TF_CONFIG"}, **changes}


def free_addresses(count: int) -> list[str]:
    """Addresses of this machine that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    names = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return names


def start_workers(count: int, *flags, more=None):
    """Workers of one run, on this machine; `more` has flags for some of them, by index."""
    names = free_addresses(count)

    def cluster(index):
        task = {"type": "worker", "index": index}
        return environment(TF_CONFIG=json.dumps({"cluster": {"worker": names}, "task": task}))

    return [
        start("train_imagenet.py", *flags, *(more or {}).get(index, ()), env=cluster(index))
        for index in range(count)
    ]


def state(run_dir, step: int) -> dict[str, np.ndarray]:
    """Every variable of a checkpoint, by its key there."""
    reader = tf.train.load_checkpoint(os.path.join(run_dir, f"ckpt-{step}"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith("state/")
    }


def rows(run_dir) -> list[dict]:
    """The rows of a run's metrics.jsonl."""
    return [
        json.loads(line) for line in pathlib.Path(run_dir, "metrics.jsonl").read_text().splitlines()
    ]
