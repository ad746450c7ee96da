import pytest

from scale_tune.search.token import TOKEN, keep_token_private


@pytest.fixture
def token(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / TOKEN


def permissions(path) -> int:
    return path.stat().st_mode & 0o777


def test_a_token_is_made_for_nobody_else_to_read_and_kept(token):
    keep_token_private(starts_ray=True)
    made = token.read_text()
    assert (permissions(token), permissions(token.parent)) == (0o600, 0o700)
    assert len(made) == 64
    keep_token_private(starts_ray=True)
    assert token.read_text() == made
    assert list(token.parent.iterdir()) == [token]


def test_one_that_ray_made_is_hidden_from_others(token):
    token.parent.mkdir()
    token.write_text("made by Ray")
    token.chmod(0o644)
    keep_token_private(starts_ray=False)
    assert (permissions(token), token.read_text()) == (0o600, "made by Ray")


def test_none_is_made_for_a_cluster_that_runs_already_which_may_have_none(token):
    keep_token_private(starts_ray=False)
    assert not token.parent.exists()


@pytest.mark.parametrize(
    "variable", [("RAY_AUTH_MODE", "disabled"), ("RAY_AUTH_TOKEN", "x"), ("RAY_AUTH_TOKEN_PATH", "/x")]
)
def test_none_is_made_where_the_user_has_decided_otherwise(token, monkeypatch, variable):
    monkeypatch.setenv(*variable)
    keep_token_private(starts_ray=True)
    assert not token.exists()


def test_where_there_is_no_home_it_is_left_to_ray(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    keep_token_private(starts_ray=True)
