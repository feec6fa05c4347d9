import numpy as np
import pytest

from sagan_tf import config
from sagan_tf.config import augmentation_names
from sagan_tf.gan import ada_transforms, adaptive, augmentation, diff_augment


def test_settings_choose_the_augmentation():
    assert augmentation.make(config.TrainConfig()) is None
    made = augmentation.make(config.TrainConfig(augment="diffaugment"))
    assert isinstance(made, diff_augment.DiffAugment)
    made = augmentation.make(config.TrainConfig(augment="ada", ada_start=0.25))
    assert isinstance(made, adaptive.AdaptiveAugment)
    assert made.row()["ada/p"] == 0.25


def test_names_of_policies_are_those_that_are_known():
    names = augmentation_names.POLICIES["ada"]
    assert names == (*ada_transforms.GEOMETRY, *ada_transforms.COLOR)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mirrored_turns_the_images_below_a_half(dtype):
    images = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3)).astype(dtype)
    found = augmentation.mirrored(images, np.array([0.2, 0.5, 0.4999], np.float32)).numpy()
    assert found.dtype == dtype
    for number, image in enumerate(images):
        for column in range(5):
            source = column if number == 1 else 4 - column
            np.testing.assert_array_equal(found[number, :, column], image[:, source])
