"""The configuration file is changed as a person would change it: nothing else in it moves."""

from __future__ import annotations

import stat
import string
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.config import load_settings
from o365_etl.config_file import ConfigFile
from o365_etl.errors import ConfigError, ConflictError, LocalError

APP = "00000000-0000-0000-0000-000000000001"
TEXT = """\
# our installation
data_dir = "data"   # on the big disk

# the account
[itglue]
region = "eu"                       # us | eu | au
api_key = { env = "KEY" }  # rotated in May
mode = "plan"

# the first client, by itself
[[connections]]
name = "One"
kind = "direct"
tenant_id = "contoso.com"
client_id = "00000000-0000-0000-0000-000000000001"
client_secret = { env = "S" }  # ends in May

[connections.selection]
users = "all"

# the second one
[[connections]]
name = "two"
kind = "direct"
tenant_id = "fabrikam.com"
client_id = "00000000-0000-0000-0000-000000000001"
client_secret = { env = "S" }

# slow line
[limits]
threads = 3

# [selection]
# guests = true
"""
NEW = {
    "name": "new",
    "kind": "direct",
    "tenant_id": "new.example",
    "client_id": APP,
    "client_secret": {"env": "N"},
    "cloud": None,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "o365_etl.toml"
    path.write_text(TEXT)
    return path


def changed(path: Path, before: str = TEXT) -> tuple[list[str], list[str]]:
    """The lines that went and the lines that came, each in order."""
    old, new = before.splitlines(), path.read_text().splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


def test_a_value_is_changed_where_it_stands(path: Path) -> None:
    """One line changes, its comment stays, and so does the order of the rest."""
    file = ConfigFile.open(path)
    file.set(["itglue", "region"], "au")
    file.save()

    assert path.read_text() == TEXT.replace('region = "eu"', 'region = "au"')


def test_a_new_key_stands_with_its_own_table(path: Path) -> None:
    """It comes below the last key of its table, and above the comment on the next table."""
    file = ConfigFile.open(path)
    file.set(["itglue", "base_url"], "https://itglue.example")
    file.set_connection("one", ["secret_expires"], date(2027, 5, 1))
    file.set_connection("two", ["selection", "skus"], ["SPB"])
    file.set(["tls", "ca_bundle"], Path("ca.pem"))
    file.save()

    expected = (
        TEXT.replace('mode = "plan"\n', 'mode = "plan"\nbase_url = "https://itglue.example"\n')
        .replace("# ends in May\n", "# ends in May\nsecret_expires = 2027-05-01\n")
        .replace('"S" }\n\n# slow', '"S" }\n\n[connections.selection]\nskus = ["SPB"]\n\n# slow')
        .replace("threads = 3\n", 'threads = 3\n\n[tls]\nca_bundle = "ca.pem"\n')
    )
    assert path.read_text() == expected


def test_a_value_that_is_the_same_leaves_the_file_alone(path: Path) -> None:
    """Saying what the file says already is no change, not even of its time."""
    file = ConfigFile.open(path)
    file.set(["limits", "threads"], 3)
    file.set(["itglue", "api_key"], {"env": "KEY"})
    file.set(["schedule", "cron"], None)
    before = path.stat().st_mtime_ns
    file.save()

    assert (path.read_text(), path.stat().st_mtime_ns) == (TEXT, before)


def test_a_connection_is_added_behind_the_others(path: Path) -> None:
    """With a blank line before it, its secret on one line, and without the keys that are None."""
    file = ConfigFile.open(path)
    file.add_connection(NEW)
    file.save()

    added = '\n[[connections]]\nname = "new"\nkind = "direct"\ntenant_id = "new.example"\n'
    added += f'client_id = "{APP}"\nclient_secret = {{ env = "N" }}\n'
    assert path.read_text() == TEXT.replace("\n# slow line", f"{added}\n# slow line")


def test_a_removed_connection_takes_only_its_own_comment_along(path: Path) -> None:
    """The comment above it goes; the one above the table that follows stays, whichever connection it was."""
    for name, first, next_ in (
        ("ONE", "# the first client", "# the second one"),
        ("two", "# the second one", "# slow line"),
    ):
        path.write_text(TEXT)
        file = ConfigFile.open(path)
        file.remove_connection(name)
        file.save()

        start, end = TEXT.index(first), TEXT.index(next_)
        assert path.read_text() == TEXT[:start] + TEXT[end:]


def test_the_last_connection_can_be_removed(path: Path) -> None:
    """Then there is no key of connections at all, and everything else is as it was."""
    file = ConfigFile.open(path)
    file.remove_connection("one")
    file.remove_connection("two")
    file.save()

    assert path.read_text() == TEXT[: TEXT.index("# the first client")] + TEXT[TEXT.index("# slow line") :]


def test_keys_and_connections_can_be_deleted(path: Path) -> None:
    """None deletes a key; a connection is found in whatever case its name is said."""
    file = ConfigFile.open(path)
    file.set_connection("ONE", ["selection", "users"], None)
    file.set(["itglue", "mode"], None)
    file.save()

    assert changed(path) == (['mode = "plan"', 'users = "all"'], [])
    assert file.connection("one")["name"] == "One"
    with pytest.raises(ConfigError, match="no connection named 'three'") as caught:
        file.connection("three")
    assert "One, two" in caught.value.remedy


def test_a_new_file_is_for_this_user_alone(tmp_path: Path) -> None:
    """It comes with its folder, in the order in which it was said, and it loads."""
    path = tmp_path / "deep" / "o365_etl.toml"
    file = ConfigFile.open(path)
    assert not file.exists
    file.set(["data_dir"], "data")
    file.set(["itglue", "api_key"], {"file": "key"})
    file.add_connection(NEW)
    file.save()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text().startswith('data_dir = "data"\n\n[itglue]\napi_key = { file = "key" }\n\n[[connections]]\n')
    assert load_settings(path).connections[0].name == "new"
    assert [each.name for each in path.parent.iterdir()] == ["o365_etl.toml"]


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640])
def test_an_existing_file_keeps_its_readers(path: Path, mode: int) -> None:
    """Whoever may read the file today, the group of a service for instance, may read it tomorrow; nobody else."""
    path.chmod(mode)
    file = ConfigFile.open(path)
    file.set(["limits", "threads"], 4)
    file.save()

    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    """What a link points to is changed."""
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    file = ConfigFile.open(link)
    file.set(["limits", "threads"], 4)
    file.save()

    assert link.is_symlink()
    assert load_settings(path).limits.threads == 4


@pytest.mark.parametrize("deleted", [False, True])
def test_a_change_of_somebody_else_is_not_overwritten(path: Path, deleted: bool) -> None:
    """A file that changed, went or came since it was opened is left as it is."""
    file = ConfigFile.open(path)
    file.set(["limits", "threads"], 4)
    theirs = TEXT + "# mine\n"
    path.unlink() if deleted else path.write_text(theirs)

    with pytest.raises(ConflictError):
        file.save()
    assert [each.read_text() for each in path.parent.iterdir()] == ([] if deleted else [theirs])


def test_a_file_that_came_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Two people who both begin: the second is told."""
    file = ConfigFile.open(tmp_path / "o365_etl.toml")
    file.set(["itglue", "api_key"], {"env": "KEY"})
    file.path.write_text(TEXT)

    with pytest.raises(ConflictError):
        file.save()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (["itglue", "region"], "mars", "itglue.region"),
        (["itglue", "api_key"], "ITG.plain", "never a value"),
        (["itglu", "mode"], "off", "unknown key itglu"),
        (["limits", "threads"], 0, "limits.threads"),
    ],
)
def test_an_invalid_change_is_not_saved(path: Path, key: list[str], value: object, words: str) -> None:
    """The whole is validated first; the message names the key."""
    file = ConfigFile.open(path)
    file.set(key, value)

    with pytest.raises(ConfigError, match=words):
        file.save()
    assert path.read_text() == TEXT


def test_a_name_that_is_taken_is_not_saved(path: Path) -> None:
    """Two connections of one name are refused, also in another case."""
    file = ConfigFile.open(path)
    file.add_connection(NEW | {"name": "ONE"})

    with pytest.raises(ConfigError, match="used twice"):
        file.save()


def test_the_environment_stays_out_of_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment overrides now is not written down for ever."""
    monkeypatch.setenv("O365_ETL_ITGLUE__MODE", "off")
    monkeypatch.setenv("O365_ETL_DATA_DIR", "/elsewhere")
    file = ConfigFile.open(path)
    file.set(["limits", "threads"], 4)
    file.save()

    assert path.read_text() == TEXT.replace("threads = 3", "threads = 4")


@pytest.mark.parametrize("content", [b"data_dir = ", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_file_that_is_no_toml_is_named(path: Path, content: bytes) -> None:
    """A broken file is not touched."""
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="not valid TOML"):
        ConfigFile.open(path)


def test_a_part_that_is_no_table_is_named(path: Path) -> None:
    """A key below a value cannot be set."""
    with pytest.raises(ConfigError, match=r"limits\.threads\.most: threads is no table"):
        ConfigFile.open(path).set(["limits", "threads", "most"], 3)


def test_a_folder_without_permission_is_named(path: Path) -> None:
    """The error says which file, and the file is as it was."""
    file = ConfigFile.open(path)
    file.set(["limits", "threads"], 4)
    path.rename(path.parent / "away")
    path.mkdir()

    with pytest.raises(LocalError, match=r"o365_etl\.toml cannot be written"):
        file.save()
    assert (path.parent / "away").read_text() == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[itglue]\r\nmode = "plan" # dos\r\napi_key = { env = "K" }\r\n',
        '\ufeff# bom\n[itglue]\napi_key = { env = "K" }\n',
        'itglue.mode = "plan"\nitglue.api_key.env = "K"',
        'itglue = { mode = "plan", api_key = { env = "K" } }\nconnections = []\n',
        '[limits]\nthreads = 2\n[itglue]\napi_key = { env = "K" }\n# end',
        '[itglue.api_key]\nenv = "K"\n\n# a\n[itglue]\nmode = "off"\n',
    ],
)
def test_other_ways_to_write_it(path: Path, text: str) -> None:
    """Line ends of DOS, a byte order mark, dotted keys, inline tables, no line end: all keep what they say."""
    path.write_bytes(text.encode())
    file = ConfigFile.open(path)
    before = file.raw()
    file.set(["itglue", "api_key"], {"env": "NEXT"})
    file.set(["limits", "threads"], 5)
    file.add_connection(NEW)
    file.add_connection(NEW | {"name": "newer"})
    file.remove_connection("new")
    file.save()

    after = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    itglue = before.get("itglue", {}) | {"api_key": {"env": "NEXT"}}
    connection = {key: value for key, value in NEW.items() if value is not None} | {"name": "newer"}
    assert after == before | {"itglue": itglue, "limits": {"threads": 5}, "connections": [connection]}
    for line in text.removeprefix("\ufeff").splitlines():
        if "#" in line:
            assert line[line.index("#") :] in path.read_text(encoding="utf-8-sig")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") == text.startswith("\ufeff")


_WORDS = st.text(string.ascii_lowercase, min_size=1, max_size=6)
_VALUES = st.one_of(st.integers(-5, 5), st.booleans(), st.text(max_size=8), st.lists(st.integers(0, 3), max_size=3))


@given(
    st.lists(st.tuples(st.lists(_WORDS, min_size=1, max_size=3), st.one_of(st.none(), _VALUES)), max_size=8),
    st.lists(st.sampled_from(["add", "one", "two", "new"]), max_size=4),
)
def test_what_is_written_is_what_was_said(changes: list[tuple[list[str], object]], connections: list[str]) -> None:
    """Whatever is set in whatever order, the text says exactly what the document holds, and comments on what stays."""
    file = ConfigFile(Path("/nowhere/o365_etl.toml"), TEXT.encode())
    for key, value in changes:
        try:
            file.set(["extra", *key], value)
        except ConfigError:
            continue
    for name in connections:
        if name == "add":
            file.add_connection(NEW)
        elif any(entry["name"].lower() == name for entry in file.raw().get("connections", [])):
            file.remove_connection(name)

    text = file.text()
    assert tomllib.loads(text) == file.raw()
    for comment in ("# our installation", "# on the big disk", "# the account", "# slow line", "# guests = true"):
        assert comment in text
