"""The lock and the key of a data directory."""

import stat

import pytest

from aiops.errors import ConfigError
from aiops.installation import hash_secrets, lock_directory


def test_the_directory_is_made_with_its_parents(tmp_path):
    with lock_directory(tmp_path / "a/b"):
        assert (tmp_path / "a/b").is_dir()


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path):
    with (
        lock_directory(tmp_path),
        pytest.raises(ConfigError, match="another aiops uses it"),
    ):
        lock_directory(tmp_path)
    lock_directory(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_a_config_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        lock_directory(tmp_path / "file")


def test_the_key_survives_and_differs_between_installations(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    first = hash_secrets(tmp_path / "a").tolist()
    assert hash_secrets(tmp_path / "a").tolist() == first
    assert hash_secrets(tmp_path / "b").tolist() != first
    assert len(first) == 4


def test_only_the_owner_may_read_the_key(tmp_path):
    hash_secrets(tmp_path)
    mode = (tmp_path / "fingerprint.key").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_the_key_itself_is_not_what_hashes(tmp_path):
    secrets = hash_secrets(tmp_path)
    assert secrets.tobytes() != (tmp_path / "fingerprint.key").read_bytes()


@pytest.mark.parametrize("key", [b"", b"short", bytes(33)])
def test_a_damaged_key_is_refused_and_not_replaced(tmp_path, key):
    (tmp_path / "fingerprint.key").write_bytes(key)
    with pytest.raises(ConfigError, match="damaged"):
        hash_secrets(tmp_path)
    assert (tmp_path / "fingerprint.key").read_bytes() == key


def test_a_start_cut_off_while_the_key_was_made_is_made_good(tmp_path):
    (tmp_path / "fingerprint.partial").write_bytes(b"half")
    secrets = hash_secrets(tmp_path)
    assert hash_secrets(tmp_path).tolist() == secrets.tolist()
    assert not (tmp_path / "fingerprint.partial").exists()
