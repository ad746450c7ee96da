import pytest

from scale_tune.shown import masked, printable


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("postgresql://me:hush@host/lab", "postgresql://me:***@host/lab"),
        ("can't open postgresql://me:hu/sh@host: x@y", "can't open postgresql://me:***@host: x@y"),
        (
            "postgresql://me@host/lab?password=hush&sslmode=require",
            "postgresql://me@host/lab?password=***&sslmode=require",
        ),
        ("postgresql://me@host/lab?sslpassword=hush", "postgresql://me@host/lab?sslpassword=***"),
        ("host=db PASSWORD='hush hush' user=me", "host=db PASSWORD=*** user=me"),
        ("tune.py --set dataset.api_key=hush --epochs 3", "tune.py --set dataset.api_key=*** --epochs 3"),
        ("http://me:hush@head:8265", "http://me:***@head:8265"),
    ],
)
def test_no_secret_is_shown(text, without):
    assert masked(text) == without


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me@host:5432/lab?sslmode=require&passfile=/home/me/pass",
        "http://head:8265/x",
        "s3://lab/runs: a@b",
    ],
)
def test_what_is_no_secret_is(text):
    assert masked(text) == text


def test_a_terminal_is_shown_what_it_would_obey():
    text = "a\x1b[31m\x07\r\x9b\u202e\udcff\tb\n\N{SNOWMAN}"
    assert printable(text) == r"a\x1b[31m\x07\r\x9b\u202e\udcff" + "\tb\n\N{SNOWMAN}"
