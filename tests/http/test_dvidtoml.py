"""DVID's TOML, as a server takes it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from dvidkit.config import Environment
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig
from dvidkit.http.dvidkeys import KEYS
from dvidkit.http.dvidtoml import from_file
from dvidkit.http.serverconfig import LogConfig, ServerConfig, WebClient, from_stores
from dvidkit.http.service import Limits

SAMPLE = Path(__file__).with_name("dvid-config-full.toml")
"""DVID's own sample of a complete configuration."""

STORE = '[store.main]\nengine = "lmdb"\npath = "db"\n'


def parse(tmp_path: Path, text: str, **environment: str) -> ServerConfig:
    """The server of a text."""
    file = tmp_path / "c.toml"
    file.write_text(text, "utf-8")
    return from_file(str(file), Environment(**environment))


def test_a_store_is_enough(tmp_path: Path) -> None:
    """Everything else has DVID's defaults, but that pages of any origin may read."""
    config = parse(tmp_path, STORE)
    assert config.stores == {"main": StoreConfig("lmdb", str(tmp_path / "db"))}
    assert (config.address, config.shutdown_seconds, config.notes) == ("localhost:8000", 5, ())
    assert (config.service.mode, config.service.cors, config.service.jwt_secret) == ("normal", (), "")
    assert config.service.config_path == str(tmp_path / "c.toml")


def test_keys_of_the_server(tmp_path: Path) -> None:
    """Each goes where it belongs; files are read or looked for beside the configuration."""
    (tmp_path / "token").write_text("sesame\n")
    config = parse(
        tmp_path,
        STORE
        + """
[server]
host = "brain"
httpAddress = ":9000"
webClient = "www"
webRedirectPath = "/index.html"
webDefaultFile = "index.html"
pidFile = "run/pid"
note = "hello"
corsDomains = ["lab.org", "https://x.org:1"]
rwmode = "fullwrite"
blockListFile = "blocked"
allowTiming = true
startWebhook = "http://a/"
startJaneliaConfig = "http://b/"
instance_id_gen = "random"
instance_id_start = 100
min_mutation_id_start = 1000100000
interactiveOpsBeforeBlock = 10
shutdownDelay = 0
[auth]
trusted_proxies = ["10.0.0.0/8"]
[logging]
logfile = "logs/x"
max_log_size = 3
max_log_age = 4
[dvidkit]
admin_token_file = "token"
problem_json = true
access_log = "logs/access"
log_format = "json"
log_level = "debug"
connections = 7
keep_alive = 2.5
headers_timeout = 3
body_timeout = 4
max_body = 5
max_box = 6
max_memory = 7
workers = 8
waiting = 9
[plugin.mine]
anything = [1]
""",
    )
    service = config.service
    assert (service.mode, service.admin_token, service.note, service.host) == ("fullwrite", "sesame", "hello", "brain")
    assert service.cors == ("http://lab.org", "https://lab.org", "https://x.org:1")
    assert service.blocklist_file == str(tmp_path / "blocked")
    assert (service.interactive_before_block, service.allow_timing, service.problem_json) == (10, True, True)
    assert service.trusted_proxies == ("10.0.0.0/8",)
    wanted = Limits(body=5, box=6, memory=7, headers_seconds=3, idle_seconds=4, workers=8, waiting=9)
    assert service.limits == wanted
    assert config.web == WebClient(str(tmp_path / "www"), "/index.html", "index.html")
    assert config.log == LogConfig(str(tmp_path / "logs/x"), 3, 4, True, "debug", str(tmp_path / "logs/access"))
    assert config.webhooks == (("http://a/", False), ("http://b/", True))
    assert (config.address, config.pid_file) == (":9000", str(tmp_path / "run/pid"))
    assert (config.shutdown_seconds, config.keep_alive, config.connections) == (0, 2.5, 7)
    assert (config.min_instance_id, config.min_mutation_id) == (100, 1000100000)
    assert config.plugins == {"mine": {"anything": [1]}}
    assert len(config.notes) == 1
    assert "instance_id_gen" in config.notes[0]


def test_the_sample_of_dvid(tmp_path: Path) -> None:
    """Is read, but for the store in a cloud, and for two stores in one directory, which DVID refuses too."""
    text = SAMPLE.read_text("utf-8")
    with pytest.raises(BadConfig, match=r"c\.toml:\d+: DVID's engine 'ngprecomputed' has no counterpart"):
        parse(tmp_path, text)
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if "[store.ng]" in line)
    del lines[first : first + 4]
    first = next(n for n, line in enumerate(lines) if '[backend."grayscale2' in line)
    del lines[first : first + 2]
    with pytest.raises(BadConfig, match="'neuronjson' and 'badger' have the same path"):
        parse(tmp_path, "\n".join(lines))
    place = next(n for n, line in enumerate(lines) if "[store.neuronjson]" in line)
    lines[place + 2] = 'path = "/path/to/neuronjson"'
    config = parse(tmp_path, "\n".join(lines))
    assert sorted(config.stores) == ["badger", "neuronjson", "raid6", "ssd"]
    assert {store.engine for store in config.stores.values()} == {"lmdb"}
    assert all(not store.options for store in config.stores.values())
    assert config.assign == {
        "default": "raid6",
        "labelblk": "ssd",
        "labelmap": "ssd",
        "2ff3197a5a9844be9a905b38d12d41ca": "badger",
        "grayscale:99ef22cd85f143f58a623bd22aad0ef7": "badger",
        "type=meshes": "raid6",
    }
    assert config.plugins["kafka"]["topicPrefix"] == "postsFromServer1"
    assert config.plugins["kafka"]["host"] == "mygreatserver.test.com"
    for word in ("rpcAddress", "email", "groupcache", "mirror", "mutcache", "noLabelmapSplit", "mutationlog", "meshes"):
        assert any(word in note for note in config.notes), word
    shown = config.service.config_text
    assert "SECRET-TAKEN" not in shown
    assert "mypassword" not in shown
    assert 'host = "mygreatserver.test.com"' in shown


def test_every_key_has_a_home(tmp_path: Path) -> None:
    """A configuration with every key of the table is read; the table and what reads it do not drift apart."""
    values: dict[str, Any] = {
        "text": "x",
        "path": "x",
        "texts": [],
        "flag": True,
        "number": 1,
        "seconds": 1,
        "table": {},
    }
    special = {
        "store.x.engine": "lmdb",
        "backend.x.store": "x",
        "backend.x.log": "x",
        "auth.enforce": "token",
        "server.httpAddress": "x:1",
        "dvidkit.admin_token_file": "secret",
        "dvidkit.jwt_secret_file": "secret",
    }
    (tmp_path / "secret").write_text("s" * 40)
    document: dict[str, dict[str, Any]] = {}
    for key in KEYS:
        section, name = key.section.replace("*", "x"), key.name.replace("*", "anything")
        value = special.get(f"{section}.{name}", key.choices[-1] if key.choices else values[key.kind])
        document.setdefault(section, {})[name] = value
    text = ""
    for section, keys in document.items():
        text += f"[{section}]\n"
        for name, value in keys.items():
            shown = str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else value
            text += f"{name} = {shown}\n"
    assert tomllib.loads(text)
    config = parse(tmp_path, text)
    assert sorted(config.stores) == ["x"]
    idle = {f"[{key.section.replace('*', 'x')}] {key.name}" for key in KEYS if not key.applies}
    assert idle <= {note.partition(":")[0] for note in config.notes}


# --- stores and backends ---------------------------------------------------------------------------------------------


def test_names_of_engines(tmp_path: Path) -> None:
    """DVID's are ours, with a word about it; their settings are left out, others reach the engine."""
    config = parse(
        tmp_path,
        """
[store.default]
engine = "basholeveldb"
path = "a"
CacheSize = 512
[store.b]
engine = "badger"
path = "b"
ReadOnly = true
map_size = 5
[store.c]
engine = "filestore"
path = "c"
durability = "buffered"
integrity = false
[store.d]
engine = "filelog"
path = "d"
[store.e]
engine = "somebodys"
cachesize = 1
""",
    )
    assert config.stores == {
        "default": StoreConfig("leveldb", str(tmp_path / "a")),
        "b": StoreConfig("lmdb", str(tmp_path / "b"), options={"map_size": 5}),
        "c": StoreConfig("filesystem", str(tmp_path / "c"), durability="buffered", integrity=False),
        "e": StoreConfig("somebodys", options={"cachesize": 1}),
    }
    assert "[store.b] engine 'badger' is 'lmdb' here" in config.notes
    assert any("ReadOnly" in note for note in config.notes)
    assert any("[store.d] is not opened" in note for note in config.notes)


@pytest.mark.parametrize(("file", "word"), [("KEYREGISTRY", "Badger"), ("MANIFEST", "Badger"), ("CURRENT", "LevelDB")])
def test_a_directory_of_dvids_is_not_taken(tmp_path: Path, file: str, word: str) -> None:
    """And the message says what to do; a store of ours in such a directory is none of DVID's."""
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / file).touch()
    text = STORE.replace("lmdb", "badger")
    with pytest.raises(BadConfig, match=rf"c\.toml:3: .*holds a {word} database .*cannot read it.*copy the data"):
        parse(tmp_path, text)
    (tmp_path / "db" / "dvidkit.toml").touch()
    assert parse(tmp_path, text).stores["main"].engine == "lmdb"


TWO = (
    '[store.a]\nengine = "lmdb"\npath = "a"\n[store.b]\nengine = "lmdb"\npath = "b"\n[store.log]\nengine = "filelog"\n'
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs a [store.<alias>]"),
        ('[store.log]\nengine = "filelog"\n', "needs a [store.<alias>]"),
        ('[store.a]\npath = "x"\n', "c.toml:1: a store needs an engine"),
        ('[store.a]\nengine = "swift"\n', "c.toml:2: DVID's engine 'swift' has no counterpart"),
        (TWO, "there are 2 stores; say in [backend.default]"),
        (TWO.replace('"b"', '"./a/"'), "'b' and 'a' have the same path"),
        (TWO + '[backend.default]\nstore = "c"\n', "c.toml:10: [store.c] is not configured"),
        (TWO + '[backend.default]\nstore = "log"\n', "[store.log] is a log, not a store of data"),
        (TWO + '[backend.default]\nstore = "a"\nlog = "x"\n', "c.toml:11: there is no [store.x]"),
        (TWO + "[backend.default]\n", "c.toml:9: a backend needs a store"),
        (STORE + '[auth]\nenforce = "dsg"\n', "c.toml:5: dvidkit cannot check what 'dsg' asks for"),
        (STORE + '[auth]\nenforce = "authfile"\n', "open to everybody"),
        (STORE + '[auth]\nenforce = "token"\n', "tokens need a secret"),
        (STORE + '[auth]\nproxy_address = "http://x"\n', "tokens need a secret"),
        (STORE + "[dvidkit]\npublic_read = false\n", "c.toml:5: without tokens"),
        (
            STORE + '[auth]\nenforce = "none"\n[dvidkit]\njwt_secret_file = "secret"\n',
            "open to everybody: [auth] enforce = 'token'",
        ),
        (STORE + '[server]\ncorsDomains = ["a b"]\n', "'a b' is no domain"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """Before anything is opened."""
    with pytest.raises(BadConfig) as caught:
        parse(tmp_path, text)
    assert words in str(caught.value)


def test_backends(tmp_path: Path) -> None:
    """Rules as the kernel has them; logs are accepted and named."""
    text = (
        TWO
        + '[backend.default]\nstore = "a"\nlog = "log"\n[backend."k:v"]\nstore = "b"\n[backend.metadata]\nlog="log"\n'
    )
    config = parse(tmp_path, text)
    assert config.assign == {"default": "a", "k=v": "b"}
    assert sum("log" in note for note in config.notes) >= 3


# --- who may do what -------------------------------------------------------------------------------------------------


def test_tokens(tmp_path: Path) -> None:
    """The secret comes from a file or the environment; then nothing is read without a token unless that is said."""
    secret = "s" * 32
    (tmp_path / "secret").write_text(secret + "\n")
    asked = STORE + '[auth]\nenforce = "token"\n'
    file = '[dvidkit]\njwt_secret_file = "secret"\n'
    by_file = parse(tmp_path, asked + file)
    by_environment = parse(tmp_path, asked, jwt_secret=secret, admin_token="adm")
    open_reads = parse(tmp_path, asked + "[dvidkit]\npublic_read = true\n", jwt_secret=secret)
    for config, public in ((by_file, False), (by_environment, False), (open_reads, True)):
        assert (config.service.jwt_secret, config.service.public_read) == (secret, public)
    assert by_environment.service.admin_token == "adm"
    for unsaid in (parse(tmp_path, STORE, jwt_secret=secret), parse(tmp_path, f"{STORE}{file}")):
        assert (unsaid.service.jwt_secret, unsaid.service.public_read) == (secret, False)
    assert parse(tmp_path, STORE + '[auth]\nenforce = "none"\n', jwt_secret=secret).service.jwt_secret == ""


@pytest.mark.parametrize("content", ["", "\n", "one\ntwo\n"])
def test_a_secret_is_a_line(tmp_path: Path, content: str) -> None:
    """An empty file must not make an empty token."""
    (tmp_path / "t").write_text(content)
    with pytest.raises(BadConfig, match="single line"):
        parse(tmp_path, STORE + '[dvidkit]\nadmin_token_file = "t"\n')


def test_kafka_without_servers_is_off(tmp_path: Path) -> None:
    """As in DVID, and it is said."""
    config = parse(tmp_path, STORE + '[kafka]\ntopicPrefix = "x"\n')
    assert config.plugins == {}
    assert config.notes == ("[kafka] has no servers, so nothing is published",)


def test_without_a_file() -> None:
    """Stores are enough; the admin token comes from the environment."""
    stores = {"default": StoreConfig("memory")}
    config = from_stores(stores, Environment(admin_token="x"))
    assert (config.stores, config.service.admin_token, config.service.mode) == (stores, "x", "normal")
