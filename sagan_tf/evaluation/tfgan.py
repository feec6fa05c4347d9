"""TF-GAN's evaluation functions, imported without the rest of the package.

`import tensorflow_gan` itself fails where `tf.estimator` is gone (TensorFlow 2.16 and later), so
its evaluation package is imported under empty parent packages. No other file imports TF-GAN.
"""

import importlib.util
import sys
import types
import warnings


def _import_evaluation() -> types.ModuleType:
    # Make empty parent packages.
    spec = importlib.util.find_spec("tensorflow_gan")
    path = spec.submodule_search_locations[0]
    for name, folder in (("tensorflow_gan", path), ("tensorflow_gan.python", f"{path}/python")):
        if name not in sys.modules:
            package = types.ModuleType(name)
            package.__path__ = [folder]
            sys.modules[name] = package

    # Import the package below them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old packages below, about pkg_resources
        return importlib.import_module("tensorflow_gan.python.eval")


evaluation = _import_evaluation()
classifier_metrics = importlib.import_module(f"{evaluation.__name__}.classifier_metrics")
