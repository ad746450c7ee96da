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
        pytest.param("a: !!python/object:os.system x", "f:1: not valid YAML", id="object"),
        pytest.param("a: !!int x", "f:1: 'x' is no int", id="no int"),
        pytest.param("a:\n  !!timestamp x", "f:2: 'x' is no timestamp", id="no time"),
        pytest.param("\x00", "f: not valid YAML", id="binary"),
        pytest.param("a: &a [*a]", "alias contains itself", id="endless"),
    ],
)
def test_what_is_no_yaml_is_named_with_its_line(text, message):
    with pytest.raises(UserError, match=message):
        parse_yaml(text, "f")
