"""Other classes for a network of another project, as fine-tuning needs them."""

import numpy as np

from sagan_tf.bridges.mapping import Network

# Endings of our arrays with a row for each class.
_TABLES = ("/cbn_0/gamma", "/cbn_0/beta", "/cbn_1/gamma", "/cbn_1/beta", "/embedding_map")
_EMBEDDING_U = "d_embedding/u"


def with_classes(network: Network, number: int) -> Network:
    """The same network with `number` classes, each of which is the mean of its classes.

    The embedding of D then has one singular value, for which u is even.

    Args:
      network: G or D.
      number: of classes.
    """
    arrays = dict(network.arrays)
    for name, values in arrays.items():
        if name.endswith(_TABLES):
            mean = values.mean(axis=0, dtype=np.float64)
            arrays[name] = np.tile(np.float32(mean), (number, 1))
        elif name == _EMBEDDING_U:
            arrays[name] = np.full((1, number), number**-0.5, np.float32)
    return Network(arrays, network.sigmas)
