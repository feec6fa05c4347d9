import numpy as np
import pytest

from sagan_tf import config, model
from sagan_tf.data import class_names, dataset
from sagan_tf.images import grids
from sagan_tf.training import previews
from tests.testing import PLAIN_MODEL, TINY_MODEL, make_data

CLASSES = class_names.make(None, None, count=3)


@pytest.fixture(name="gan", scope="module")
def fixture_gan():
    return model.SAGAN(TINY_MODEL, config.TrainConfig(batch_size=4, num_towers=1))


@pytest.mark.slow
def test_class_grid_has_one_class_a_row(gan):
    samples = previews.class_samples(gan, columns=4)
    assert samples.shape == (3, 4, 32, 32, 3)
    assert grids.grid_of(samples).shape == (3 * 32, 4 * 32, 3)


@pytest.mark.slow
def test_attention_belongs_to_the_samples(gan):
    z = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    images, attention = previews.attention_of(gan, z, labels=[0, 2])
    np.testing.assert_allclose(images, gan.sample(z, [0, 2]), atol=1e-5)
    assert set(attention) == {"generator", "discriminator"}
    for maps in attention.values():
        np.testing.assert_allclose(maps.sum(-1), 1.0, rtol=1e-4)


def test_network_without_attention_has_no_figure():
    plain = model.SAGAN(PLAIN_MODEL, config.TrainConfig(batch_size=4, num_towers=1))
    assert previews.attention_figures(plain, 0, classes=CLASSES) == {}


def test_real_images_fill_the_squarest_grid(tmp_path):
    path = make_data(tmp_path / "data", count=12)
    records = dataset.open_records(path, 32, number_classes=3)
    images, labels = previews.read_real_images(records, print)
    assert images.shape == (12, 32, 32, 3)
    assert sorted(labels.tolist()) == [0] * 4 + [1] * 4 + [2] * 4
    grid = previews.real_grid(images, labels, classes=CLASSES)
    assert grid.shape == (4 * 148, 3 * 132, 3)


def test_training_s_grids_have_the_names_of_the_classes(monkeypatch):
    """The sample grid has one class a row, of five classes the first, middle and last."""
    drawn = []
    monkeypatch.setattr(grids, "labelled_sheet", lambda _, rows, **__: drawn.extend(rows))
    monkeypatch.setattr(grids, "labelled_grid", lambda _, captions, **__: drawn.extend(captions))
    classes = class_names.make(["Ast", "Bär", "Haus", "Tür", "7"], None, count=5)
    previews.sample_grid(np.zeros((3, 2, 8, 8, 3), np.float32), classes)
    assert drawn == ["Ast", "Haus", 'class 4 ("7")']
    drawn.clear()
    previews.real_grid(np.zeros((2, 8, 8, 3), np.uint8), np.array([1, 3]), classes=classes)
    assert drawn == ["Bär", "Tür"]
