"""Fine-tuning: ImageNet's weights, classes and pictures of one's own, real processes."""

import json
import shutil

import numpy as np
import pytest

from sagan_tf import config
from sagan_tf.data import prepare
from tests import processes
from tests.bridges import sources
from tests.testing import make_pictures

pytestmark = [pytest.mark.process, pytest.mark.slow]
CLASSES = ["ape", "bee", "cat", "dog", "elk", "fox"]
# Two steps of two images; the graph optimizer may sum in another order in another process.
FLAGS = (
    "--batch_size=2",
    "--num_towers=1",
    "--deterministic",
    "--nograph_optimizer",
    "--sample_every=0",
    "--health_every=0",
    "--save_summaries_steps=1",
    "--max_steps=2",
)
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.fixture(name="tuned", scope="module")
def fixture_tuned(tmp_path_factory):
    """Directories of the import, of a run of two steps, and of one that was stopped after one."""
    path = tmp_path_factory.mktemp("tuned")

    # Six classes where the source has five.
    pictures = make_pictures(path / "pictures", dict.fromkeys(CLASSES, 1), side=128)
    data = str(path / "records")
    prepare.prepare(config.PrepareConfig(source=pictures, out=data, size=128))
    weights = sources.WEIGHTS / sources.PATHS["mmgen"][0]
    code, out, err = processes.run(
        "-m",
        "sagan_tf.tools.import_weights",
        "--source=mmgen",
        f"--path={weights}",
        "--to=run",
        "--number_classes=6",
        f"--out={path / 'imported'}",
    )
    assert code == 0, err

    # The printed flags, with other data, place and size.
    printed = out.splitlines()[-1].split()[2:]
    for name, ends in (("whole", [2]), ("broken", [1, 2])):
        shutil.copytree(path / "imported", path / name)
        for end in ends:
            own = (f"--data_dir={data}", f"--run_name={name}", *FLAGS, f"--max_steps={end}")
            code, _, err = processes.run("train_imagenet.py", *printed, *own)
            assert code == 0, err
    return path / "imported", path / "whole", path / "broken"


def test_training_begins_at_the_import(tuned):
    """One step of Adam moves no weight by more than its rate, whatever the gradient is."""
    first = processes.state(tuned[0], 0)
    later = processes.state(tuned[2], 1)
    assert later[f"state/global_step{_VALUE}"] == 1
    for network, rate in (("generator", 1e-4), ("discriminator", 4e-4)):
        trained = [
            name.replace(f"{network[0]}_optimizer.Sm.S", "")
            for name in first
            if f"/{network[0]}_optimizer.Sm." in name
        ]
        moved = [np.abs(later[name] - first[name]).max() for name in trained]
        assert 0 < max(moved) <= rate * 1.001


def test_stopped_and_continued_is_bit_identical(tuned):
    whole, broken = (processes.state(run, 2) for run in tuned[1:])
    assert whole.keys() == broken.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(broken[name], value, err_msg=name)


def test_classes_are_those_of_the_pictures(tuned):
    assert json.loads((tuned[1] / "classes.json").read_text())["names"] == CLASSES
    embedding = f"state/discriminator.Sd_embedding.Sembedding_map{_VALUE}"
    assert len(processes.state(tuned[1], 2)[embedding]) == 6
