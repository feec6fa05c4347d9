"""The walks of ADA's probabilities, one for each class, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.gan import adaptive, class_adaptive

# 3 classes; p moves by 3/1000 for each image of its class.
CLASSES, BATCH = 3, 6


def make(**changes):
    settings = {"target": 0.6, "kimg": 1.0, "start": 0.1, "images_per_step": BATCH, **changes}
    return class_adaptive.ClassAdaptiveAugment(["brightness"], classes=CLASSES, **settings)


def observe(augment, logits, labels):
    """A step of D; p of each class afterwards."""
    augment.observe(augment.signs(tf.constant(logits), tf.constant(labels)))
    return augment.state()["ada/p_of_class"].numpy()


def test_signs_are_added_up_for_each_class():
    """Shares of the batch of 6: class 0 has signs +1 and -1, class 2 has +1, +1, +1, -1."""
    logits = [[0.5], [3.0], [-2.0], [0.1], [0.2], [-0.3]]
    found = make().signs(tf.constant(logits), tf.constant([0, 2, 0, 2, 2, 2]))
    np.testing.assert_allclose(found, [[0, 0, 2 / 6], [2 / 6, 0, 4 / 6]], rtol=1e-6)
    assert float(make().mean_sign(found)) == pytest.approx(2 / 6)


def test_p_of_a_class_moves_when_8_of_its_images_were_seen():
    """Class 0 has 3 images a step, class 1 has 2, class 2 has 1."""
    augment = make()
    labels = [0, 0, 0, 1, 1, 2]
    # After 2 steps of class 0, 6 images: nothing moves.
    for _ in range(2):
        p = observe(augment, [1.0, 1.0, 1.0, 1.0, -1.0, -1.0], labels)
        np.testing.assert_allclose(p, [0.1, 0.1, 0.1])

    # After the third 9 images, all judged to be real: up by 9 * 3 / 1000.
    p = observe(augment, [1.0, 1.0, 1.0, 1.0, -1.0, -1.0], labels)
    np.testing.assert_allclose(p, [0.127, 0.1, 0.1], rtol=1e-6)

    # After the fourth 8 images of class 1, half of them: down by 8 * 3 / 1000.
    p = observe(augment, [-1.0, -1.0, -1.0, 1.0, -1.0, -1.0], labels)
    np.testing.assert_allclose(p, [0.127, 0.076, 0.1], rtol=1e-6)
    np.testing.assert_allclose(augment.state()["ada/r_of_class"], [1, 0, 0])

    # After the eighth class 0 has had 9 again, class 1 has had 8, class 2 its first 8.
    for _ in range(4):
        p = observe(augment, [-1.0, -1.0, -1.0, 1.0, 1.0, -1.0], labels)
    np.testing.assert_allclose(p, [0.1, 0.1, 0.076], rtol=1e-6)
    np.testing.assert_allclose(augment.state()["ada/images_of_class"], [6, 0, 0])


def test_row_has_means_and_the_ends():
    augment = make()
    for _ in range(2):
        observe(augment, [1.0] * 6, [0, 0, 0, 0, 1, 1])
    row = augment.row()
    assert row["ada/p_smallest"] == pytest.approx(0.1)
    assert row["ada/p_largest"] == pytest.approx(0.124)
    assert row["ada/p"] == pytest.approx(0.324 / 3)
    assert row["ada/r"] == pytest.approx(1 / 3)


def test_p_stays_between_0_and_1():
    augment = make(kimg=0.01, start=0.5, images_per_step=12)
    for _ in range(2):
        p = observe(augment, [1.0, 1.0, 1.0, 1.0, -1.0, -1.0] * 2, [0, 0, 0, 0, 1, 1] * 2)
    np.testing.assert_allclose(p, [1, 0, 0.5])


def test_each_image_is_transformed_with_the_probability_of_its_class():
    augment = make()
    augment.state()["ada/p_of_class"].assign([0.0, 1.0, 0.5])
    images = np.random.default_rng(0).uniform(-1, 1, (6, 8, 8, 3)).astype(np.float32)
    numbers = np.full((6, augment.numbers), 0.25, np.float32)
    numbers[5] = 0.75
    found = augment(tf.constant(images), tf.constant(numbers), tf.constant([0, 0, 1, 1, 2, 2]))
    is_changed = np.abs(found.numpy() - images).max(axis=(1, 2, 3)) > 0.01
    assert is_changed.tolist() == [False, False, True, True, True, False]
    np.testing.assert_array_equal(found[:2], images[:2])


def test_labels_are_needed():
    with pytest.raises(ValueError, match="needs labels"):
        make()(tf.zeros([1, 8, 8, 3]), tf.zeros([1, adaptive.AdaptiveAugment.numbers]))


def test_state_goes_on_between_two_adjustments():
    steps = [([1.0] * 6, [0, 0, 1, 1, 2, 2]), ([-1.0, 1.0] * 3, [0, 0, 0, 1, 1, 2])] * 3
    augment = make()
    for step in steps[:3]:
        observe(augment, *step)
    other = make()
    for name, variable in augment.state().items():
        other.state()[name].assign(variable)
    for step in steps[3:]:
        np.testing.assert_array_equal(observe(other, *step), observe(augment, *step))
    other.begin()
    np.testing.assert_allclose(other.state()["ada/p_of_class"], [0.1, 0.1, 0.1])
    for name in ("r", "signs", "images"):
        assert not other.state()[f"ada/{name}_of_class"].numpy().any()


def test_halves_on_two_devices_count_as_the_whole():
    """One device has class 0 alone: the mean of both shares is that of all 12 images."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        augment = make(images_per_step=12)

    def step(logits, labels):
        signs = augment.signs(logits, labels)
        context = tf.distribute.get_replica_context()
        augment.observe(context.all_reduce(tf.distribute.ReduceOp.MEAN, signs))

    def shares(values):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(values[context.replica_id_in_sync_group])
        )

    logits = shares([[1.0] * 6, [1.0, 1.0, 1.0, -1.0, -1.0, -1.0]])
    strategy.run(step, args=(logits, shares([[0] * 6, [0, 0, 0, 1, 1, 1]])))
    for copy in strategy.experimental_local_results(augment.state()["ada/p_of_class"]):
        np.testing.assert_allclose(copy, [0.127, 0.1, 0.1], rtol=1e-6)
    assert augment.state()["ada/images_of_class"].numpy().tolist() == [0, 3, 0]
