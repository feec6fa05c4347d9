"""Keras file as a classifier: where its features and logits are, and what images it expects."""

import functools
import importlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

import keras
import tensorflow as tf

from sagan_tf import plurals

# How a network of keras.applications begins its name, and the module that prepares its images.
_APPLICATIONS = (
    ("inception_v3", "inception_v3"),
    ("inception_resnet_v2", "inception_resnet_v2"),
    ("xception", "xception"),
    ("vgg16", "vgg16"),
    ("vgg19", "vgg19"),
    (r"resnet\d+v2", "resnet_v2"),
    (r"resnet\d+", "resnet"),
    ("mobilenetv2", "mobilenet_v2"),
    ("mobilenetv3", "mobilenet_v3"),
    ("mobilenet", "mobilenet"),
    ("densenet", "densenet"),
    ("nasnet", "nasnet"),
    ("efficientnetv2", "efficientnet_v2"),
    ("efficientnet", "efficientnet"),
    ("convnext", "convnext"),
)
_POOLING = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)


class Network(NamedTuple):
    """A network that gives features and logits.

    Attributes:
      call: images in [-1, 1] to (pool_3, logits).
      size: side of the images that it takes; None: any.
      has_logits: whether it has a last layer for classes; without one its logits mean nothing.
      note: what was found in it, for people; "" where it says so itself.
    """

    call: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
    size: Optional[int]
    has_logits: bool = True
    note: str = ""


def load(path: str) -> Network:
    """Loads a Keras file with the outputs `pool_3` and `logits`, or a classifier with one output.

    Raises:
      ValueError: it has not these outputs, or more than one input. Keras raises of every kind for a
        file that is not its own.
    """
    network = keras.saving.load_model(path, compile=False)
    (images,) = network.inputs
    size = images.shape[1]
    count = len(network.outputs)

    # Take both results, or find them.
    if count == 1:
        return _classifier(network, size)
    if count == 2:
        return Network(lambda images: both(network(images, training=False)), size)
    raise ValueError(f"{count} outputs; expected pool_3 and logits")


def both(results) -> tuple[tf.Tensor, tf.Tensor]:
    """The features and the logits among what a network gives, by name or by place.

    Raises:
      ValueError: it gives something else.
    """
    # Name what it gives.
    if isinstance(results, dict):
        missing = [name for name in ("pool_3", "logits") if name not in results]
        if missing:
            named = ", ".join(sorted(results))
            raise ValueError(f"it has no output {' or '.join(missing)}; its outputs are {named}")
        return results["pool_3"], results["logits"]

    # Take two in their order.
    count = len(results) if isinstance(results, (list, tuple)) else 1
    if count != 2:
        raise ValueError(f"it has {plurals.counted(count, 'output')} without these names")
    return results[0], results[1]


def _classifier(network: keras.Model, size: Optional[int]) -> Network:
    """The network of a classifier with one output, with or without its last layer."""
    # Find the features and the logits.
    logits, last = _logits_of(network)
    pool, place = _pool_of(network, last)
    both = keras.Model(network.inputs, [pool] if last is None else [pool, logits])
    prepare, images_are = _preparation_of(network.name)

    def call(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        results = both(prepare(images), training=False)
        results = results if isinstance(results, (list, tuple)) else [results]

        # Take the mean over all places.
        features = results[0]
        if len(features.shape) == 4:
            features = tf.reduce_mean(features, [1, 2])

        # Without classes there is one, of which every image is.
        if last is None:
            return features, tf.zeros_like(features[:, :1])
        return features, results[1]

    # Say what was found.
    classes = "none, so that there is no Inception Score" if last is None else last.name
    note = f"{network.name}: pool_3 is {place}; logits: {classes}; images: {images_are}"
    return Network(call, size, has_logits=last is not None, note=note)


def _logits_of(network: keras.Model) -> tuple[Any, Optional[keras.layers.Layer]]:
    """What goes into the softmax, and the last layer; None, None of a network without classes."""
    last = network.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        return last.input, last
    is_softmax = getattr(last, "activation", None) is keras.activations.softmax
    are_places = len(network.outputs[0].shape) == 4
    if are_places or not (is_softmax or isinstance(last, keras.layers.Dense)):
        return None, None

    # Called again, the layer gives what goes into the softmax.
    last.activation = keras.activations.linear
    return network.outputs[0], last


def _pool_of(network: keras.Model, last: Optional[keras.layers.Layer]) -> tuple[Any, str]:
    """The features and, for people, where they are.

    They are the global pooling on the straight way to the output, or else what the last layer with
    weights gets. Without a last layer they are the output, whose mean over all places is taken. A
    pooling off that way, as in a squeeze-and-excite block, weighs channels.
    """
    # Walk back from the output, as long as there is one vector for each image.
    (output,) = network.outputs
    tensors = [output]
    head = last
    while tensors and _is_vector(tensors[0]):
        layer, node, _ = tensors[0]._keras_history
        if isinstance(layer, _POOLING):
            return tensors[0], layer.name

        # Stop where two ways meet, and at the images.
        inputs = layer._inbound_nodes[node].input_tensors
        if head is last and layer.weights:
            head = layer
        tensors = inputs if len(inputs) == 1 else []

    # Without a pooling there is the last layer.
    if last is not None:
        return head.input, f"what {head.name} gets"

    # The output are features of each place, or of the image.
    if len(output.shape) not in (2, 4):
        raise ValueError(f"an output of shape {output.shape}; expected pool_3 and logits")
    return output, f"the mean of {network.layers[-1].name}"


def _is_vector(tensor: Any) -> bool:
    """Whether it has values of the whole image only, and none of places in it."""
    places = tuple(tensor.shape[1:3])
    return len(tensor.shape) == 2 or places == (1, 1)


def _preparation_of(name: str) -> tuple[Callable[[tf.Tensor], tf.Tensor], str]:
    """From images in [-1, 1] to what a network of this name expects, and this in words."""
    for beginning, module in _APPLICATIONS:
        if re.match(beginning, name.lower()):
            found = importlib.import_module(f"keras.applications.{module}")
            prepare = functools.partial(_prepare, found.preprocess_input)
            return prepare, f"as keras.applications.{module} prepares them"
    return lambda images: images, "in [-1, 1]"


def _prepare(preprocess_input: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    """Images in [-1, 1] as one of keras.applications expects them, which takes [0, 255]."""
    return preprocess_input((images + 1.0) * 127.5)
