"""Other classes for a network of another project, as fine-tuning needs them."""

import numpy as np

from sagan_tf.bridges.mapping import Network

# Endings of our arrays with a row for each class.
_TABLES = ("/cbn_0/gamma", "/cbn_0/beta", "/cbn_1/gamma", "/cbn_1/beta", "/embedding_map")
# The classifier of --conditioning=auxiliary_classifier: a column for each class.
_COLUMNS = ("d_sn_classifier/Matrix", "d_sn_classifier/bias")
_US = ("d_embedding/u", "d_sn_classifier/u")


def with_classes(network: Network, number: int) -> Network:
    """The same network with `number` classes, each of which is the mean of its classes.

    What D knows of a class, its embedding or its classifier, then has one singular value, for which
    u is even. SN divides it by another number, so that logits change in scale: more where many
    classes become few.

    Args:
      network: G or D.
      number: of classes.
    """
    arrays = dict(network.arrays)
    for name, values in arrays.items():
        if name.endswith(_TABLES):
            mean = values.mean(axis=0, dtype=np.float64)
            arrays[name] = np.tile(np.float32(mean), (number, 1))
        elif name in _COLUMNS:
            mean = values.mean(axis=-1, keepdims=True, dtype=np.float64)
            arrays[name] = np.repeat(np.float32(mean), number, axis=-1)
        elif name in _US:
            arrays[name] = np.full((1, number), number**-0.5, np.float32)
    return Network(arrays, network.sigmas)
