"""One trajectory on any number of devices and workers.

All walks are real processes of the real command.
"""

import json
import signal

import numpy as np
import pytest
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.runtime import distribution
from tests import processes
from tests.testing import make_data

STEPS = 10
# Attention on several devices, and four of them, are model_test's.
FLAGS = (
    *processes.PLAIN,
    "--num_towers=4",
    "--save_checkpoint_secs=0",
    "--keep_checkpoints=100",
    f"--sample_every={STEPS}",
    "--deterministic",
)
# The graph optimizer does not change the trajectory either.
LAYOUTS = {
    "one": ["--strategy=one_device"],
    "parts": ["--strategy=mirrored", "--num_devices=2", "--accumulate=2", "--graph_optimizer"],
}


@pytest.fixture(name="data", scope="module")
def fixture_data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("records"), count=96)


@pytest.fixture(name="flags", scope="module")
def fixture_flags(tmp_path_factory, data):
    """Function of a name to the flags of a run of its own, and to its directory."""
    path = tmp_path_factory.mktemp("walks")

    def flags(name):
        return (
            [*FLAGS, f"--data_dir={data}", f"--checkpoint_dir={path}/{name}"],
            path / name / "imagenet_2",
        )

    return flags


@pytest.fixture(name="lost", scope="module")
def fixture_lost(flags):
    """A run on 2 workers of which one is killed at step 3: (what became of the chief, last step
    that it wrote, what the same command on both has given then)."""
    given, run_dir = flags("workers")
    chief, other = processes.start_workers(2, *given, "--max_steps=100000")
    processes.wait_for(chief, "step 3/")
    other.send_signal(signal.SIGKILL)
    out, err = chief.communicate(timeout=300)  # it does not hang
    other.communicate()
    step = processes.rows(run_dir)[-1]["step"]
    again = processes.start_workers(
        2, *given, "--strategy=multi_worker", f"--max_steps={max(STEPS, step + 1)}"
    )
    ends = [process.communicate(timeout=300) for process in again]
    return (
        (chief.returncode, out, err),
        step,
        [(process.returncode, *end) for process, end in zip(again, ends)],
    )


@pytest.fixture(name="walks", scope="module")
def fixture_walks(flags, lost):
    """Directories of the same steps with 4 towers, by layout.

    On one device, in 2 parts on each of 2 devices, and on 2 workers of which one was lost on the
    way.
    """
    assert [code for code, *_ in lost[2]] == [0, 0], lost[2]
    for name, more in LAYOUTS.items():
        code, _, err = processes.run(
            "train_imagenet.py", *flags(name)[0], *more, f"--max_steps={STEPS}"
        )
        assert code == 0, err
    return {name: flags(name)[1] for name in (*LAYOUTS, "workers")}


OTHERS = ["parts", "workers"]


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("layout", OTHERS)
def test_first_losses_are_equal(walks, layout):
    first, expected = processes.rows(walks[layout])[0], processes.rows(walks["one"])[0]
    for name in (
        "g_loss",
        "d_loss",
        "d_loss_real",
        "d_loss_fake",
        "logit_real",
        "logit_fake",
        "g_gradient_norm",
        "d_gradient_norm",
    ):
        assert first[name] == pytest.approx(expected[name], rel=1e-5, abs=1e-6), name


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("layout", OTHERS)
def test_first_gradients_are_equal(walks, layout):
    """With beta1 = 0, Adam's first moment is the gradient."""
    found, expected = processes.state(walks[layout], 1), processes.state(walks["one"], 1)
    gradients = [name for name in expected if "optimizer/.Sm" in name or "optimizer.Sm.S" in name]
    assert len(gradients) > 60
    for network in ("g_optimizer", "d_optimizer"):
        whole = [
            np.concatenate([state[name].ravel() for name in gradients if network in name])
            for state in (found, expected)
        ]
        assert whole[0].size > 10_000
        difference = np.abs(whole[0] - whole[1]).max()
        assert difference <= 1e-5 * np.abs(whole[1]).max(), network


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("layout", OTHERS)
def test_ten_steps_stay_together(walks, layout):
    """Rounding grows: a weight whose gradient is almost 0 moves by Adam's whole step either way."""
    for row, expected in zip(processes.rows(walks[layout]), processes.rows(walks["one"])):
        for name in ("g_loss", "d_loss"):
            assert row[name] == pytest.approx(expected[name], rel=1e-2, abs=1e-2), (
                row["step"],
                name,
            )
    found, expected = (processes.state(walks[name], STEPS) for name in (layout, "one"))
    assert set(found) == set(expected)
    assert len([name for name in found if "/ema.S" in name]) > 30
    for name, value in expected.items():
        if ".Sm.S" not in name and ".Sv.S" not in name:
            limit = 0.02 * max(np.abs(value).max(), 0.1)
            assert np.abs(found[name] - value).max() <= limit, name


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("layout", OTHERS)
def test_samples_are_alike(walks, layout):
    pictures = [
        np.asarray(Image.open(walks[name] / "samples" / f"step-{STEPS:08}.png"), np.int32)
        for name in (layout, "one")
    ]
    assert pictures[0].std() > 1
    assert np.abs(pictures[0] - pictures[1]).max() <= 3


@pytest.mark.process
@pytest.mark.slow
def test_lost_worker_is_a_clear_end_and_a_restart_continues(flags, lost):
    """What the restart then computes is the walk on workers."""
    first, step, again = lost
    line = processes.error_line(first, code=75, beginning="another worker")
    assert "start the same command on all workers again" in line
    assert step >= 3
    assert [code for code, *_ in again] == [0, 0], again
    assert "continuing from step " in again[0][1]
    assert "worker 1: done: step " in again[1][1]
    steps = [row["step"] for row in processes.rows(flags("workers")[1])]
    assert steps == list(range(1, max(STEPS, step + 1) + 1))


@pytest.fixture(name="ended", scope="module")
def fixture_ended(tmp_path_factory, data):
    """Exit code, output and error of starts that fail, by name; they all start at once.

    "chief" waits for "other", which has no data, to make its variables. The other worker of
    "alone" never appears. "nowhere" has addresses that do not exist.
    """
    path = tmp_path_factory.mktemp("ended")
    flags = [*processes.PLAIN, "--num_towers=2", f"--data_dir={data}"]
    chief, other = processes.start_workers(
        2, *flags, f"--checkpoint_dir={path}/lost", more={1: [f"--data_dir={path}"]}
    )
    started = {"chief": chief, "other": other}

    clusters = {
        "alone": (processes.free_addresses(2), 1, ["--worker_timeout=3"]),
        "nowhere": (["a", "b"], 0, []),
    }
    for name, (addresses, index, more) in clusters.items():
        task = {"type": "worker", "index": index}
        cluster = json.dumps({"cluster": {"worker": addresses}, "task": task})
        started[name] = processes.start(
            "train_imagenet.py",
            *flags,
            f"--checkpoint_dir={path}/{name}",
            *more,
            env=processes.environment(TF_CONFIG=cluster),
        )

    found = {}
    try:
        for name, process in started.items():
            out, err = process.communicate(timeout=100)
            found[name] = process.returncode, out, err
    finally:
        for process in started.values():
            process.kill()
            process.communicate()
    return found


@pytest.mark.process
@pytest.mark.slow
def test_worker_that_never_appears_is_not_waited_for_without_end(ended):
    line = processes.error_line(
        ended["alone"], code=-signal.SIGKILL, beginning="TF_CONFIG names 2 workers"
    )
    assert "not all have appeared within --worker_timeout=3 seconds" in line


@pytest.mark.process
@pytest.mark.slow
def test_worker_lost_while_the_others_start_is_a_clear_end(ended):
    line = processes.error_line(ended["chief"], code=75, beginning="another worker")
    assert "another worker has died or does not answer" in line
    assert "it holds no *.tfrecords" in processes.error_line(ended["other"])


@pytest.mark.process
@pytest.mark.slow
def test_cluster_that_cannot_be_joined_is_one_line(ended):
    assert "the workers cannot be joined" in processes.error_line(ended["nowhere"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "TF_CONFIG={: expected JSON as in "),
        (
            '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
            "the addresses of a job are no list",
        ),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            "the task is not one of the cluster",
        ),
    ],
)
def test_wrong_cluster_is_one_line(monkeypatch, text, expected):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(errors.UserError) as error:
        distribution.make_strategy(config.TrainConfig())
    assert expected in str(error.value)
    assert str(error.value).startswith("TF_CONFIG={")
    assert "\n" not in str(error.value)
