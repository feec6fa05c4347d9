"""Faults at random, for as long as one likes; at the end the run must be what an unbroken one is.

    python -m tests.soak.soak --faults 100 --dir /tmp/soak

A small run is started again and again, and each time one of the faults below happens to it at a
random moment. After each, the exit code and the last line must be the documented ones and no
checkpoint may be lost; after all, an unbroken run of as many steps must give the same bits. The
disk faults need root, to mount small disks, and are left out without it. A second run, on two
workers, loses one of them now and then.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np

from tests import processes
from tests.conftest import ROOT
from tests.testing import make_data, random_images, write_records
from tests.training.faults_test import JUMPING_CLOCK

MODEL = (
    *processes.PLAIN[:-1],
    "--num_towers=1",
    "--deterministic",
    "--save_checkpoint_secs=1",
    "--sample_every=100",
    "--save_summaries_steps=20",
)


class Soak:
    """One run directory, its data and its disks."""

    def __init__(self, path: pathlib.Path, seed: int, disks: bool):
        self.path, self.random, self.disks = path, random.Random(seed), disks
        self.data = path / "data"
        make_data(self.data, count=64)
        (path / "sitecustomize.py").write_text(JUMPING_CLOCK)
        self.runs, self.summaries = path / "runs", path / "summaries"
        for disk, size in ((self.runs, "40m"), (self.summaries, "8m")):
            disk.mkdir()
            if disks:
                subprocess.run(
                    ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True
                )
        self.run_dir = self.runs / "imagenet_2"
        self.counts = collections.Counter()
        self.reached = 0  # step of a checkpoint that must not be lost
        self.damaged = False  # whether the newest checkpoint was damaged on purpose
        self.reached_by_two = -1  # the same of the run on two workers

    def flags(self, *more):
        return [
            *MODEL,
            f"--data_dir={self.data}",
            f"--checkpoint_dir={self.runs}",
            f"--summary_dir={self.summaries}",
            *more,
        ]

    def start(self):
        """The run, past its first step; checks that it went on where it should."""
        process = processes.start(
            "train_imagenet.py",
            *self.flags("--max_steps=100000000"),
            env=processes.environment(PYTHONPATH=f"{self.path}:{ROOT}"),
        )
        line = processes.wait_for(process, r".*(: starting$|continuing from step |; skipped$)")
        if "; skipped" in line:
            assert self.damaged, line  # nothing but our own damage may need that
            line = processes.wait_for(process, ".*continuing from step ")
        self.damaged = False
        found = re.search(r"continuing from step (\d+)", line)
        assert (int(found.group(1)) if found else 0) >= self.reached, (line, self.reached)
        return process

    def under_way(self):
        process = self.start()
        processes.wait_for(process, "step ")
        time.sleep(self.random.uniform(0, 2.5))
        return process

    def ends(self, process, code: int, words: str) -> None:
        """The process ends with this code and these words, within a minute."""
        _, err = process.communicate(timeout=60)
        assert process.returncode == code, (process.returncode, err)
        assert "Traceback" not in err, err
        assert words in err, err

    def note_checkpoints(self) -> None:
        """What can be read now must be there later."""
        self.reached = max([0, *self.steps()])

    def steps(self) -> list[int]:
        names = os.listdir(self.run_dir) if self.run_dir.is_dir() else []
        return sorted(
            int(name[5:-6])
            for name in names
            if name.startswith("ckpt-") and name.endswith(".index")
        )

    # Each fault: a method named fault_...

    def fault_kill(self):
        process = self.under_way()
        process.kill()
        process.communicate()
        self.note_checkpoints()

    def fault_kill_during_start_up(self):
        process = processes.start(
            "train_imagenet.py",
            *self.flags("--max_steps=100000000"),
            env=processes.environment(PYTHONPATH=f"{self.path}:{ROOT}"),
        )
        time.sleep(self.random.uniform(0, 12))
        process.kill()
        process.communicate()
        self.note_checkpoints()

    def fault_kill_inside_save(self):
        process = self.under_way()
        before = set(os.listdir(self.run_dir))
        end = time.monotonic() + 30
        while not any("ckpt-" in name for name in set(os.listdir(self.run_dir)) - before):
            assert time.monotonic() < end, "no save"
        time.sleep(self.random.choice([0, 0, 0.001, 0.003, 0.01]))
        process.kill()
        process.communicate()
        self.note_checkpoints()

    def fault_sigterm(self):
        process = self.under_way()
        process.send_signal(signal.SIGTERM)
        self.ends(process, 143, "SIGTERM: saved step ")
        self.note_checkpoints()

    def fault_sigint(self):
        process = self.under_way()
        process.send_signal(signal.SIGINT)
        self.ends(process, 130, "SIGINT: saved step ")
        self.note_checkpoints()

    def fault_checkpoint_damaged(self):
        self.fault_kill()
        steps = self.steps()
        assert len(steps) >= 2, "no second checkpoint to go back to"
        path = self.run_dir / f"ckpt-{steps[-1]}.data-00000-of-00001"
        content = path.read_bytes()
        place = self.random.randrange(len(content))
        self.random.choice(
            [
                path.unlink,
                lambda: path.write_bytes(content[:place]),
                lambda: path.write_bytes(
                    content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]
                ),
            ]
        )()
        self.reached, self.damaged = steps[-2], True

    def fault_disk_full(self):
        process = self.under_way()
        filler = self.runs / "filler"
        fill(filler)
        self.ends(process, 1, "cannot be written to")
        filler.unlink()
        self.note_checkpoints()

    def fault_summary_disk_full(self):
        for events in self.summaries.iterdir():
            events.unlink()
        process = self.under_way()
        filler = self.summaries / "filler"
        fill(filler)
        processes.wait_for(process, r".*cannot be written to .* training goes on")
        filler.unlink()
        processes.wait_for(process, r".*can be written to again")
        process.kill()
        process.communicate()
        self.note_checkpoints()

    def fault_second_run(self):
        process = self.under_way()
        result = processes.run("train_imagenet.py", *self.flags("--max_steps=100000000"))
        assert result[0] == 1, result
        assert "another run is at work there" in result[2]
        process.kill()
        process.communicate()
        self.note_checkpoints()

    def fault_data_removed(self):
        self._change_data(lambda path: path.unlink(), "and is gone; put it back")

    def fault_data_truncated(self):
        self._change_data(
            lambda path: os.truncate(path, path.stat().st_size // 2),
            "it has changed since the run began",
        )

    def fault_data_replaced(self):
        def replace(path):
            other = self.path / "other"
            write_records(other, random_images(32, seed=9), [0] * 32)
            os.replace(other, path)

        self._change_data(replace, "it has changed since the run began")

    def _change_data(self, change, words):
        process = self.under_way()
        path = self.data / "part-1.tfrecords"
        original = path.read_bytes()
        change(path)
        self.ends(process, 1, words)
        path.write_bytes(original)
        self.note_checkpoints()

    def fault_worker_lost(self):
        """Another run, on two workers, loses one and continues."""
        flags = [
            *MODEL,
            "--num_towers=2",
            f"--data_dir={self.data}",
            f"--checkpoint_dir={self.path}/two",
            "--strategy=multi_worker",
            "--max_steps=100000000",
        ]
        workers = processes.start_workers(2, *flags)
        line = processes.wait_for(workers[0], r".*(: starting$|continuing from step )")
        found = re.search(r"continuing from step (\d+)", line)
        assert (int(found.group(1)) if found else -1) >= self.reached_by_two, line
        processes.wait_for(workers[0], "step ")
        time.sleep(self.random.uniform(0, 2.5))
        victim = self.random.randrange(2)
        workers[victim].kill()
        workers[victim].communicate()
        self.ends(workers[1 - victim], 75, "another worker has died or does not answer")
        self.reached_by_two = max(
            int(path.stem[5:]) for path in (self.path / "two" / "imagenet_2").glob("ckpt-*.index")
        )


def fill(filler: pathlib.Path) -> None:
    """Fills a disk to the last byte."""
    try:
        with open(filler, "wb", buffering=0) as file:
            for size in (2**16, 2**10, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size):
                        pass
    except OSError:
        pass


def compare(soak: Soak) -> int:
    """An unbroken run of as many steps as the last checkpoint has: the same bits."""
    step = max(soak.steps())
    flags = [
        *MODEL,
        f"--data_dir={soak.data}",
        f"--checkpoint_dir={soak.path}/whole",
        f"--max_steps={step}",
    ]
    process = processes.start("train_imagenet.py", *flags)  # for as long as it takes
    _, err = process.communicate()
    assert process.returncode == 0, err
    whole = processes.state(soak.path / "whole" / "imagenet_2", step)
    broken = processes.state(soak.run_dir, step)
    assert set(whole) == set(broken)
    for name, value in whole.items():
        np.testing.assert_array_equal(broken[name], value, err_msg=name)
    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--dir", required=True, help="a directory that does not exist")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    path = pathlib.Path(options.dir)
    path.mkdir(parents=True)
    disks = os.geteuid() == 0
    soak = Soak(path, options.seed, disks)
    kinds = [name[len("fault_") :] for name in dir(Soak) if name.startswith("fault_")]
    if not disks:
        kinds = [kind for kind in kinds if "disk" not in kind]
    began = time.monotonic()
    try:
        for number in range(options.faults):
            # Each kind in turn before any comes again, each time in another order.
            if number % len(kinds) == 0:
                soak.random.shuffle(kinds)
            kind = kinds[number % len(kinds)]
            getattr(soak, f"fault_{kind}")()
            soak.counts[kind] += 1
            print(
                f"{number + 1}/{options.faults} {kind}: survived; checkpoints of steps "
                f"{soak.steps()}",
                flush=True,
            )
        step = compare(soak)
    finally:
        minutes = (time.monotonic() - began) / 60
        print(f"{sum(soak.counts.values())} faults survived in {minutes:.0f} minutes:")
        for kind, count in sorted(soak.counts.items()):
            print(f"  {kind}: {count}")
        if disks:
            for disk in (soak.runs, soak.summaries):
                subprocess.run(["umount", "-l", str(disk)], check=False)
    print(f"step {step}: every variable is what an unbroken run of {step} steps has")


if __name__ == "__main__":
    sys.exit(main())
