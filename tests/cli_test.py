"""The two commands, as a user runs them: real processes, real exit codes."""

import os
import signal
import subprocess
import time

import pytest

from tests.conftest import ROOT
from tests.processes import error_line, run, start
from tests.testing import make_data, make_pictures

TINY = ("--image_size=32", "--z_dim=8", "--gf_dim=8", "--df_dim=8", "--number_classes=3",
        "--attention_resolution=16", "--batch_size=2", "--num_towers=2", "--sample_every=0",
        "--save_summaries_steps=1", "--shuffle_buffer_size=10")


@pytest.fixture(name="data", scope="module")
def fixture_data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("records"))


@pytest.mark.parametrize(("script", "flags", "message"), [
    ("train_imagenet.py", ["--generater_type=test"],
     "Unknown command line flag 'generater_type'. Did you mean: generator_type ?"),
    ("train_imagenet.py", ["--generator_type=big"],
     "--generator_type=big: expected one of test, test_64, baseline"),
    ("train_imagenet.py", ["--batch_size=many"], "flag --batch_size=many"),
    ("train_imagenet.py", ["test"], "test: expected flags only"),
    ("train_imagenet.py", ["--attention_resolution=33"], "--attention_resolution=33: expected one"),
    ("train_imagenet.py", ["--flagfile=absent.flags"], "absent.flags"),
    ("eval_imagenet.py", ["--num_classes=x"], "flag --num_classes=x"),
    ("eval_imagenet.py", ["--data_dir=data/digits", "--checkpoint_dir=absent"],
     "absent/imagenet_64: no run there"),
])
def test_bad_command_is_one_line_and_exit_code_1(script, flags, message):
    assert message in error_line(run(script, *flags, cwd=ROOT))


def test_no_records_names_the_digits_recipe(tmp_path):
    line = error_line(run("train_imagenet.py", f"--data_dir={tmp_path}"))
    assert line.startswith(f"error: --data_dir={tmp_path}: it holds no *.tfrecords;")
    assert "--flagfile=configs/digits.flags" in line


def test_unwritable_output_directory(tmp_path, data):
    (tmp_path / "file").write_text("")
    line = error_line(run("train_imagenet.py", *TINY, f"--data_dir={data}",
                          f"--checkpoint_dir={tmp_path}/file"))
    assert f"{tmp_path}/file/imagenet_2: cannot be written to" in line


def test_help_lists_the_flags():
    code, out, _ = run("train_imagenet.py", "--help")
    assert code in (0, 1)
    assert "--generator_type" in out
    assert "--[no]dry_run" in out


@pytest.fixture(name="prepared", scope="module")
def fixture_prepared(tmp_path_factory):
    """A directory that prepare_data made: 32 px, two classes."""
    path = tmp_path_factory.mktemp("prepared")
    make_pictures(path / "source", {"ant": 6, "bee": 5})
    code, _, err = run("-m", "sagan_tf.tools.prepare_data", f"--source={path}/source", "--size=32",
                       f"--out={path}/out", "--encoding=jpeg", cwd=ROOT)
    assert code == 0, err
    return path / "out"


NETWORKS = ("--gf_dim=8", "--df_dim=8", "--attention_resolution=16")


def test_size_and_classes_need_no_flag_where_the_data_says_them(prepared):
    code, out, err = run("train_imagenet.py", f"--data_dir={prepared}", *NETWORKS, "--dry_run")
    assert code == 0, err
    assert "image_size: 32\n" in out
    assert "number_classes: 2\n" in out
    assert "data records: 11\n" in out


@pytest.mark.parametrize(("flag", "there"), [
    ("--number_classes=10", "2"), ("--image_size=64", "32")])
def test_contradiction_to_the_data_is_an_error_with_both(prepared, flag, there):
    line = error_line(run("train_imagenet.py", f"--data_dir={prepared}", *NETWORKS, flag,
                          "--dry_run"))
    assert line.startswith(f"error: {flag}: {prepared}/dataset.json says {there};")


def test_input_benchmark_prints_a_row_for_each_pipeline(prepared):
    code, out, err = run("-m", "sagan_tf.tools.benchmark_input", str(prepared), "--batch_size=4",
                         "--rounds=1", "--seconds=0.1", cwd=ROOT)
    assert code == 0, err
    rows = [line.split() for line in out.splitlines()[2:]]
    assert [row[3] for row in rows] == ["ours", "ours,", "plain"]
    assert all(float(row[-6].replace(",", "")) > 0 for row in rows)
    assert rows[-1][-1] == "1.00"


def test_sigterm_saves_and_the_same_command_continues_on_two_devices(tmp_path, data):
    flags = [*TINY, f"--data_dir={data}", f"--checkpoint_dir={tmp_path}", "--steps_per_loop=1"]
    process = start("train_imagenet.py", *flags, "--max_steps=100000")
    for line in process.stdout:
        if line.startswith("step 3/"):
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    last = err.rstrip().splitlines()[-1]
    assert last.startswith("SIGTERM: saved step ")
    step = int(last.split()[3].rstrip(";"))
    assert step >= 3
    code, out, err = run("train_imagenet.py", *flags, f"--max_steps={step + 1}", "--num_devices=2")
    assert code == 0, err
    assert f"continuing from step {step}\n" in out
    assert out.rstrip().endswith(f"done: step {step + 1}, {tmp_path}/imagenet_2")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0,
                    reason="mounting a small tmpfs needs root")
def test_full_disk_is_one_line_and_keeps_the_last_checkpoint(tmp_path, data):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(tmp_path)],
                      capture_output=True, check=False).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        flags = [*TINY, f"--data_dir={data}", f"--checkpoint_dir={tmp_path}", "--steps_per_loop=1",
                 "--save_checkpoint_secs=0", "--max_steps=100000", "--keep_checkpoints=100000"]
        line = error_line(run("train_imagenet.py", *flags))
        assert f"{tmp_path}/imagenet_2: cannot be written to" in line
        subprocess.run(["mount", "-o", "remount,size=64m", str(tmp_path)], check=True)
        code, out, err = run("train_imagenet.py", *flags[:-2], "--max_steps=1")
        assert code == 0, err
        assert "continuing from step " in out
    finally:
        time.sleep(0.1)
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
