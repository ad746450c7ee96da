import subprocess
import sys

from scale_tune.search.carried import PACKAGE, job_directory, package_files, places


def test_relative_paths_between_files_hold(tmp_path, monkeypatch):
    for file in ("lab/spaces/demo.yaml", "lab/methods/mine.py", "lab/spaces/net.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(file)
    monkeypatch.chdir(tmp_path / "lab" / "methods")
    space, method, net = (
        tmp_path / "lab/spaces/demo.yaml",
        tmp_path / "lab/spaces/../methods/mine.py",
        tmp_path / "lab/spaces/net.py",
    )
    relative = method.__class__("mine.py")
    files = [space, method, net, relative]
    where = {file: str(place) for file, place in places(files).items()}
    assert where == {
        space: "files/spaces/demo.yaml",
        method: "files/methods/mine.py",
        net: "files/spaces/net.py",
        relative: "files/methods/mine.py",
    }
    with job_directory(files) as directory:
        carried = (directory / where[space]).parent
        assert (carried / "../methods/mine.py").read_text() == "lab/methods/mine.py"
        assert (carried / "net.py").read_text() == "lab/spaces/net.py"
    assert not directory.exists()


def test_one_file_or_none_needs_no_layout(tmp_path):
    assert [str(place) for place in places([tmp_path / "a" / "x.yaml"]).values()] == ["files/x.yaml"]
    assert places([]) == {}


def test_the_package_is_taken_along_and_runs_from_there(tmp_path):
    with job_directory([]) as directory:
        assert [path.name for path in directory.iterdir()] == ["scale_tune"]
        assert not list(directory.rglob("__pycache__"))
        code = "import scale_tune, scale_tune.cli.tune; print(scale_tune.__file__)"
        command = [sys.executable, "-c", code]
        found = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout
        assert found.startswith(str(directory))
    assert not found.startswith(str(PACKAGE))


def git(directory, *words):
    subprocess.run(["git", "-C", directory, "-c", "user.name=x", "-c", "user.email=x", *words], check=True)


def test_what_somebody_left_in_the_package_is_not_sent_to_workers(tmp_path):
    package = tmp_path / "scale_tune"
    (package / "room" / "__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "room/idea.py", "room/__pycache__/idea.pyc", "planted.py"):
        (package / name).touch()
    assert len(package_files(package)) == 3, "nothing tells what is the package's"
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "scale_tune/__init__.py", "scale_tune/room/idea.py")
    assert package_files(package) == [package / "__init__.py", package / "room" / "idea.py"]
    (package / "room" / "idea.py").unlink()
    assert package_files(package) == [package / "__init__.py"]


def test_of_an_installed_package_the_wheel_says_what_it_is(tmp_path, monkeypatch):
    package = tmp_path / "scale_tune"
    package.mkdir()
    for name in ("__init__.py", "planted.py"):
        (package / name).touch()
    installed = tmp_path / "scale_tune-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: scale-tune\nVersion: 1\n")
    (installed / "RECORD").write_text("scale_tune/__init__.py,,\nscale_tune-1.dist-info/RECORD,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert package_files(package) == [package / "__init__.py"]
