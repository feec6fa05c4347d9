"""Each test of the networks draws the same weights at every run."""

import keras
import pytest


@pytest.fixture(name="random_seed", autouse=True)
def fixture_random_seed():
    keras.utils.set_random_seed(0)
