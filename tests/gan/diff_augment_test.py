"""Each policy against NumPy, image by image, and its gradient."""

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.gan import diff_augment

COUNT, SIZE = 12, 32


@pytest.fixture(name="images", scope="module")
def fixture_images():
    return np.random.default_rng(0).uniform(-1, 1, (COUNT, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture(name="numbers", scope="module")
def fixture_numbers():
    """Of the middle, then of both ends: the smallest and largest numbers that are drawn."""
    numbers = np.random.default_rng(1).uniform(0, 1, (COUNT, 7)).astype(np.float32)
    numbers[0] = 2.0**-24
    numbers[1] = 1 - 2.0**-24
    return numbers


def recoloured(image, brightness, saturation, contrast):
    """One step after the other, with float64."""
    image = image.astype(np.float64) + (brightness - 0.5)
    grey = image.sum(axis=2, keepdims=True) / 3
    image = grey + (image - grey) * (2 * saturation)
    return image.mean() + (image - image.mean()) * (0.5 + contrast)


def test_color_is_that_of_each_step(images, numbers):
    found = diff_augment.DiffAugment(["color"])(images, numbers)
    for image, number, one in zip(images, numbers.astype(np.float64), found):
        np.testing.assert_allclose(one, recoloured(image, *number[:3]), atol=2e-6)


def moved(image, rows, columns):
    """By a frame of 4 zeros, and a window into it."""
    framed = np.pad(image, ((4, 4), (4, 4), (0, 0)))
    return framed[4 + rows : 36 + rows, 4 + columns : 36 + columns]


def test_translation_is_a_window_into_a_frame_of_zeros(images, numbers):
    found = diff_augment.DiffAugment(["translation"])(images, numbers)
    moves = []
    for image, number, one in zip(images, numbers.astype(np.float64), found):
        rows, columns = (int(9 * number[i]) - 4 for i in (3, 4))
        np.testing.assert_array_equal(one, moved(image, rows, columns))
        moves.append((rows, columns))
    assert moves[:2] == [(-4, -4), (4, 4)]


def test_cutout_is_a_square_of_zeros(images, numbers):
    found = diff_augment.DiffAugment(["cutout"])(images, numbers)
    cut = []
    for image, number, one in zip(images, numbers.astype(np.float64), found):
        top, left = (int(33 * number[i]) - 8 for i in (5, 6))
        expected = image.copy()
        for row in range(top, top + 16):
            for column in range(left, left + 16):
                if 0 <= row < 32 and 0 <= column < 32:
                    expected[row, column] = 0
        np.testing.assert_array_equal(one, expected)
        cut.append(int((expected == 0).all(axis=2).sum()))
    assert cut[:2] == [64, 64]  # A quarter of the square is inside at both corners.
    assert max(cut) == 256


def test_policies_follow_in_their_order(images, numbers):
    """Zeros that colour comes after are not zeros any more."""
    last, first = (
        diff_augment.DiffAugment(order)(images, numbers).numpy()
        for order in (["color", "cutout"], ["cutout", "color"])
    )
    assert (last[0, :8, :8] == 0).all()
    assert not (first[0, :8, :8] == 0).any()


@pytest.mark.parametrize("policy", ["color", "translation", "cutout"])
def test_gradient_is_the_transpose(images, numbers, policy):
    """<A x, y> = <x, A' y> for the linear part A of each policy."""
    transform = diff_augment.DiffAugment([policy])
    x, y = (tf.cast(tf.constant(v), tf.float64) for v in (images, images[::-1].copy()))
    numbers = tf.cast(numbers, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(transform(x, numbers) * y)
    gradient = tape.gradient(total, x)
    linear = transform(x, numbers) - transform(tf.zeros_like(x), numbers)
    assert float(tf.reduce_sum(linear * y)) == pytest.approx(float(tf.reduce_sum(x * gradient)))


def test_xla_compiles_all_policies(images, numbers):
    transform = diff_augment.DiffAugment(["color", "translation", "cutout"])
    compiled = tf.function(transform.__call__, jit_compile=True)
    found = compiled(tf.constant(images), tf.constant(numbers))
    np.testing.assert_allclose(found, transform(images, numbers), atol=1e-6)
