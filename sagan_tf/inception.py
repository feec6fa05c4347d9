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
            images = tf.raw_ops.ResizeBilinear(
                images=images, size=[self.input_size] * 2, align_corners=False,
                half_pixel_centers=False)
        pool, logits = self._network(images)
        return tuple(tf.reshape(output, [tf.shape(output)[0], -1]) for output in (pool, logits))


def load(handle: str) -> Classifier:
    """Loads a classifier.

    Args:
      handle: a TF-Hub handle (https://...), a SavedModel directory whose signature has the outputs
        `pool_3` and `logits`, or a frozen graph (.pb) with `Mul:0`, `pool_3:0` and `logits:0`.
    Raises:
      config.UserError: it cannot be reached, or has not these outputs.
    """
    is_hub = handle.startswith(("http://", "https://"))
    if not is_hub and not os.path.exists(handle):
        raise config_lib.UserError(
            f"--inception={handle}: expected a TF-Hub handle (https://...), a SavedModel directory "
            "or a frozen graph file (.pb)")
    read = _load_hub if is_hub else _load_graph if os.path.isfile(handle) else _load_saved_model
    network, size = read(handle)
    classifier = Classifier(handle, network, size)
    _try_out(classifier)
    return classifier


def _try_out(classifier: Classifier) -> None:
    """Two blank images, to find an unfit network before anything is generated."""
    try:
        pool, logits = classifier(tf.zeros([2, classifier.input_size, classifier.input_size, 3]))
    except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
        raise config_lib.UserError(
            f"--inception={classifier.handle}: expected a network with outputs pool_3 and logits "
            f"for any number of images ({_first_line(error)})") from error
    if len(pool) != 2 or len(logits) != 2:
        raise config_lib.UserError(
            f"--inception={classifier.handle}: expected features of each image, got "
            f"{tuple(pool.shape)} and {tuple(logits.shape)} for two images")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _load_hub(handle: str) -> tuple[Callable, int]:
    import tensorflow_hub as hub  # slow to import, and needed here only

    try:
        return _network_of(hub.load(handle))
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise config_lib.UserError(
            f"--inception={handle}: cannot be loaded from TF-Hub ({_first_line(error)}); without a "
            "network, give a SavedModel directory or the frozen graph file") from error


def _load_saved_model(handle: str) -> tuple[Callable, int]:
    try:
        return _network_of(tf.saved_model.load(handle))
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise config_lib.UserError(
            f"--inception={handle}: expected a SavedModel ({_first_line(error)})") from error


def _network_of(loaded) -> tuple[Callable, int]:
    """(images -> (pool_3, logits), input size) of a loaded SavedModel."""
    signature = getattr(loaded, "signatures", {}).get("serving_default")
    size = None
    if signature is not None:
        inputs = signature.structured_input_signature[1]
        if len(inputs) != 1:
            raise ValueError(f"its signature takes {sorted(inputs)}, expected one input, images")
        ((name, spec),) = inputs.items()
        size = spec.shape[1] if spec.shape.rank == 4 else None
    elif not callable(loaded):
        raise ValueError("it has no serving signature")

    def network(images):
        results = loaded(images) if signature is None else signature(**{name: images})
        return results["pool_3"], results["logits"]

    network.keep_alive = loaded  # a signature alone does not keep its variables
    return network, size or INCEPTION_SIZE


def _load_graph(handle: str) -> tuple[Callable, int]:
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
    return network, INCEPTION_SIZE
