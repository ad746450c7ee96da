"""Addresses where nobody answers, or not Ray; drills/test_addresses.py has real Rays."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from scale_tune.errors import UserError
from scale_tune.search import reaching
from scale_tune.search.reaching import GREETING, check_answers
from tests.support.clusters import free_port

HOSTS = [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")]


@contextmanager
def listening(host: str, answer: Callable[[socket.socket], None]) -> Iterator[int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def settings(connection: socket.socket) -> None:
    """What gRPC answers."""
    assert connection.recv(len(GREETING), socket.MSG_WAITALL) == GREETING
    connection.sendall(bytes([0, 0, 6, 4, 0, 0, 0, 0, 0]) + b"much more")


def silence(connection: socket.socket) -> None:
    while connection.recv(1000):
        pass


def http(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(("host", "written"), HOSTS)
def test_who_answers_as_ray_does_is_taken_for_it(host, written):
    with listening(host, settings) as port:
        check_answers(f"{written}:{port}")


@pytest.mark.parametrize(("host", "written"), HOSTS)
def test_who_says_nothing_is_an_error_in_time(host, written, monkeypatch):
    monkeypatch.setattr(reaching, "SECONDS", 0.1)
    with (
        listening(host, silence) as port,
        pytest.raises(UserError, match=r"at --address \S+: no answer in 0.1 s; see that its head runs"),
    ):
        check_answers(f"{written}:{port}")


@pytest.mark.parametrize("answer", [http, lambda connection: None])
def test_who_is_not_ray_is_told_apart(answer):
    with (
        listening("127.0.0.1", answer) as port,
        pytest.raises(UserError, match="who answers there is not the head of a Ray|reset"),
    ):
        check_answers(f"127.0.0.1:{port}")


@pytest.mark.parametrize(("host", "written"), HOSTS)
def test_where_nobody_listens_is_an_error_at_once(host, written):
    with pytest.raises(UserError, match="refused; see that its head runs, or leave --address out"):
        check_answers(f"{written}:{free_port()}")


def test_a_host_that_can_not_be_found_in_time_is_an_error(monkeypatch):
    monkeypatch.setattr(reaching, "LIMIT_SECONDS", 0.1)
    monkeypatch.setattr(reaching, "_trouble", lambda host, port: time.sleep(1))
    with pytest.raises(UserError, match="host:6379: it takes too long to find that host"):
        check_answers("host:6379")


def test_auto_says_which_cluster_was_meant_that_is_gone(monkeypatch):
    """As after a crash of its head, whose address Ray had noted; a job has it in its environment."""
    gone = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_ADDRESS", f" {gone}\n")
    with pytest.raises(UserError, match=rf"at --address auto, which is [0-9.]+:{gone.rpartition(':')[2]}: .*refused"):
        check_answers("auto")
    assert os.environ["RAY_ADDRESS"] == gone


def test_what_has_no_port_is_left_to_ray():
    check_answers("head")
