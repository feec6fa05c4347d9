"""Programs of a folder in docs, in this process."""

import importlib
import sys

from tests.conftest import ROOT

# Folders have programs of the same names.
_SAME_NAMES = ("results", "run", "table")


def of_folder(monkeypatch, folder):
    """(name) -> a program of the folder, or a module that it shares, as a module.

    Args:
      monkeypatch: that of pytest.
      folder: from the root of the project on.
    """
    # Forget the programs of another folder.
    for name in _SAME_NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(ROOT / folder))

    def program(name):
        """The module; `results` comes first, as in every program, and shows the shared ones."""
        importlib.import_module("results")
        return importlib.import_module(name)

    return program
