"""Real processes: a run that trains, and a watch that scores it."""

import signal

import pytest

from sagan_tf.runs import checkpoints
from tests import processes
from tests.conftest import ROOT
from tests.testing import make_data


@pytest.mark.process
@pytest.mark.slow
def test_killed_watch_goes_on_beside_a_real_run(tmp_path):
    """Training keeps one checkpoint; a watch that is killed in between still sees all of them."""
    data = make_data(tmp_path / "data", count=30)
    train = processes.start(
        "train_imagenet.py",
        *processes.PLAIN,
        f"--data_dir={data}",
        "--max_steps=1000000",
        f"--checkpoint_dir={tmp_path}",
        "--save_checkpoint_secs=1",
        "--keep_checkpoints=1",
        "--save_summaries_steps=1000",
    )
    run_dir, eval_dir = tmp_path / "imagenet_2", tmp_path / "eval" / "imagenet_2"
    watch_flags = (
        f"--data_dir={data}",
        f"--inception={ROOT}/data/digits_classifier",
        "--eval_sample_size=20",
        "--batch_size=2",
        f"--checkpoint_dir={tmp_path}",
        f"--stats_dir={tmp_path}/stats",
        "--watch",
        "--poll_secs=0.2",
    )
    started = [train]
    try:
        processes.wait_for(train, "start-up took")
        train.send_signal(signal.SIGSTOP)  # It would take the cores until the watch has begun.
        watch = processes.start("eval_imagenet.py", *watch_flags)
        started.append(watch)
        processes.wait_for(watch, "scoring step")
        train.send_signal(signal.SIGCONT)
        processes.wait_for(watch, "scoring step")
        watch.kill()
        watch.communicate()
        first = {row["step"] for row in processes.rows(eval_dir)}
        seen = set(checkpoints.Checkpoints(str(run_dir), {}).steps)
        assert seen - first  # The killed watch had not scored all, and they are still there.
        train.send_signal(signal.SIGTERM)
        _, err = train.communicate(timeout=100)
        assert train.returncode == 143, err
        last = checkpoints.Checkpoints(str(run_dir), {}).steps[-1]
        again = processes.start("eval_imagenet.py", *watch_flags)
        started.append(again)
        processes.wait_for(again, f"scoring step {last} ")
        processes.wait_for(again, "samples: ")
    finally:
        for process in started:
            process.kill()
            process.communicate()
    steps = [row["step"] for row in processes.rows(eval_dir)]
    assert seen <= set(steps)
    assert len(steps) == len(set(steps))
