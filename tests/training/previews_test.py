import numpy as np
import pytest

from sagan_tf import config, model
from sagan_tf.data import class_names, dataset
from sagan_tf.gan import noise
from sagan_tf.images import attention_figure, attention_places, grids, pixels
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
    for maps, share in attention.values():
        np.testing.assert_allclose(maps.sum(-1), 1.0, rtol=1e-4)
        assert share == 0  # Before training.


@pytest.mark.slow
def test_figures_are_cards_of_the_most_concentrated_places(gan, monkeypatch):
    """Titles have the strength of this forward pass, which doubles with sigma_ratio."""
    drawn = []

    def draw(panels, title, *, layout):
        drawn.append((panels, title, layout))
        return pixels.encode_png(np.zeros((2, 2, 3), np.uint8))

    monkeypatch.setattr(attention_figure, "draw", draw)
    ratio = gan.generator.non_local.sigma_ratio
    shares = []
    for value in (0.5, 1.0):
        ratio.assign(value)
        z, labels = noise.draw_grid(0, 3, columns=1, z_dim=8, number_classes=3)
        _, attention = previews.attention_of(gan, z, labels=labels)
        shares.append(attention["generator"].share)
        figures = previews.attention_figures(gan, 7, classes=CLASSES)
        assert set(figures) == {"generator", "discriminator"}
        assert figures["generator"].shape == (3, 2, 2, 3)
    ratio.assign(0)
    assert shares[1] == pytest.approx(2 * shares[0], rel=1e-5)

    # A card for each of three images: G's twice, with D's after each.
    expected = attention_figure.title_of("generator", 7, sigma_ratio=1, share=shares[1])
    for ((panel,), title, layout), maps in zip(drawn[6:9], attention["generator"].maps):
        assert (title, layout) == (expected, attention_figure.CARD)
        assert panel.queries == attention_places.most_concentrated(maps, 2)
    assert drawn[9][1] == "attention of the discriminator, step 7, sigma_ratio 0, not used yet"


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
