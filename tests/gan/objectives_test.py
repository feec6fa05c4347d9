"""Losses and gradients of an AC-GAN by NumPy, by closed forms and by finite differences."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, model
from sagan_tf.gan import objectives, updates
from tests.testing import PLAIN_MODEL

CLASSIFIER = dataclasses.replace(PLAIN_MODEL, conditioning="auxiliary_classifier")
SETTINGS = config.TrainConfig(batch_size=4, num_towers=1)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def cross_entropy(logits, labels):
    return -np.log(softmax(logits)[np.arange(len(labels)), labels]).mean()


def random_judgement(random):
    logits, class_logits = random.normal(0, 2, (5, 1)), random.normal(0, 2, (5, 3))
    judged = objectives.Judgement(tf.constant(logits), tf.constant(class_logits))
    return judged, logits, class_logits


@pytest.mark.parametrize("loss_type", ["hinge_loss", "kl_loss"])
def test_losses_of_logits_by_numpy(loss_type):
    random = np.random.default_rng(0)
    real, logits_real, classes_real = random_judgement(random)
    fake, logits_fake, classes_fake = random_judgement(random)
    labels, fake_labels = random.integers(0, 3, (2, 5))

    adversarial = {
        "hinge_loss": lambda x: np.maximum(1 + x, 0).mean(),
        "kl_loss": lambda x: np.log1p(np.exp(x)).mean(),
    }[loss_type]
    expected = {
        "d_loss_real": adversarial(-logits_real),
        "d_loss_fake": adversarial(logits_fake),
        "d_class_loss_real": cross_entropy(classes_real, labels),
        "d_class_loss_fake": cross_entropy(classes_fake, fake_labels),
    }
    expected["d_loss"] = sum(expected.values())
    expected |= {
        "logit_real": logits_real.mean(),
        "logit_fake": logits_fake.mean(),
        "class_accuracy_real": (classes_real.argmax(axis=1) == labels).mean(),
        "class_accuracy_fake": (classes_fake.argmax(axis=1) == fake_labels).mean(),
    }
    truths = tf.constant(labels), tf.constant(fake_labels)
    loss, found = objectives.of_discriminator(
        real, truths[0], fake=fake, fake_labels=truths[1], loss_type=loss_type
    )
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)
    assert float(loss) == pytest.approx(expected["d_loss"])
    assert set(found) == set(objectives.d_metrics(CLASSIFIER))

    loss, found = objectives.of_generator(fake, truths[1])
    class_loss = cross_entropy(classes_fake, fake_labels)
    expected = {
        "g_loss": class_loss - logits_fake.mean(),
        "g_class_loss": class_loss,
        "logit_fake": logits_fake.mean(),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)
    assert float(loss) == pytest.approx(expected["g_loss"])
    assert set(found) == set(objectives.g_metrics(CLASSIFIER))


class Inputs:
    """A small AC-GAN, images and labels, and its losses by NumPy from what D gives."""

    def __init__(self):
        self.gan = model.SAGAN(CLASSIFIER, SETTINGS)
        self.first = {name: v.numpy() for name, v in self.gan.state().items()}
        random = np.random.default_rng(0)
        self.z = random.normal(size=(4, 8)).astype(np.float32)
        self.labels, self.fake_labels = np.array([0, 1, 2, 0]), np.array([2, 1, 1, 0])
        self.images = random.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)

    def restore(self):
        for name, variable in self.gan.state().items():
            variable.assign(self.first[name])

    def judged(self, images):
        both = self.gan.discriminator(images, self.labels, return_classes=True)
        return [logits.numpy().astype(np.float64) for logits in both]

    def fake(self):
        unused = updates.Collection()
        return self.gan.generator(self.z, self.fake_labels, training=True, collection=unused)

    def d_loss(self):
        (real, classes_real), (fake, classes_fake) = map(self.judged, (self.images, self.fake()))
        adversarial = np.maximum(1 - real, 0).mean() + np.maximum(1 + fake, 0).mean()
        of_real = cross_entropy(classes_real, self.labels)
        return adversarial + of_real + cross_entropy(classes_fake, self.fake_labels)

    def g_loss(self):
        fake, classes = self.judged(self.fake())
        return cross_entropy(classes, self.fake_labels) - fake.mean()

    def gradient(self, network):
        """What Adam took, by path: with beta1 0 it is Adam's first moment."""
        beginning = f"{network}_optimizer/m/"
        state = self.gan.state().items()
        return {
            name.removeprefix(beginning): v.numpy()
            for name, v in state
            if name.startswith(beginning)
        }


@pytest.fixture(name="inputs", scope="module")
def fixture_inputs():
    return Inputs()


def step(inputs, network):
    """Metrics and gradients of one step; the weights are the first ones again."""
    inputs.restore()
    if network == "g":
        found = inputs.gan.g_step(inputs.z, inputs.fake_labels)
    else:
        batch = inputs.images, inputs.labels, inputs.z, inputs.fake_labels
        found = inputs.gan.d_step(*batch)
    gradients = inputs.gradient(network)
    inputs.restore()
    return {name: float(value) for name, value in found.items()}, gradients


@pytest.mark.slow
@pytest.mark.parametrize("network", ["g", "d"])
def test_gradients_of_both_networks_by_finite_differences(inputs, network):
    """Along the gradient of all biases (and of G's gains): their pass holds no power iteration."""
    found, gradients = step(inputs, network)
    loss = inputs.g_loss if network == "g" else inputs.d_loss
    assert found[f"{network}_loss"] == pytest.approx(loss(), rel=1e-5)

    ends = ("/bias", "/biases", "/gamma", "/beta")
    chosen = {name: value for name, value in gradients.items() if name.endswith(ends)}
    assert len(chosen) > 10
    slope = np.sqrt(sum((value.astype(np.float64) ** 2).sum() for value in chosen.values()))
    state = inputs.gan.state()
    at = {}
    for sign in (1, -1):
        for name, value in chosen.items():
            state[name].assign(inputs.first[name] + sign * 1e-3 * value / slope)
        at[sign] = loss()
    inputs.restore()
    assert (at[1] - at[-1]) / 2e-3 == pytest.approx(slope, rel=0.02)


@pytest.mark.slow
def test_gradient_of_the_classifiers_bias_in_closed_form(inputs):
    """mean(softmax - truth) of real images, and the same of generated ones."""
    _, gradients = step(inputs, "d")
    expected = 0
    for images, labels in ((inputs.images, inputs.labels), (inputs.fake(), inputs.fake_labels)):
        expected += (softmax(inputs.judged(images)[1]) - np.eye(3)[labels]).mean(axis=0)
    found = gradients["discriminator/d_sn_classifier/bias"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("conditioning", ["projection", "none"])
def test_other_settings_have_no_metrics_of_classes(conditioning):
    settings = dataclasses.replace(PLAIN_MODEL, conditioning=conditioning)
    names = {*objectives.g_metrics(settings), *objectives.d_metrics(settings)}
    adversarial = {"d_loss", "d_loss_real", "d_loss_fake", "logit_real", "logit_fake"}
    assert names == {"g_loss", *adversarial}
    assert objectives.class_metrics(settings) == ()
