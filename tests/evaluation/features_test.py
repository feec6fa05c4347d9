import io

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config
from sagan_tf.evaluation import console, devices, features, inception, metrics
from sagan_tf.runtime import distribution, files


def test_stopwatch_gives_seconds_per_1000_images_of_each_part():
    times = iter([0.0, 2.0, 10.0, 11.0, 20.0, 20.5])
    stopwatch = features.Stopwatch(lambda: next(times))
    for part, images in (("generate", 100), ("generate", 50), ("classify", 1000)):
        with stopwatch.measuring(part, images):
            pass
    assert stopwatch.seconds_per_1000() == pytest.approx({"generate": 20.0, "classify": 0.5})
    stopwatch.reset()
    assert stopwatch.seconds_per_1000() == {}


class Images:
    """A source of some images, whose labels are their numbers."""

    name = "images"
    work = "classify"

    def __init__(self, images, group):
        self.count = len(images)
        self._images = images
        self._group = group

    def batches(self):
        for start in range(0, self.count, self._group.global_batch):
            part = self._images[start : start + self._group.global_batch]
            yield self._group.share_out(part)[0], np.arange(start, start + len(part)), len(part)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "batch_size"), [(1, 7), (2, 4), (4, 5)])
def test_features_are_those_of_the_images_whatever_the_devices_and_batches(count, batch_size):
    """20 images, of which the last batch is not full."""
    images = np.random.default_rng(0).uniform(-1, 1, (20, 32, 32, 3)).astype(np.float32)
    strategy = distribution.make_evaluation_strategy(config.EvalConfig(num_devices=count))
    with strategy.scope():
        classifier = inception.load("data/digits_classifier")
    group = devices.Devices(strategy, batch_size)
    extractor = features.Extractor(
        classifier,
        group,
        stopwatch=features.Stopwatch(),
        console=console.Console(io.StringIO()),
    )
    assert group.global_batch == count * batch_size
    found = extractor.collect(Images(images, group), splits=2, seed=0)
    pool, logits = inception.load("data/digits_classifier")(tf.constant(images))
    np.testing.assert_allclose(found.pool, pool, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.labels, np.arange(20))
    assert found.inception_score[0] == pytest.approx(metrics.inception_score(logits), rel=1e-5)


def test_rows_of_a_pool_are_copies_and_stay_in_its_file(tmp_path):
    pool = features.Pool(files.new_array(str(tmp_path / "pool.npy"), (6, 2)))
    pool[0:6] = np.arange(12).reshape(6, 2)
    pool.flush()
    taken = pool[np.array([False, True, False, False, False, True])]
    np.testing.assert_array_equal(taken, [[2, 3], [10, 11]])
    rows = pool[1:3]
    rows += 100
    np.testing.assert_array_equal(pool[1:3], [[2, 3], [4, 5]])
    np.testing.assert_array_equal(np.load(tmp_path / "pool.npy"), np.arange(12).reshape(6, 2))
    assert (len(pool), pool.shape) == (6, (6, 2))
