"""Inception Score, FID and KID from a classifier's outputs, by TF-GAN's own functions.

The only file that knows how to import TF-GAN: `import tensorflow_gan` itself fails where
`tf.estimator` is gone (TensorFlow 2.16 and later), so its evaluation package is imported under
empty parent packages.
"""

import importlib
import importlib.util
import sys
import types
import warnings

import numpy as np
import tensorflow as tf


def _import_tfgan_eval() -> types.ModuleType:
    spec = importlib.util.find_spec("tensorflow_gan")
    path = spec.submodule_search_locations[0]
    for name, folder in (("tensorflow_gan", path), ("tensorflow_gan.python", f"{path}/python")):
        if name not in sys.modules:
            package = types.ModuleType(name)
            package.__path__ = [folder]
            sys.modules[name] = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old packages below, about pkg_resources
        return importlib.import_module("tensorflow_gan.python.eval")


_tfgan_eval = _import_tfgan_eval()


def inception_score(logits: np.ndarray) -> float:
    """exp of the mean KL divergence of p(class | image) from p(class), over all images at once.

    Args:
      logits: float [images, classes], before the softmax.

    Source: Salimans et al., 2016; TF-GAN `classifier_score_from_logits`, as the reference
      (`eval_imagenet.py:224`).
    """
    return float(_tfgan_eval.classifier_score_from_logits(tf.constant(logits)))


def frechet_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """Frechet Inception Distance between two sets of features; 0 is best.

    Args:
      real, generated: float [images, features], the classifier's `pool_3`.

    Source: Heusel et al., 2017; TF-GAN `frechet_classifier_distance_from_activations`, as the
      reference (`eval_imagenet.py:225-226`).
    """
    return float(_tfgan_eval.frechet_classifier_distance_from_activations(
        tf.constant(real), tf.constant(generated)))


def kernel_distance(real: np.ndarray, generated: np.ndarray) -> tuple[float, float]:
    """Kernel Inception Distance (unbiased, may be below 0) and its standard error.

    Args:
      real, generated: float [images, features], the classifier's `pool_3`.

    Source: Binkowski et al., 2018; TF-GAN `kernel_classifier_distance_and_std_from_activations`.
    """
    distance, error = _tfgan_eval.kernel_classifier_distance_and_std_from_activations(
        tf.constant(real), tf.constant(generated))
    return float(distance), float(error)
