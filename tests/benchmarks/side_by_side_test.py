import importlib
import json
import re
import shlex
import sys

import pytest

from tests import processes

SCRIPT = "docs/side_by_side/side_by_side.py"
# Speaks the protocol of stepping.py with seconds that are given, and notes its turns.
FAKE = """
import json, sys
name, log, batch, *seconds = sys.argv[1:]
print(json.dumps({"ready": True, "batch": int(batch)}), flush=True)
for number, _ in enumerate(sys.stdin):
    with open(log, "a") as file:
        file.write(name)
    print(json.dumps({"seconds": float(seconds[number]), "peak_mb": 5 + number}), flush=True)
"""


def program(name, *command):
    return f"--program={name}={shlex.join([sys.executable, *map(str, command)])}"


@pytest.mark.process
@pytest.mark.parametrize(
    ("flags", "seconds", "turns", "peak"),
    [
        ((), {"a": (2, 4, 3), "b": (2, 2, 6)}, "ababab", 7),
        (("--one-at-a-time",), {"a": (2,), "b": (2,)}, "ababab", 5),
    ],
)
def test_programs_take_turns_and_are_compared_round_by_round(tmp_path, flags, seconds, turns, peak):
    log, out = tmp_path / "log", tmp_path / "out.json"
    code, printed, err = processes.run(
        SCRIPT,
        "--rounds=3",
        f"--json={out}",
        *flags,
        program("a", "-c", FAKE, "a", log, 4, *seconds["a"]),
        program("b", "-c", FAKE, "b", log, 8, *seconds["b"]),
    )
    assert code == 0, err
    assert log.read_text() == turns
    a, b = json.loads(out.read_text())["programs"]
    # Of rounds: (8/2)/(4/2), (8/2)/(4/4), (8/6)/(4/3); afresh: (8/2)/(4/2) in each.
    assert (a["ratio"], b["ratio"]) == (1, 2)
    assert (a["median_seconds"], b["median_seconds"]) == (2 if flags else 3, 2)
    assert (b["images_per_second"], b["peak_mb"]) == (4, peak)
    assert printed.splitlines()[-1].split() == [
        "b",
        "8",
        "2.000",
        "2.000",
        "2.000" if flags else "6.000",
        "4.000",
        str(peak),
        "2.000",
    ]


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "flags", "message"),
    [
        ("raise SystemExit('no such network')", (), "b died with exit code 1: no such network"),
        ("print('hello')", (), "b: 'hello' has no ready and batch"),
        ("import time; time.sleep(600)", ("--timeout=1",), "b: no answer in 1 seconds"),
    ],
)
def test_program_that_fails_is_named(code, flags, message):
    result = processes.run(SCRIPT, *flags, program("b", "-c", code))
    assert processes.error_line(result) == f"error: {message}"


@pytest.mark.slow
@pytest.mark.process
def test_our_own_step_answers(tmp_path):
    settings = (
        "image_size=32 z_dim=8 generator_type=baseline discriminator_type=baseline "
        "graph_optimizer=false"
    )
    code, _, err = processes.run(
        SCRIPT,
        "--rounds=1",
        f"--json={tmp_path / 'out.json'}",
        program(
            "ours",
            "docs/side_by_side/time_ours.py",
            "--batch=2",
            "--gf-dim=8",
            "--df-dim=8",
            "--classes=3",
            f"--set={settings}",
        ),
        cwd=processes.ROOT,
    )
    assert code == 0, err
    (ours,) = json.loads((tmp_path / "out.json").read_text())["programs"]
    assert (ours["batch"], len(ours["seconds"])) == (2, 1)
    assert min(ours["seconds"][0], ours["peak_mb"]) > 0


@pytest.mark.slow
def test_parts_are_timed_with_and_without(monkeypatch, capsys):
    """In this process, as the script would do it in one of its own."""
    monkeypatch.syspath_prepend(str(processes.ROOT / "docs/side_by_side"))
    time_parts = importlib.import_module("time_parts")
    flags = ["--only=batch_norm", "--batch=1", "--rounds=1"]
    monkeypatch.setattr(sys, "argv", ["time_parts.py", *flags])
    time_parts.main()
    out = capsys.readouterr().out
    found = re.findall(r"batch_norm, (\d+) px: [\d.]+ s without, [\d.]+ s with it: [\d.]+\n", out)
    assert found == ["8", "16", "32", "64", "128"]
