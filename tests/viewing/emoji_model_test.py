"""The trained generators of the repository, data/emoji_model*, by the classifier of the emoji."""

import numpy as np
import pytest

from sagan_tf.evaluation import inception
from sagan_tf.viewing import trained
from tests.conftest import ROOT

MADE = {
    "emoji_model": {
        "generator_sn": False,
        "step": 26_000,
        "batches": 256,
        "classifier": "emoji_classifier",
    },
    "emoji_model_sn": {
        "generator_sn": True,
        "step": 36_000,
        "batches": 16,
        "classifier": "emoji_all_classifier",
    },
}
NAMES = ("animals", "faces", "flags", "food", "hands", "people", "plants", "signs", "vehicles")
COUNT = 32  # seeds of a class


@pytest.fixture(name="name", scope="module", params=MADE)
def fixture_name(request):
    return request.param


@pytest.fixture(name="model", scope="module")
def fixture_model(name):
    return trained.open_model(str(ROOT / "data" / name))


@pytest.fixture(name="drawn", scope="module")
def fixture_drawn(model, name):
    """(images [classes, seeds, 64, 64, 3], what the classifier takes them for [classes, seeds])."""
    # Draw the same seeds of each class.
    z, _ = model.draw(range(COUNT))
    images = [model.generate(z, [label] * COUNT) for label in range(len(NAMES))]

    # Classify them.
    classifier = inception.load(str(ROOT / "data" / MADE[name]["classifier"]))
    guesses = [np.argmax(classifier(of_class)[1], axis=-1) for of_class in images]
    return np.stack(images), np.stack(guesses)


def test_card_says_what_it_is(name, model):
    card = model.card
    made = MADE[name]
    assert card.model_config.generator_sn == made["generator_sn"]
    assert (card.step, card.sampling.batches) == (made["step"], made["batches"])
    assert card.classes.names == NAMES
    assert card.model_config.image_size == 64
    assert card.use_ema
    assert (ROOT / "data" / name / "generator.keras").stat().st_size < 6e6


def test_images_are_of_their_classes(drawn):
    """By chance a ninth would be."""
    _, guesses = drawn
    right = guesses == np.arange(len(NAMES))[:, None]
    assert right.mean() > 0.8
    assert right.mean(axis=1).min() > 0.5


def test_images_of_a_class_differ(drawn):
    """Root mean square of pixels in [-1, 1]: no two are nearly one, and most are far apart.

    With 0.3 z the least median is 0.13 and 0.18. It is 0.18 where all images are one of two.
    """
    images, _ = drawn
    for of_class in images.reshape([len(NAMES), COUNT, -1]):
        difference = of_class[:, None] - of_class[None]
        distance = np.sqrt(np.square(difference).mean(axis=-1))
        pairs = distance[np.triu_indices(COUNT, k=1)]
        assert pairs.min() > 0.05
        assert np.median(pairs) > 0.25
