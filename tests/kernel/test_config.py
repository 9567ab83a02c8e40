"""Reading configurations against a table of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dvidkit.config import Environment, Key, as_markdown, masked, place, read
from dvidkit.errors import BadConfig

TABLE = (
    Key("server", "httpAddress", "text", "where to listen"),
    Key("server", "shutdownDelay", "seconds", "patience", least=1),
    Key("server", "corsDomains", "texts", "origins"),
    Key("server", "allowTiming", "flag", "timing"),
    Key("server", "rwmode", "choice", "mode", choices=("", "readonly")),
    Key("server", "pidFile", "path", "process id"),
    Key("server", "rpcAddress", "text", "no RPC here", applies=False),
    Key("store.*", "engine", "text", "engine"),
    Key("store.*", "*", "table", "anything"),
    Key("backend.*", "store", "text", "alias"),
    Key("kafka", "options", "table", "anything"),
    Key("kafka", "bufferSize", "number", "messages", least=1),
    Key("kafka", "saslPassword", "text", "secret"),
)


def parse(tmp_path: Path, text: str) -> Any:
    """The document of a text."""
    file = tmp_path / "c.toml"
    file.write_text(text, "utf-8")
    return read(str(file), TABLE)


def test_names_are_taken_in_any_case(tmp_path: Path) -> None:
    """Keys and sections are those of the table; what is the user's own stays as it stands."""
    document = parse(
        tmp_path,
        '[Server]\nHTTPADDRESS = ":1"\n[store.Raid6]\nEngine = "lmdb"\nmap_size = 3\n[backend."a.b:c"]\nstore = "x"\n',
    )
    assert document.sections == {
        "server": {"httpAddress": ":1"},
        "store.Raid6": {"engine": "lmdb", "map_size": 3},
        "backend.a.b:c": {"store": "x"},
    }
    assert document.below("backend") == {"a.b:c": {"store": "x"}}
    assert (document.get("server", "httpAddress"), document.get("server", "rwmode", "x")) == (":1", "x")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """Relative ones; absolute and empty ones stay."""
    for given, read_as in (
        ("run/pid", f"{tmp_path}/run/pid"),
        ("../x", f"{tmp_path.parent}/x"),
        ("/a", "/a"),
        ("", ""),
    ):
        assert parse(tmp_path, f'[server]\npidFile = "{given}"\n').get("server", "pidFile") == read_as


def test_keys_without_effect_are_named(tmp_path: Path) -> None:
    """With the reason."""
    assert parse(tmp_path, '[server]\nrpcAddress = ":1"\n').idle == ("[server] rpcAddress: no RPC here",)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[server]\nhttpAdress = ":1"', 2, ["unknown key 'httpAdress' in [server]", "did you mean 'httpAddress'?"]),
        ("[server]\n\n# c\nzzz = 1", 4, ["unknown key 'zzz'", "known are httpAddress"]),
        ("[sever]\nx = 1", 1, ["unknown section 'sever'", "did you mean 'server'?"]),
        ("server = 1", 1, ["unknown key 'server'"]),
        ("x = 1", 1, ["unknown key 'x'"]),
        ('[store]\nraid = "x"', 2, ["unknown key 'raid' in [store]"]),
        ('[backend.x]\nstor = "x"', 2, ["unknown key 'stor' in [backend.x]", "did you mean 'store'?"]),
        ('[backend."a.b"]\nstor = "x"', 2, ["did you mean 'store'?"]),
        ("[server]\nhttpAddress = 1", 2, ["[server] httpAddress must be a text, not 1"]),
        ("[server]\nshutdownDelay = 0.5", 2, ["a number of seconds, 1 or more, not 0.5"]),
        ("[server]\nshutdownDelay = true", 2, ["a number of seconds"]),
        ("[server]\nshutdownDelay = nan", 2, ["a number of seconds"]),
        ("[server]\nshutdownDelay = inf", 2, ["a number of seconds"]),
        ('[server]\ncorsDomains = ["a", 1]', 2, ["a list of texts"]),
        ('[server]\nallowTiming = "yes"', 2, ["true or false, not 'yes'"]),
        ('[server]\nrwmode = "write"', 2, ["one of '', 'readonly', not 'write'"]),
        ('[server]\npidFile = "a\\u0000b"', 2, ["a path"]),
        ("[kafka]\nbufferSize = 0", 2, ["a whole number of 1 or more, not 0"]),
        ("[kafka]\nbufferSize = 1.0", 2, ["a whole number"]),
        ("[server\n", None, ["line 1"]),
        ("[kafka]\n[kafka]\n", None, ["line 2"]),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, line: int | None, words: list[str]) -> None:
    """The file, the line, the key, and what was probably meant."""
    with pytest.raises(BadConfig) as caught:
        parse(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/c.toml:{line or ''}")
    assert all(word in message for word in words), message


def test_a_secret_of_the_wrong_type_is_not_shown(tmp_path: Path) -> None:
    """Nor is it in the error's context."""
    with pytest.raises(BadConfig) as caught:
        parse(tmp_path, "[kafka]\nsaslPassword = 12345")
    assert "12345" not in str(caught.value)


def test_not_utf8(tmp_path: Path) -> None:
    """Is a wrong configuration, not a crash."""
    (tmp_path / "c.toml").write_bytes(b"[server]\nx = '\xff'\n")
    with pytest.raises(BadConfig, match=r"c\.toml"):
        read(str(tmp_path / "c.toml"), TABLE)


def test_place_finds_quoted_and_dotted_names() -> None:
    """Or answers with the path alone."""
    text = 'top = 1\n[backend."gray:0"]\n store = "x"\n[kafka.options]\n"a.b" = 1\n[[x]]\ny.z = 1\n[broken\n'
    assert place("f", text, "backend.gray:0", "store") == "f:3"
    assert place("f", text, "kafka.options", "a.b") == "f:5"
    assert place("f", text, "x", "y.z") == "f:7"
    assert place("f", text, "", "top") == "f:1"
    assert place("f", text, "kafka") == "f:4"
    assert place("f", text, "nowhere", "at.all") == "f"


def test_secrets_are_masked() -> None:
    """Whatever is secret by its name, in any form of value, commented or not; paths to files are not."""
    text = """
saslUsername = "KEY"  # stays
password = '''one
two'''
# admin_token = "abc"
"sasl.password" = 'x"y'
x = { secret = "s,}", other = "o" }
tokens = ["a", "b"]
pin_token = 1234
jwt_secret_file = "/etc/secret"
startWebhook = "http://me:pass@host/x"
quoted = "a \\" b"
token = "a \\" b"
"""
    assert (
        masked(text)
        == """
saslUsername = "***"  # stays
password = "***"
# admin_token = "***"
"sasl.password" = "***"
x = { secret = "***", other = "o" }
tokens = "***"
pin_token = "***"
jwt_secret_file = "/etc/secret"
startWebhook = "http://me:***@host/x"
quoted = "a \\" b"
token = "***"
"""
    )


def test_the_table_for_documentation() -> None:
    """One row for each key; choices are shown, keys without effect are marked."""
    rows = as_markdown(TABLE).splitlines()
    assert len(rows) == len(TABLE) + 2
    assert "| `[server]` `rwmode` | `readonly` | mode |" in rows
    assert "| `[server]` `rpcAddress` | text | *No effect:* no RPC here |" in rows
    assert "| `[store.*]` any | table | anything |" in rows


def test_environment() -> None:
    """Our names before DVID's."""
    assert Environment.of({}) == Environment()
    dvid = {"DVID_ADMIN_TOKEN": "a", "DVID_JWT_SECRET_KEY": "b"}
    assert Environment.of(dvid) == Environment("a", "b")
    assert Environment.of({**dvid, "DVIDKIT_ADMIN_TOKEN": "c", "DVIDKIT_JWT_SECRET": "d"}) == Environment("c", "d")
