import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config
from sagan_tf.evaluation import features, inception, metrics
from sagan_tf.runtime import distribution


def test_stopwatch_gives_seconds_per_1000_images_of_each_part():
    times = iter([0.0, 2.0, 10.0, 11.0, 20.0, 20.5])
    stopwatch = features.Stopwatch(lambda: next(times))
    for part, images in (("generate", 100), ("generate", 50), ("classify", 1000)):
        with stopwatch.measuring(part, images):
            pass
    assert stopwatch.seconds_per_1000() == pytest.approx({"generate": 20.0, "classify": 0.5})
    stopwatch.reset()
    assert stopwatch.seconds_per_1000() == {}


@pytest.mark.parametrize(("devices", "batch_size"), [(1, 7), (2, 4), (4, 5)])
def test_features_are_those_of_the_images_whatever_the_devices_and_batches(devices, batch_size):
    """20 images, of which the last batch is not full."""
    images = np.random.default_rng(0).uniform(-1, 1, (20, 32, 32, 3)).astype(np.float32)
    strategy = distribution.make_evaluation_strategy(config.EvalConfig(num_devices=devices))
    with strategy.scope():
        classifier = inception.load("data/digits_classifier")
    extractor = features.Extractor(classifier, strategy, batch_size=batch_size)
    step = extractor.global_batch
    assert step == devices * batch_size
    batches = (
        (extractor.share_out(images[i : i + step])[0], len(images[i : i + step]))
        for i in range(0, 20, step)
    )
    found = extractor.collect("images", batches, total=20, splits=2, seed=0, labels=range(20))
    pool, logits = inception.load("data/digits_classifier")(tf.constant(images))
    np.testing.assert_allclose(found.pool, pool, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.labels, np.arange(20))
    assert found.inception_score[0] == pytest.approx(metrics.inception_score(logits), rel=1e-5)
