import time
import tracemalloc

import pytest

from scale_tune.errors import UserError
from scale_tune.spec.yamlfile import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("1.0e-3", 0.001),
        (".5", 0.5),
        ("-2", -2),
        ("010", 10),
        ("08", 8),
        ("'1e-3'", "1e-3"),
        ("none", "none"),
        ("no", "no"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("1e", "1e"),
        ("e3", "e3"),
        ("[1, 1e-3, x]", [1, 0.001, "x"]),
    ],
)
def test_scalars_are_what_people_mean(text, value):
    parsed, _ = parse_yaml(text, "f")
    assert parsed == value
    assert type(parsed) is type(value)


def test_every_key_has_its_line():
    _, lines = parse_yaml("a: 1\nb:\n  c: [5,\n      6]\n", "f")
    assert lines[("a",)] == 1
    assert lines["b", "c"] == 3
    assert lines["b", "c", 1] == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: 1\nb: 2\na: 3", r"f:3: the key 'a' stands twice, first in line 1", id="key twice"),
        pytest.param("a: [1", "f:1: not valid YAML", id="open bracket"),
        pytest.param("a: 1\n  b: 2", "f:2: not valid YAML", id="wrong indent"),
        pytest.param("a: !!python/object:os.system x", r"f:1: the tag !!python/object:os.system means", id="object"),
        pytest.param("a:\n  !!python/tuple [1]", r"f:2: the tag !!python/tuple means nothing here", id="tuple"),
        pytest.param("a: !!set {x}", r"f:1: the tag !!set means nothing here; leave it out", id="set"),
        pytest.param("a: !mine x", r"f:1: the tag !mine means nothing here; leave it out", id="tag of one's own"),
        pytest.param("!!str a: 1\n!!binary b: 1", r"f:2: the tag !!binary means nothing", id="tag of a key"),
        pytest.param("a: 1\n[b]: 2", r"f:2: a key is a word", id="list as a key"),
        pytest.param("? {b: 1}\n: 2", r"f:1: a key is a word", id="mapping as a key"),
        pytest.param("a: !!int x", "f:1: 'x' is no int", id="no int"),
        pytest.param("a:\n  !!timestamp x", "f:2: the tag !!timestamp means nothing", id="time"),
        pytest.param("\x00", "f: not valid YAML", id="binary"),
        pytest.param("a: &a [*a]", "alias contains itself", id="endless"),
    ],
)
def test_what_is_no_yaml_is_named_with_its_line(text, message):
    with pytest.raises(UserError, match=message):
        parse_yaml(text, "f")


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)
"""Half a kilobyte that means a billion values."""


TOO_MUCH = "f: not usable: with what its aliases repeat, it has more than 20,000 values"


def test_aliases_that_multiply_are_refused_before_they_take_memory():
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=TOO_MUCH):
            parse_yaml(BOMB, "f")
        assert tracemalloc.get_traced_memory()[1] < 3e7
    finally:
        tracemalloc.stop()


def test_a_long_document_is_not_read_to_its_end():
    started = time.process_time()
    with pytest.raises(UserError, match=TOO_MUCH):
        parse_yaml("seeds: [" + ", ".join(map(str, range(500_000))) + "]", "f")
    assert time.process_time() - started < 5, "a second, on a machine that may be slow"


def test_aliases_that_repeat_a_little_are_fine():
    assert parse_yaml("a: &a [1, 2]\nb: [*a, *a]", "f")[0]["b"] == [[1, 2], [1, 2]]
