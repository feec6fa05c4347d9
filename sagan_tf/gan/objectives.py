"""What each network minimises: the adversarial loss and, of an AC-GAN, the loss of the class.

With `--conditioning=auxiliary_classifier` the discriminator has a second head, the classifier:

    L_D = L_real + L_fake + CE(C(x), y) + CE(C(G(z, y')), y')
    L_G = -mean D(G(z, y')) + CE(C(G(z, y')), y')

D's adversarial terms L_real and L_fake are those of `--loss_type`; CE is `losses.class_loss`.

Odena, Olah, Shlens (2017) have L_S, the log-likelihood of real or generated (equation 2), and L_C,
that of the class of real and of generated images (equation 3). D maximises L_S + L_C, and G
L_C - L_S, where G moves generated images only: that is weight 1 for each cross-entropy.

SAGAN's paper compares with an AC-GAN (table 2) without describing it. We chose to keep weight 1
beside other adversarial losses: the hinge, `--loss_type`'s default, and -mean D(G(z, y')). The
classifier has spectral normalisation, as all of D, and a bias; both are our choice too.
"""

from typing import NamedTuple, Optional

import tensorflow as tf

from sagan_tf.config import ModelConfig
from sagan_tf.gan import losses
from sagan_tf.gan.discriminator import Discriminator
from sagan_tf.gan.updates import Collection

# Names of what is found of classes.
_G_CLASSES = ("g_class_loss",)
_D_CLASSES = (
    "d_class_loss_fake",
    "d_class_loss_real",
    "class_accuracy_fake",
    "class_accuracy_real",
)


class Judgement(NamedTuple):
    """What D says of images.

    Attributes:
      logits: float32 [batch, 1].
      class_logits: float32 [batch, number_classes]; None without a classifier.
    """

    logits: tf.Tensor
    class_logits: Optional[tf.Tensor] = None


def g_metrics(config: ModelConfig) -> tuple[str, ...]:
    """Names of what `of_generator` finds, in the order in which it comes to be."""
    of_classes = _G_CLASSES if config.has_classifier else ()
    return (*of_classes, "g_loss", "logit_fake")


def d_metrics(config: ModelConfig) -> tuple[str, ...]:
    """Names of what `of_discriminator` finds, in the order in which it comes to be."""
    of_classes = _D_CLASSES if config.has_classifier else ()
    return ("logit_fake", "logit_real", *of_classes, "d_loss_fake", "d_loss_real", "d_loss")


def class_metrics(config: ModelConfig) -> tuple[str, ...]:
    """Those of both that are about classes; () without a classifier."""
    return (*_G_CLASSES, *_D_CLASSES) if config.has_classifier else ()


def judge(
    network: Discriminator,
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    update_sn: bool = False,
    collection: Optional[Collection] = None,
) -> Judgement:
    """What D says of images in one pass; arguments as of `Discriminator`."""
    spectral = {"update_sn": update_sn, "collection": collection}
    if not network.config.has_classifier:
        return Judgement(network(images, labels, **spectral))
    return Judgement(*network(images, labels, return_classes=True, **spectral))


def judge_both(
    network: Discriminator,
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    fake: tf.Tensor,
    fake_labels: tf.Tensor,
    joint: bool,
    collection: Collection,
) -> tuple[Judgement, Judgement]:
    """What D says of real and of generated images; its u moves once.

    D treats every image by itself, and the reference's two passes start from the same u: one
    batch of real and generated images gives both logits and normalises W once.

    Args:
      network: D.
      images: float32 [batch, size, size, 3], real ones.
      labels: int [batch].
      fake: generated images, as many.
      fake_labels: int [batch].
      joint: whether to make one batch of them.
      collection: takes the new u.
    """
    # As two passes.
    if not joint:
        real = judge(network, images, labels, update_sn=True, collection=collection)
        return real, judge(network, fake, fake_labels)

    # As one batch.
    both = tf.concat([images, fake], 0)
    both_labels = tf.concat([labels, fake_labels], 0)
    judged = judge(network, both, both_labels, update_sn=True, collection=collection)

    # Part it.
    sizes = [tf.shape(images)[0], tf.shape(fake)[0]]
    parts = [tf.split(logits, sizes) for logits in judged if logits is not None]
    of_real, of_fake = zip(*parts)
    return Judgement(*of_real), Judgement(*of_fake)


def of_generator(fake: Judgement, labels: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """G's loss.

    Args:
      fake: what D says of generated images.
      labels: int [batch], those that G was given.
    Returns:
      The loss, and scalars by name: "g_loss", the same; "logit_fake", the mean logit; with a
      classifier "g_class_loss", the part of the loss that is the cross-entropy.
    """
    loss = losses.generator_loss(fake.logits)
    of_classes = {}
    if fake.class_logits is not None:
        class_loss = losses.class_loss(fake.class_logits, labels)
        of_classes["g_class_loss"] = class_loss
        loss += class_loss
    return loss, {**of_classes, "g_loss": loss, "logit_fake": tf.reduce_mean(fake.logits)}


def of_discriminator(
    real: Judgement,
    labels: tf.Tensor,
    *,
    fake: Judgement,
    fake_labels: tf.Tensor,
    loss_type: str,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """D's loss.

    Args:
      real: what D says of real images.
      labels: int [batch].
      fake: what D says of generated images.
      fake_labels: int [batch], those that G was given.
      loss_type: as of `losses.discriminator_losses`.
    Returns:
      The loss, and scalars by name: "d_loss", the same; "d_loss_real" and "d_loss_fake", its
      adversarial terms; "logit_real" and "logit_fake", mean logits. With a classifier also the
      cross-entropies "d_class_loss_real" and "d_class_loss_fake", and the shares of images whose
      class it tells, "class_accuracy_real" and "class_accuracy_fake".
    """
    # The adversarial terms.
    adversarial_real, adversarial_fake = losses.discriminator_losses(loss_type)
    loss_real = adversarial_real(real.logits)
    loss_fake = adversarial_fake(fake.logits)
    loss = loss_real + loss_fake
    metrics = {
        "d_loss_real": loss_real,
        "d_loss_fake": loss_fake,
        "logit_real": tf.reduce_mean(real.logits),
        "logit_fake": tf.reduce_mean(fake.logits),
    }

    # Those of the classifier.
    if real.class_logits is not None:
        for name, judged, truth in (("real", real, labels), ("fake", fake, fake_labels)):
            class_loss = losses.class_loss(judged.class_logits, truth)
            loss += class_loss
            metrics[f"d_class_loss_{name}"] = class_loss
            metrics[f"class_accuracy_{name}"] = losses.class_accuracy(judged.class_logits, truth)
    return loss, {**metrics, "d_loss": loss}
