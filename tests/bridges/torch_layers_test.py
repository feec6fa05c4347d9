import numpy as np

from sagan_tf.bridges import mapping, torch_layers
from sagan_tf.bridges.mapping import Norm


def read(layers, tensors, sigma=1.0):
    return mapping.to_ours(layers.table, tensors, sigma=lambda norm: sigma)


def test_axes_of_a_convolution():
    """OIHW to HWIO, by indices."""
    layers = torch_layers.Layers(["c.weight_orig"], epsilon=1e-5)
    layers.conv("c", "ours")
    weight = np.random.default_rng(0).normal(size=(4, 3, 2, 2)).astype(np.float32)
    tensors = {"c.weight_orig": weight, "c.weight_u": np.arange(4.0), "c.bias": np.arange(4.0) + 9}
    found = read(layers, tensors)
    assert found["ours/w"].shape == (2, 2, 3, 4)
    assert found["ours/w"][1, 0, 2, 3] == weight[3, 2, 1, 0]
    np.testing.assert_array_equal(found["ours/u"], [[0, 1, 2, 3]])
    np.testing.assert_array_equal(found["ours/biases"], [9, 10, 11, 12])


def test_colours_backwards():
    layers = torch_layers.Layers([], epsilon=1e-5)
    layers.conv("last", "last", reverse="out")
    layers.conv("first", "first", reverse="in", bias=False)
    tensors = {
        "last.weight": np.arange(3.0).reshape(3, 1, 1, 1),
        "last.bias": np.arange(3.0),
        "first.weight": np.arange(3.0).reshape(1, 3, 1, 1),
    }
    found = read(layers, tensors)
    np.testing.assert_array_equal(found["last/w"].ravel(), [2, 1, 0])
    np.testing.assert_array_equal(found["last/biases"], [2, 1, 0])
    np.testing.assert_array_equal(found["first/w"].ravel(), [2, 1, 0])


def test_units_of_the_first_layer():
    """Unit c*16 + h*4 + w there is unit (h*4 + w)*channels + c here."""
    layers = torch_layers.Layers([], epsilon=1e-5)
    layers.dense("linear", "ours", channels=3)
    weight = np.random.default_rng(1).normal(size=(48, 2)).astype(np.float32)
    found = read(layers, {"linear.weight": weight, "linear.bias": np.arange(48.0)})
    channel, height, width = 2, 3, 1
    theirs = channel * 16 + height * 4 + width
    ours = (height * 4 + width) * 3 + channel
    np.testing.assert_array_equal(found["ours/Matrix"][:, ours], weight[theirs])
    assert found["ours/bias"][ours] == theirs


def test_tables_and_statistics_of_a_norm():
    layers = torch_layers.Layers(["gain.weight_orig"], epsilon=1e-4)
    layers.conditional_norm("bn", "gain", "shift", ours="cbn")
    tensors = {
        "gain.weight_orig": np.array([[2.0, 4.0]], np.float32),
        "shift.weight": np.array([[5.0, 6.0]], np.float32),
        "bn.running_mean": np.array([1.0, 2.0], np.float32),
        "bn.running_var": np.array([1.0, 0.5], np.float32),
    }
    found = read(layers, tensors, sigma=4.0)
    np.testing.assert_array_equal(found["cbn/gamma"], [[1.5, 2.0]])
    np.testing.assert_array_equal(found["cbn/beta"], [[5.0, 6.0]])
    np.testing.assert_array_equal(found["cbn/mean"], [[[[1.0, 2.0]]]])
    np.testing.assert_allclose(found["cbn/var"], [[[[1.00009, 0.50009]]]], rtol=1e-6)


def test_every_table_reads_backwards():
    """What goes there and back is what it was."""
    layers = torch_layers.Layers(["c.weight_orig", "d.weight_orig"], epsilon=1e-5)
    layers.conv("c", "c", reverse="out")
    layers.dense("d", "d", channels=2)
    layers.embedding("e", "e")
    random = np.random.default_rng(2)
    shapes = {
        "c.weight_orig": (3, 2, 3, 3),
        "c.weight_u": (3,),
        "c.bias": (3,),
        "d.weight_orig": (32, 5),
        "d.weight_u": (32,),
        "d.bias": (32,),
        "e.weight": (4, 6),
    }
    tensors = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    ours = read(layers, tensors)
    back = mapping.to_theirs(layers.table, ours)
    assert back.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(back[name], value)
    ours_shapes = {name: value.shape for name, value in ours.items()}
    assert mapping.shapes_in_theirs(layers.table, ours_shapes) == shapes


def test_stored_sigma():
    weight = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    tensors = {"w": weight, "u": np.array([1.0, 2.0]), "v": np.array([0.5, -1.0])}
    norm = Norm(weight="w", u="u", v="v")
    # 1 * (0.5 - 2) + 2 * (1.5 - 4)
    assert torch_layers.stored_sigma(tensors, norm) == -6.5


def test_names_of_a_network_for_several_gpus():
    wrapped = {"module.a.weight": np.ones(1), "module.b": np.zeros(2)}
    assert set(torch_layers.state({"state_dict": wrapped}, "x.pth")) == {"a.weight", "b"}
    mixed = {**wrapped, "c": np.ones(1)}
    assert set(torch_layers.state(mixed, "x.pth")) == set(mixed)
