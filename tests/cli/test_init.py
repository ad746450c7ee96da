"""``tune.py init`` as a command: what it writes, and that it overwrites nothing."""

import subprocess

from scale_tune.spec.loading import load_spec
from tests.support.commands import call, command, run

WANTED = ["--dataset", "digits", "--methods", "erm, scale"]


def test_the_file_is_what_is_printed_and_can_be_searched(tmp_path):
    written = call("tune", "init", *WANTED, "my.yaml", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert written.stdout == "wrote my.yaml\nsee what it would do:  python tune.py my.yaml --dry-run\n"
    printed = call("tune", "init", *WANTED, cwd=tmp_path)
    assert printed.stdout == (tmp_path / "my.yaml").read_text()
    assert list(load_spec(tmp_path / "my.yaml").methods) == ["erm", "scale"]
    result = call("tune", "my.yaml", "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "  of scale with small_cnn" in result.stdout


def test_a_file_that_is_there_is_left_as_it_is(tmp_path):
    (tmp_path / "my.yaml").write_text("mine")
    result = run("tune", "init", *WANTED, "my.yaml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: my.yaml is there already, and is left as it is; give another name\n"
    assert (tmp_path / "my.yaml").read_text() == "mine"


def test_what_is_wrong_writes_nothing(tmp_path):
    for words, message in (
        (["--dataset", "digits", "--methods", "scael", "my.yaml"], "did you mean 'scale'"),
        (["--dataset", "table", "--methods", "erm", "my.yaml"], "table needs its csv: give --csv"),
        ([*WANTED, "absent/my.yaml"], "can't write absent/my.yaml: there is no directory absent; make it"),
        (["my.yaml"], "give --dataset, one of digits"),
    ):
        result = call("tune", "init", *words, cwd=tmp_path)
        assert result.returncode == 2
        assert message in result.stderr
        assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_leaves_no_half_of_a_file(tmp_path):
    limited = ["bash", "-c", 'ulimit -f 1; exec "$@"', "-", *command("tune", "init", *WANTED, "my.yaml")]
    result = subprocess.run(limited, capture_output=True, text=True, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (2, "error: can't write my.yaml: File too large\n")
    assert not list(tmp_path.iterdir())


def test_pictures_of_ones_own_need_their_list(tmp_path):
    words = ["--dataset", "table", "--csv", "photos/list.csv", "--methods", "erm,jtt"]
    assert call("tune", "init", *words, "my.yaml", cwd=tmp_path).returncode == 0
    assert load_spec(tmp_path / "my.yaml").dataset.options["csv"] == "photos/list.csv"


def test_help_says_where_the_keys_are_and_what_init_is():
    helped = call("tune", "--help").stdout
    assert "docs/keys.md" in helped
    assert "tune.py init --dataset" in helped
    assert "--csv" in call("tune", "init", "--help").stdout
