"""How the tasks of cluster/slurm_array.sh agree on a head and on the end, whatever tune.py's exit code is.

Ray and tune.py are stand-ins, and the latter ends when the test says so. They are real in tests/drills/test_arrays.py.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.jobs import Task, array, executable

LISTEN = "import socket, sys, time; server = socket.create_server((sys.argv[1], int(sys.argv[2]))); time.sleep(1000)"
RAY = f"""\
for option; do case $option in --node-ip-address=*) host=${{option#*=}} ;; --port=*) port=${{option#*=}} ;; esac; done
case "$*" in
    *get-auth-token*) ;;
    *--head*) echo "$SLURM_ARRAY_TASK_ID" >>heads; exec {sys.executable} -c '{LISTEN}' "$host" "$port" ;;
    *) echo "$SLURM_ARRAY_TASK_ID" >>joined; exec /bin/sleep 1000 ;;
esac
"""
PYTHON = f"""\
case "$1 $*" in
    "- - ") exec {sys.executable} -c '
import socket
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
    print("127.0.0.1", server.getsockname()[1], other.getsockname()[1])' ;;
    "- "*) exit 0 ;; # the nodes are there
    *--dry-run*) exit 1 ;; # the run is not
esac
trap 'exit 3' USR1 TERM
echo "$*" >>commands
until [ -e code ]; do /bin/sleep 0.1; done
exit "$(<code)"
"""


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tasks = array(tmp_path, 3)
    for task in tasks:
        task.submitted_from = tmp_path
    fakes = tasks[0].fakes
    executable(fakes, "ray", RAY)
    executable(fakes, "python", PYTHON)
    executable(fakes, "sleep", "exec /bin/sleep 0.2")
    yield tasks
    for task in tasks:
        task.kill()


def head_and_member(tasks: list[Task]) -> None:
    """The first task drives the search, and the second has joined it."""
    head, member, *_ = tasks
    head.submit()
    head.wait_for(lambda: lines("commands"))
    member.submit()
    member.wait_for(lambda: lines("joined"))


def lines(file: str) -> list[str]:
    return Path(file).read_text().split("\n")[:-1] if Path(file).exists() else []


@pytest.mark.parametrize("code", [0, 2, 4])
def test_where_nothing_is_left_to_do_every_task_ends_with_that_code(tasks, code):
    head_and_member(tasks)
    Path("code").write_text(str(code))
    assert [task.ended() for task in tasks[:2]] == [code, code]
    tasks[2].submit()  # which the queue lets in only now
    assert tasks[2].ended() == code
    assert lines("heads") == ["1"]
    assert lines("joined") == ["2"]
    assert not Path("requeued").exists()


def test_another_array_for_the_run_is_asked_for_more_and_has_an_end_of_its_own(tasks):
    head_and_member(tasks)
    tasks[2].submit(SLURM_ARRAY_JOB_ID="18")  # joins the search of the array before
    tasks[2].wait_for(lambda: len(lines("joined")) == 2)
    Path("code").write_text("0")
    assert [task.ended() for task in tasks] == [0, 0, 0]
    assert lines("heads") == ["1", "3"]


@pytest.mark.parametrize(("sent", "requeued"), [(signal.SIGUSR1, ["requeue 17_1"]), (signal.SIGTERM, [])])
def test_when_the_head_has_to_go_another_takes_over(tasks, sent, requeued):
    head_and_member(tasks)
    os.kill(tasks[0].process.pid, sent)
    tasks[1].wait_for(lambda: lines("heads") == ["1", "2"])
    assert tasks[0].ended() == 3
    assert lines("requeued") == requeued
    tasks[2].submit()
    tasks[2].wait_for(lambda: lines("joined") == ["2", "3"])
    Path("code").write_text("0")
    assert [task.ended() for task in tasks[1:]] == [0, 0]


@pytest.mark.parametrize(("sent", "requeued"), [(signal.SIGUSR1, ["requeue 17_2"]), (signal.SIGTERM, [])])
def test_a_task_that_is_not_the_head_leaves_without_a_word(tasks, sent, requeued):
    head_and_member(tasks)
    os.kill(tasks[1].process.pid, sent)
    assert tasks[1].ended() == 3
    assert lines("requeued") == requeued
    assert tasks[0].process.poll() is None
    assert lines("heads") == ["1"]


def test_a_killed_head_is_followed_by_one_that_the_others_join(tasks):
    head_and_member(tasks)
    tasks[2].submit()
    tasks[2].wait_for(lambda: lines("joined") == ["2", "3"])
    tasks[0].kill()
    tasks[1].wait_for(lambda: len(lines("joined")) == 3)
    assert len(lines("commands")) == 2
    assert {lines("heads")[1], lines("joined")[2]} == {"2", "3"}
    member = tasks[int(lines("joined")[2]) - 1]
    os.kill(member.process.pid, signal.SIGUSR1)  # it still listens
    assert member.ended() == 3
    assert lines("requeued") == [f"requeue 17_{member.number}"]
    Path("code").write_text("0")
    assert tasks[int(lines("heads")[1]) - 1].ended() == 0


@pytest.mark.drill
@pytest.mark.parametrize("code", [3, 137])
def test_a_driver_that_ends_by_itself_is_started_again_but_not_for_ever(tasks, code):
    head_and_member(tasks)
    Path("code").write_text(str(code))
    assert [task.ended() for task in tasks[:2]] == [3, 3], "killed or stopped, the search can go on"
    assert len(lines("heads")) == 3
    assert not Path("requeued").exists()


def test_what_can_be_told_apart_from_the_queue_is_told_at_once(tasks):
    tasks[0].arguments = tasks[0].arguments[:1]
    tasks[0].submit()
    assert tasks[0].ended() == 2
    assert tasks[0].says("give the run a --name")


def test_a_node_on_which_ray_never_stays_gives_up(tasks):
    head_and_member(tasks)
    executable(tasks[0].fakes, "ray", "echo no such device; exit 1")
    tasks[2].submit()
    assert tasks[2].ended() == 1
    assert tasks[2].says("Ray has ended on this node again and again")
    assert tasks[1].process.poll() is None


def test_a_file_system_without_locks_is_found_out(tasks):
    executable(tasks[0].fakes, "flock", "exit 71")
    tasks[0].submit()
    assert tasks[0].ended() == 1
    assert tasks[0].says("must be on a file system with locks")
    assert not lines("heads")


def test_locks_that_other_nodes_do_not_see_are_found_out(tasks):
    executable(tasks[0].fakes, "flock", "exit 0")
    tasks[0].submit()
    tasks[0].wait_for(lambda: lines("commands"))
    tasks[1].submit()
    assert tasks[1].ended() == 1
    assert tasks[1].says("a file system whose locks hold on all nodes")
    assert tasks[0].process.poll() is None
    assert lines("heads") == ["1"]


def test_a_run_in_an_object_store_has_its_tasks_meet_where_they_were_submitted(tasks):
    for task in tasks[:2]:
        task.arguments = [*task.arguments, "--storage", "s3://lab/runs"]
    head_and_member(tasks)
    assert Path(".x.array", "head").exists()
    Path("code").write_text("0")
    assert [task.ended() for task in tasks[:2]] == [0, 0]
