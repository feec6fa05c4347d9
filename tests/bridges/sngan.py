"""SNGAN-projection's networks in NumPy, and random arrays in the names of its files.

Written from what the authors' code computes (pfnet-research/sngan_projection@e84b1a5), in its
layout: [batch, channels, height, width], convolutions [out, in, height, width].
"""

import numpy as np

EPSILON = 2e-5
NAMES = ("ResNetGenerator_850000.npz", "SNResNetProjectionDiscriminator_850000.npz")
# Channels of blocks, as multiples of the width.
_GENERATOR = (16, 16, 8, 4, 2, 1)
_DISCRIMINATOR = (1, 2, 4, 8, 16, 16)


def generator_shapes(width, *, classes, z_dim):
    """Shapes of all arrays of ResNetGenerator, by name."""
    # From z to the 4x4 map.
    shapes = {"l1/W": (256 * width, z_dim), "l1/b": (256 * width,)}

    # The blocks.
    for number in range(2, 7):
        inputs, outputs = (width * _GENERATOR[number - step] for step in (2, 1))
        block = f"block{number}"
        shapes |= _conv(f"{block}/c1", inputs, outputs, side=3)
        shapes |= _conv(f"{block}/c2", outputs, outputs, side=3)
        shapes |= _conv(f"{block}/c_sc", inputs, outputs, side=1)
        for name, channels in (("b1", inputs), ("b2", outputs)):
            shapes[f"{block}/{name}/gammas/W"] = (classes, channels)
            shapes[f"{block}/{name}/betas/W"] = (classes, channels)
            shapes |= _statistics(f"{block}/{name}", channels)

    # From features to colours.
    shapes |= {"b7/gamma": (width,), "b7/beta": (width,), **_statistics("b7", width)}
    return {**shapes, **_conv("l7", width, 3, side=3)}


def discriminator_shapes(width, *, classes):
    """Shapes of all arrays of SNResNetProjectionDiscriminator, by name."""
    # The blocks: inside they have as many channels as they take, but for the first.
    shapes = {}
    inputs = 3
    for number, multiple in enumerate(_DISCRIMINATOR, start=1):
        outputs = width * multiple
        hidden = outputs if number == 1 else inputs
        shapes |= _conv(f"block{number}/c1", inputs, hidden, side=3)
        shapes |= _conv(f"block{number}/c2", hidden, outputs, side=3)
        if number < 6:
            shapes |= _conv(f"block{number}/c_sc", inputs, outputs, side=1)
        inputs = outputs

    # From features and label to the logit, and a vector for each weight.
    shapes |= {"l7/W": (1, inputs), "l7/b": (1,), "l_y/W": (classes, inputs)}
    for name in [name for name in shapes if name.endswith("/W")]:
        shapes[name[:-1] + "u"] = (1, shapes[name][0])
    return shapes


def networks():
    """Random arrays of a small G and a small D."""
    shapes = generator_shapes(8, classes=5, z_dim=16)
    return random_arrays(shapes, 0), random_arrays(discriminator_shapes(8, classes=5), 1)


def write(folder, arrays, name):
    """Writes a file as Chainer does, and returns its path."""
    path = folder / name
    np.savez_compressed(path, **arrays)
    return path


def _conv(name, inputs, outputs, *, side):
    return {f"{name}/W": (outputs, inputs, side, side), f"{name}/b": (outputs,)}


def _statistics(name, channels):
    return {f"{name}/avg_mean": (channels,), f"{name}/avg_var": (channels,), f"{name}/N": ()}


def parameters(shapes):
    """How many numbers are trained."""
    fixed = ("/u", "/N", "/avg_mean", "/avg_var")
    return sum(int(np.prod(shape)) for name, shape in shapes.items() if not name.endswith(fixed))


def random_arrays(shapes, seed):
    """Arrays of these shapes: variances so small that epsilon shows, u far from its end."""
    random = np.random.default_rng(seed)
    arrays = {}
    for name, shape in sorted(shapes.items()):
        values = random.normal(size=shape)
        kind = name.split("/")[-1]
        if kind == "N":
            values = np.zeros((), np.int64)
        elif kind == "avg_var":
            values = 1e-3 * random.uniform(0.5, 1.5, shape)
        elif kind == "gamma" or "gammas" in name:
            values = np.sqrt(1e-3) * (1 + 0.2 * values)
        elif kind == "u":
            values = values / np.linalg.norm(values)
        elif kind == "W" and "betas" not in name:
            values = values * np.sqrt(0.7 / np.prod(shape[1:]))
        else:
            values = 0.1 * values
        arrays[name] = np.asarray(values, np.int64 if kind == "N" else np.float32)
    return arrays


def generate(arrays, z, labels):
    """Images [batch, 3, height, width] of the generator in inference."""
    arrays = {name: np.float64(values) for name, values in arrays.items()}

    def norm(x, name, gamma, beta):
        mean, variance = (_column(arrays[f"{name}/avg_{what}"]) for what in ("mean", "var"))
        return _column(gamma) * (x - mean) / np.sqrt(variance + EPSILON) + _column(beta)

    def conditional(x, name):
        gamma, beta = (arrays[f"{name}/{what}/W"][labels] for what in ("gammas", "betas"))
        return norm(x, name, gamma, beta)

    def conv(x, name):
        return _convolve(x, arrays[f"{name}/W"], arrays[f"{name}/b"])

    # From z to the 4x4 map.
    h = z @ arrays["l1/W"].T + arrays["l1/b"]
    h = h.reshape(len(z), -1, 4, 4)

    # The blocks.
    for number in range(2, 7):
        block = f"block{number}"
        branch = _twice(_relu(conditional(h, f"{block}/b1")))
        branch = conv(branch, f"{block}/c1")
        branch = conv(_relu(conditional(branch, f"{block}/b2")), f"{block}/c2")
        h = branch + conv(_twice(h), f"{block}/c_sc")

    # From features to colours.
    h = norm(h, "b7", arrays["b7/gamma"], arrays["b7/beta"])
    return np.tanh(conv(_relu(h), "l7"))


def judge(arrays, images, labels):
    """Logits [batch, 1] of the discriminator, as u stands; images [batch, 3, height, width]."""
    arrays = {name: np.float64(values) for name, values in arrays.items()}

    def conv(x, name):
        return _convolve(x, normalized(arrays, name), arrays[f"{name}/b"])

    # The first block.
    branch = _relu(conv(images, "block1/c1"))
    branch = _pool(conv(branch, "block1/c2"))
    h = branch + conv(_pool(images), "block1/c_sc")

    # The others.
    for number in range(2, 6):
        block = f"block{number}"
        branch = conv(_relu(h), f"{block}/c1")
        branch = conv(_relu(branch), f"{block}/c2")
        h = _pool(branch) + _pool(conv(h, f"{block}/c_sc"))
    h = h + conv(_relu(conv(_relu(h), "block6/c1")), "block6/c2")

    # From features and label to the logit.
    h = _relu(h).sum(axis=(2, 3))
    logits = h @ normalized(arrays, "l7").T + arrays["l7/b"]
    return logits + (normalized(arrays, "l_y")[labels] * h).sum(axis=1, keepdims=True)


def normalized(arrays, name):
    """W / sigma, with sigma after one power iteration from u."""
    weight = arrays[f"{name}/W"]
    sigma, _ = power_iteration(weight, arrays[f"{name}/u"])
    return weight / sigma


def power_iteration(weight, u):
    """sigma and the next u of a weight [out, ...]; u is [1, out]."""
    matrix = weight.reshape(len(weight), -1)
    v = u @ matrix
    v = v / np.linalg.norm(v)
    new = v @ matrix.T
    new = new / np.linalg.norm(new)
    return (new @ matrix @ v.T).item(), new


def _convolve(x, weight, bias):
    """A convolution with zeros around, as a sum over the places of the kernel."""
    side = weight.shape[-1]
    around = side // 2
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (around, around), (around, around)))
    total = _column(bias)
    for row in range(side):
        for column in range(side):
            part = padded[:, :, row : row + height, column : column + width]
            total = total + np.tensordot(weight[:, :, row, column], part, (1, 1)).swapaxes(0, 1)
    return total


def _column(values):
    """Numbers of channels, [channels] or [batch, channels], beside maps."""
    return np.reshape(values, (-1, np.shape(values)[-1], 1, 1))


def _relu(x):
    return np.maximum(x, 0)


def _twice(x):
    return x.repeat(2, axis=2).repeat(2, axis=3)


def _pool(x):
    """Means of 2x2."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels, height // 2, 2, width // 2, 2).mean(axis=(3, 5))
