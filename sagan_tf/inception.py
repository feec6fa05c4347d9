"""The classifier whose features and logits the scores are made of, loaded once."""

import os
from collections.abc import Callable

import tensorflow as tf

from sagan_tf import config as config_lib

INCEPTION_SIZE = 299
# Tensor names of the Inception graph of 2015-12-05; the logits have either name.
_GRAPH_INPUT, _GRAPH_POOL, _GRAPH_LOGITS = "Mul:0", "pool_3:0", ("logits:0", "softmax/logits:0")


class Classifier:
    """Images to (pool_3, logits).

    Attributes:
      handle: what it was loaded from.
      input_size: side of the images that the network takes; others are resized.
    """

    def __init__(self, handle: str, network: Callable, input_size: int):
        self.handle = handle
        self.input_size = input_size
        self._network = network

    @tf.function(reduce_retracing=True, autograph=False)
    def __call__(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Features and logits.

        Args:
          images: float32 [batch, size, size, 3] in [-1, 1]; not rounded to uint8, resized with
            TensorFlow 1's bilinear (no half-pixel centres) where the size differs.
        Returns:
          pool_3 float32 [batch, features] and logits float32 [batch, classes].

        Source: reference `utils_ori.py:50-88`.
        """
        if images.shape[1] != self.input_size:
            images = tf.compat.v1.image.resize_bilinear(images, [self.input_size] * 2)
        pool, logits = self._network(images)
        count = tf.shape(images)[0]
        return tf.reshape(pool, [count, -1]), tf.reshape(logits, [count, -1])


def load(handle: str) -> Classifier:
    """Loads a classifier.

    Args:
      handle: a TF-Hub handle (https://...), a SavedModel directory whose signature has the outputs
        `pool_3` and `logits`, or a frozen graph (.pb) with `Mul:0`, `pool_3:0` and `logits:0`.
    Raises:
      config.UserError: it cannot be reached, or has not these outputs.
    """
    if handle.startswith(("http://", "https://")):
        return _from_saved_model(handle, _load_hub(handle))
    if os.path.isfile(os.path.join(handle, "saved_model.pb")):
        return _from_saved_model(handle, tf.saved_model.load(handle))
    if os.path.isfile(handle):
        return _from_graph(handle)
    raise config_lib.UserError(
        f"--inception={handle}: expected a TF-Hub handle (https://...), a SavedModel directory or "
        "a frozen graph file (.pb)")


def _load_hub(handle: str):
    import tensorflow_hub as hub  # slow to import, and needed here only

    try:
        return hub.load(handle)
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise config_lib.UserError(
            f"--inception={handle}: cannot be loaded from TF-Hub ({reason}); without a network, "
            "give a SavedModel directory or the frozen graph file") from error


def _from_saved_model(handle: str, loaded) -> Classifier:
    signature = getattr(loaded, "signatures", {}).get("serving_default")
    network = signature or loaded
    size = None
    if signature is not None:
        (spec,) = signature.structured_input_signature[1].values()
        size = spec.shape[1]
        name = next(iter(signature.structured_input_signature[1]))

        def network(images):
            return signature(**{name: images})
    elif not callable(loaded):
        raise config_lib.UserError(
            f"--inception={handle}: expected a SavedModel with a serving signature")
    size = size or INCEPTION_SIZE
    outputs = network(tf.zeros([1, size, size, 3]))
    missing = [n for n in ("pool_3", "logits") if not isinstance(outputs, dict) or n not in outputs]
    if missing:
        raise config_lib.UserError(
            f"--inception={handle}: expected outputs pool_3 and logits, missing "
            + " and ".join(missing))

    def features(images):
        results = network(images)
        return results["pool_3"], results["logits"]

    features.keep_alive = loaded
    return Classifier(handle, features, size)


def _from_graph(handle: str) -> Classifier:
    graph_def = tf.compat.v1.GraphDef()
    try:
        with open(handle, "rb") as file:
            graph_def.ParseFromString(file.read())
    except Exception as error:  # protobuf's DecodeError has no public home
        raise config_lib.UserError(
            f"--inception={handle}: not a frozen graph (GraphDef)") from error
    names = {node.name for node in graph_def.node}
    logits = next((t for t in _GRAPH_LOGITS if t[:-2] in names), _GRAPH_LOGITS[0])
    wanted = (_GRAPH_INPUT, _GRAPH_POOL, logits)
    missing = [tensor for tensor in wanted if tensor[:-2] not in names]
    if missing:
        raise config_lib.UserError(
            f"--inception={handle}: the graph has no tensor {' or '.join(missing)}")

    def run(images):
        return tf.graph_util.import_graph_def(
            graph_def, input_map={_GRAPH_INPUT: images}, return_elements=[_GRAPH_POOL, logits],
            name="")

    network = tf.compat.v1.wrap_function(
        run, [tf.TensorSpec([None, INCEPTION_SIZE, INCEPTION_SIZE, 3], tf.float32)])
    return Classifier(handle, network, INCEPTION_SIZE)
