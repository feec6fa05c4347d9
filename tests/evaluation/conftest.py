"""What several tests of the evaluation share: one run, one cache of real statistics, its data."""

import io
import shutil

import pytest

from sagan_tf import config, model
from sagan_tf.data import dataset
from sagan_tf.evaluation import (
    comparison,
    console,
    evaluate,
    features,
    inception,
    real_images,
)
from sagan_tf.runs import checkpoints
from sagan_tf.runs import directory as runs_directory
from tests import processes
from tests.testing import make_data

DIGITS_MODEL = config.ModelConfig(
    image_size=32,
    z_dim=8,
    gf_dim=8,
    df_dim=8,
    number_classes=10,
    generator_type="baseline",
    discriminator_type="baseline",
)
COUNT = 60


def make_run(directory, gan):
    """A run directory with checkpoints of steps 0 and 5 whose weights differ."""
    run_dir = config.run_directory(str(directory), 64)
    runs_directory.write_config(run_dir, model=DIGITS_MODEL)
    saved = checkpoints.Checkpoints(run_dir, gan.state())
    gan.generator.snconv_last.bias.assign([0.0] * 3)
    saved.save(0)
    gan.generator.snconv_last.bias.assign([0.5, -0.5, 0.0])
    saved.save(5)
    return directory


@pytest.fixture(name="digits_gan", scope="session")
def fixture_digits_gan():
    """A small model of digits, with an average that differs from its generator."""
    return model.SAGAN(DIGITS_MODEL, config.TrainConfig(ema_decay=0.9))


@pytest.fixture(name="run", scope="session")
def fixture_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), model.SAGAN(DIGITS_MODEL))


@pytest.fixture(name="stats_dir", scope="session")
def fixture_stats_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("stats")


@pytest.fixture(name="settings", scope="session")
def fixture_settings(run, stats_dir):
    """(changes) -> the settings of an evaluation of `run`."""

    def settings(**changes):
        return config.EvalConfig(
            **{
                "data_dir": "data/digits",
                "checkpoint_dir": str(run),
                "stats_dir": str(stats_dir),
                "inception": "data/digits_classifier",
                "eval_sample_size": 120,
                "dcgan_generator_batch_size": 50,
                **changes,
            }
        )

    return settings


@pytest.fixture(name="first", scope="session")
def fixture_first(run, settings):
    """Scores of step 5, what was printed, and the row."""
    stream = io.StringIO()
    scores = evaluate.evaluate(
        settings(compare_untrained=True, save_samples=str(run / "samples.npz")), stream
    )
    return scores, stream.getvalue(), processes.rows(run / "eval/imagenet_64")[0]


class RealSide:
    """Statistics of real images by the digits' classifier.

    Attributes:
      classifier: the same.
    """

    def __init__(self):
        eval_config = config.EvalConfig(dcgan_generator_batch_size=25)
        self._devices = comparison.make_devices(eval_config)
        self._console = console.Console(io.StringIO())
        self._stopwatch = features.Stopwatch()
        with self._devices.strategy.scope():
            self.classifier = inception.load("data/digits_classifier")
        self.extractor = features.Extractor(
            self.classifier, self._devices, stopwatch=self._stopwatch, console=self._console
        )

    def obtain(self, directory, count, eval_config):
        """The statistics, lines that were noted, whether images were read."""
        records = None
        if not eval_config.real_stats:
            records = dataset.open_records(str(directory), 32, number_classes=3)
        self._stopwatch.reset()
        lines = []
        stats = real_images.obtain(
            eval_config,
            records,
            count=count,
            extractor=self.extractor,
            devices=self._devices,
            stopwatch=self._stopwatch,
            note=lines.append,
        )
        return stats, lines, self.has_read()

    def has_read(self):
        """Whether images have been read since `obtain` began."""
        return "read" in self._stopwatch.seconds_per_1000()


@pytest.fixture(name="real_side", scope="session")
def fixture_real_side():
    return RealSide()


@pytest.fixture(name="kept", scope="session")
def fixture_kept(tmp_path_factory, real_side):
    """A directory with `data` and, in `stats`, the cached statistics; not to be changed."""
    directory = tmp_path_factory.mktemp("real")
    data = make_data(directory / "data", count=COUNT + 9)
    eval_config = config.EvalConfig(stats_dir=str(directory / "stats"))
    _, _, read = real_side.obtain(data, COUNT, eval_config)
    assert read
    return directory


@pytest.fixture(name="obtain")
def fixture_obtain(tmp_path, real_side, kept):
    """(settings) -> statistics of a copy of the data, lines that were noted, whether it was read.

    Nothing is cached yet.
    """
    shutil.copytree(kept / "data", tmp_path / "data")

    def obtain(directory=tmp_path / "data", count=COUNT, **settings):
        eval_config = config.EvalConfig(**{"stats_dir": str(tmp_path / "stats"), **settings})
        return real_side.obtain(directory, count, eval_config)

    return obtain


@pytest.fixture(name="obtain_again")
def fixture_obtain_again(tmp_path, obtain, kept):
    """As `obtain`, but for the second time: the statistics are cached in `tmp_path / "stats"`."""
    shutil.copytree(kept / "stats", tmp_path / "stats")
    return obtain
