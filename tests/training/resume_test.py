"""A run that was killed goes on as if nothing had happened: bit for bit, real processes."""

import os
import shutil
import signal

import numpy as np
import pytest

from tests import processes
from tests.testing import make_data

pytestmark = [pytest.mark.process, pytest.mark.slow]
N = 3
FLAGS = (
    *processes.PLAIN,
    "--generator_type=test",
    "--discriminator_type=test",
    "--attention_resolution=16",
    "--num_towers=4",
    "--deterministic",
    "--augment=ada",
    "--ada_start=0.5",
    "--ada_kimg=0.1",
    "--mirror",
    "--save_checkpoint_secs=0",
    f"--sample_every={N}",
    f"--health_every={N}",
    "--keep_checkpoints=100",
)


@pytest.fixture(name="data", scope="module")
def fixture_data(tmp_path_factory):
    """30 images: an epoch ends within step 4 (8 images a step), and again later."""
    return make_data(tmp_path_factory.mktemp("records"), count=30)


@pytest.fixture(name="runs", scope="module")
def fixture_runs(tmp_path_factory, data):
    """Directories of a run that was killed after 2N steps in one go, and of one killed after N that
    went on to 2N; the second start's output."""
    path = tmp_path_factory.mktemp("runs")

    def flags(name):
        return [*FLAGS, f"--data_dir={data}", f"--checkpoint_dir={path}/{name}"]

    first = processes.start("train_imagenet.py", *flags("whole"), "--max_steps=100000")
    processes.wait_for(first, f"step {2 * N + 1}/")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    # The kill came some steps late: what was saved after N goes, as if it had come in time.
    broken = path / "broken" / "imagenet_2"
    shutil.copytree(path / "whole" / "imagenet_2", broken)
    for name in os.listdir(broken):
        if name.startswith("ckpt-") and int(name.split("-")[1].split(".")[0].split("_")[0]) > N:
            os.remove(broken / name)
    os.remove(broken / "samples" / f"step-{2 * N:08}.png")
    # The environment makes TensorFlow as deterministic as the flag does.
    code, out, err = processes.run(
        "train_imagenet.py",
        *flags("broken"),
        "--nodeterministic",
        f"--max_steps={2 * N}",
        env=processes.environment(TF_DETERMINISTIC_OPS="1"),
    )
    assert code == 0, err
    return path / "whole" / "imagenet_2", broken, out


def test_continues_where_it_was_killed(runs):
    assert f"continuing from step {N}\n" in runs[2]
    assert f"changed since this run began: max_steps: 100000 there, {2 * N} here\n" in runs[2]


def test_every_variable_is_bit_identical(runs):
    whole, broken = processes.state(runs[0], 2 * N), processes.state(runs[1], 2 * N)
    assert set(whole) == set(broken)
    for part in (
        "generator.S",
        "discriminator.S",
        "ema.Sgenerator.S",
        "g_optimizer.Sm.S",
        "g_optimizer.Sv.S",
        "d_optimizer.Sv.S",
        ".Su/",
        ".Smean/",
        ".Smoving_variance/",
        "global_step",
        "ada.Sp/",
        "ada.Ssum_of_signs/",
        "rollbacks",
    ):
        assert any(part in name for name in whole), part
    for name, value in whole.items():
        np.testing.assert_array_equal(broken[name], value, err_msg=name)
    assert whole["state/global_step/.ATTRIBUTES/VARIABLE_VALUE"] == 2 * N


def test_samples_are_the_same_files(runs):
    for step in (N, 2 * N):
        whole, broken = ((run / "samples" / f"step-{step:08}.png").read_bytes() for run in runs[:2])
        assert whole == broken


def test_rows_hold_the_walk_of_the_augmentation(runs):
    """Every fourth step p moves by 4 * 8 images of 100, up where the mean sign is above 0.6."""
    p = 0.5
    found = processes.rows(runs[0])[: 2 * N]
    assert len(found) > 4
    for row in found:
        if row["step"] % 4 == 0:
            p = min(max(p + 0.32 * np.sign(row["ada/r"] - 0.6), 0), 1)
        assert row["ada/p"] == pytest.approx(p), row["step"]


def test_rows_are_the_same(runs):
    own = ("time", "images_per_second", "memory_mb", "peak_memory_mb")
    whole, broken = (
        [{k: v for k, v in row.items() if k not in own} for row in processes.rows(run)]
        for run in runs[:2]
    )
    assert [row["step"] for row in broken] == list(range(1, 2 * N + 1))
    assert whole[: 2 * N] == broken
