import numpy as np
import pytest

from sagan_tf import config, model
from sagan_tf.data import dataset
from sagan_tf.images import grids
from sagan_tf.training import previews
from tests.testing import PLAIN_MODEL, TINY_MODEL, make_data


@pytest.fixture(name="gan", scope="module")
def fixture_gan():
    return model.SAGAN(TINY_MODEL, config.TrainConfig(batch_size=4, num_towers=1))


def test_class_grid_has_one_class_a_row(gan):
    samples = previews.class_samples(gan, columns=4)
    assert samples.shape == (3, 4, 32, 32, 3)
    assert grids.grid_of(samples).shape == (3 * 32, 4 * 32, 3)


def test_attention_belongs_to_the_samples(gan):
    z = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    images, attention = previews.attention_of(gan, z, labels=[0, 2])
    np.testing.assert_allclose(images, gan.sample(z, [0, 2]), atol=1e-5)
    assert set(attention) == {"generator", "discriminator"}
    for maps in attention.values():
        np.testing.assert_allclose(maps.sum(-1), 1.0, rtol=1e-4)


def test_network_without_attention_has_no_figure():
    plain = model.SAGAN(PLAIN_MODEL, config.TrainConfig(batch_size=4, num_towers=1))
    assert previews.attention_figures(plain, 0) == {}


def test_real_images_fill_the_squarest_grid(tmp_path):
    path = make_data(tmp_path / "data", count=12)
    records = dataset.open_records(path, 32, number_classes=3)
    images = previews.read_real_images(records, print)
    assert images.shape == (12, 32, 32, 3)
    assert previews.real_grid(images).shape == (4 * 32, 3 * 32, 3)
