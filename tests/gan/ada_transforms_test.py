"""Transformations of ADA against NumPy, one place after the other, with matrices of float64."""

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from sagan_tf.gan import ada_transforms

COUNT, SIZE = 6, 32
EVERYTHING = (*ada_transforms.GEOMETRY, *ada_transforms.COLOR)


@pytest.fixture(name="images", scope="module")
def fixture_images():
    return np.random.default_rng(0).uniform(-1, 1, (COUNT, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture(name="numbers", scope="module")
def fixture_numbers():
    return np.random.default_rng(1).uniform(0, 1, (COUNT, ada_transforms.NUMBERS)).astype("f4")


def transformed(images, numbers, p, policies):
    draws = ada_transforms.Draws(tf.constant(numbers), tf.constant(p, tf.float32), policies)
    return ada_transforms.transform(tf.constant(images), draws, policies).numpy()


def value(numbers, name, number=1):
    return float(numbers[ada_transforms.FIRST[name] + number])


def normal(numbers, name, number=1):
    return scipy.stats.norm.ppf(value(numbers, name, number))


def test_p_of_zero_changes_no_bit(images, numbers):
    np.testing.assert_array_equal(transformed(images, numbers, 0.0, EVERYTHING), images)


# Of what is done with p, the share that one sees: a flip turns half of the images, a right angle
# three quarters, and of 16 pixels a whole number of -2 to 2 is 0 for a quarter of each axis.
SEEN = {"xflip": 1 / 2, "rotate90": 3 / 4, "xint": 1 - (1 / 4) ** 2, "lumaflip": 1 / 2}


@pytest.mark.parametrize("name", ada_transforms.FIRST)
def test_each_is_done_with_its_probability(name):
    """Of 2,000 images with p = 0.3, 30 % are changed, or the share of them that one sees."""
    generator = np.random.default_rng(2)
    numbers = generator.uniform(0, 1, (2000, ada_transforms.NUMBERS)).astype("f4")
    images = np.tile(generator.uniform(-1, 1, (16, 16, 3)).astype("f4"), (2000, 1, 1, 1))
    found = transformed(images, numbers, 0.3, [name])
    changed = (np.abs(found - images) > 1e-5).any(axis=(1, 2, 3)).mean()
    assert changed == pytest.approx(0.3 * SEEN.get(name, 1), abs=0.03)


def turn(angle):
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def homogeneous(matrix, offset=(0, 0)):
    result = np.eye(3)
    result[:2, :2] = matrix
    result[:2, 2] = offset
    return result


def inverse_map(n):
    """The product of all geometric transformations of the paper, with p = 1."""
    aspect = 2 ** (0.2 * normal(n, "aniso"))
    xint = [round((2 * value(n, "xint", i) - 1) / 8 * SIZE) for i in (1, 2)]
    xfrac = [normal(n, "xfrac", i) / 8 * SIZE for i in (1, 2)]
    steps = [
        homogeneous(np.diag([1 - 2 * math.floor(2 * value(n, "xflip")), 1])),
        homogeneous(turn(math.pi / 2 * math.floor(4 * value(n, "rotate90")))),
        homogeneous(np.eye(2), xint),
        homogeneous(np.eye(2) * 2 ** (0.2 * normal(n, "scale"))),
        homogeneous(turn((2 * value(n, "rotate", 1) - 1) * math.pi)),
        homogeneous(np.diag([aspect, 1 / aspect])),
        homogeneous(turn((2 * value(n, "rotate", 3) - 1) * math.pi)),
        homogeneous(np.eye(2), xfrac),
    ]
    return np.linalg.multi_dot(steps)


def colour_at(image, x, y):
    """Between four pixels of an image that is continued by its reflections."""
    corner = np.floor([x, y]).astype(int)
    total = 0
    for dx in (0, 1):
        for dy in (0, 1):
            place = [corner[0] + dx, corner[1] + dy]
            share = (1 - abs(x - place[0])) * (1 - abs(y - place[1]))
            while not all(0 <= one < SIZE for one in place):
                place = [-one if one < 0 else one for one in place]
                place = [2 * (SIZE - 1) - one if one >= SIZE else one for one in place]
            total = total + share * image[place[1], place[0]]
    return total


def test_geometry_is_the_product_of_the_papers_matrices(images, numbers):
    found = transformed(images, numbers, 1.0, ada_transforms.GEOMETRY)
    for number in range(3):
        matrix = inverse_map(numbers[number])
        for column, row in [(0, 0), (31, 0), (7, 20), (16, 15), (30, 31)]:
            x, y, _ = matrix @ [column - 15.5, row - 15.5, 1]
            expected = colour_at(images[number].astype(np.float64), x + 15.5, y + 15.5)
            np.testing.assert_allclose(found[number, row, column], expected, atol=1e-3)


@pytest.mark.parametrize("turns", range(4))
def test_flip_and_right_angles_are_exact(images, numbers, turns):
    numbers = numbers.copy()
    numbers[:, ada_transforms.FIRST["rotate90"] + 1] = (turns + 0.5) / 4
    numbers[:, ada_transforms.FIRST["xflip"] + 1] = 0.75
    found = transformed(images, numbers, 1.0, ["xflip", "rotate90"])
    flipped = images[:, :, ::-1]
    candidates = [np.rot90(flipped, k, axes=(1, 2)) for k in (turns, -turns)]
    assert any(np.array_equal(found, one) for one in candidates)


def recoloured(image, n):
    """The paper's steps one after the other, as 3x3 matrices, with p = 1."""
    axis = np.ones(3) / math.sqrt(3)
    grey = np.outer(axis, axis)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    angle = (2 * value(n, "hue") - 1) * math.pi
    hue = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    saturation = 2 ** normal(n, "saturation")

    image = image.astype(np.float64) + 0.2 * normal(n, "brightness")
    image = image * 2 ** (0.5 * normal(n, "contrast"))
    image = image @ (np.eye(3) - 2 * grey * math.floor(2 * value(n, "lumaflip"))).T
    image = image @ hue.T
    return image @ (grey + (np.eye(3) - grey) * saturation).T


def test_colour_is_that_of_each_step(images, numbers):
    found = transformed(images, numbers, 1.0, ada_transforms.COLOR)
    for image, number, one in zip(images, numbers, found):
        np.testing.assert_allclose(one, recoloured(image, number), atol=1e-5)
    flips = [math.floor(2 * value(number, "lumaflip")) for number in numbers]
    assert set(flips) == {0, 1}


def test_what_is_not_chosen_is_not_done(images, numbers):
    found = transformed(images, numbers, 1.0, ["brightness"])
    for image, number, one in zip(images, numbers, found):
        np.testing.assert_allclose(one, image + 0.2 * normal(number, "brightness"), atol=1e-6)


def test_gradient_is_the_transpose(images, numbers):
    """<A x, y> = <x, A' y> for the linear part A of all together."""
    policies = EVERYTHING
    x, y = tf.constant(images), tf.constant(images[::-1].copy())
    draws = ada_transforms.Draws(tf.constant(numbers), tf.constant(0.7), policies)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = ada_transforms.transform(x, draws, policies)
        total = tf.reduce_sum(found * y)
    gradient = tape.gradient(total, x)
    linear = found - ada_transforms.transform(tf.zeros_like(x), draws, policies)
    expected = float(tf.reduce_sum(linear * y))
    assert float(tf.reduce_sum(x * gradient)) == pytest.approx(expected, rel=1e-4)
