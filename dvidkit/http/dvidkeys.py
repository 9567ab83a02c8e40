"""The keys of a server's configuration: all of DVID's, and dvidkit's own under ``[dvidkit]``.

Source: DVID ``server/server_local.go`` (``tomlConfig``), ``server/auth.go`` (``authConfig``), ``storage/kafka.go``,
``scripts/distro-files/config-full.toml``.
"""

from __future__ import annotations

from typing import Final

from dvidkit.config import Key

_LOG_WITH_DATA: Final = "the mutation log is always kept, beside the data"
_NO_CACHE: Final = "there is no such cache"
_ELSEWHERE: Final = "not sent anywhere; watch the log, `/metrics` and `dvidkit verify`"

_SERVER: Final = (
    Key("server", "host", "text", "name of the server in messages, `/api/server/info` and the topic of activity"),
    Key("server", "httpAddress", "text", "`host:port` to listen on; without a host all addresses (`localhost:8000`)"),
    Key("server", "rpcAddress", "text", "commands work on stores and over HTTP; there is no RPC", applies=False),
    Key("server", "webClient", "path", "directory of static files, served where no endpoint is"),
    Key("server", "webRedirectPath", "text", "where requests for files that are not there are sent"),
    Key("server", "webDefaultFile", "text", "file that is served in place of those that are not there"),
    Key("server", "pidFile", "path", "gets the process id while the server runs"),
    Key("server", "note", "text", "shown by `/api/server/note` and `/api/server/info`"),
    Key(
        "server",
        "corsDomains",
        "texts",
        "origins, or domains, whose pages may read and write; `*` is all. Without it pages of any origin may only read",
    ),
    Key(
        "server",
        "rwmode",
        "choice",
        "`readonly` refuses every change, `fullwrite` lets committed versions be written",
        choices=("", "readonly", "fullwrite"),
    ),
    Key(
        "server", "blockListFile", "path", "lines `u=<user>[,note]` and `ip=<address or a.b.c.*>[,note]`, answered 429"
    ),
    Key("server", "allowTiming", "flag", "send `Timing-Allow-Origin: *`"),
    Key(
        "server",
        "startWebhook",
        "text",
        "URL that gets a POST of JSON at the start and must answer 200, or the server does not start",
    ),
    Key("server", "startJaneliaConfig", "text", "the same, as a form with the field `config`"),
    Key("server", "allowLabelmapSplit", "flag", "for `labelmap`, which is not part of this release", applies=False),
    Key("server", "noLabelmapSplit", "flag", "DVID's sample has it, its program does not read it", applies=False),
    Key(
        "server",
        "instance_id_gen",
        "choice",
        "ids are taken one after the other, through the store, so that processes cannot clash",
        applies=False,
        choices=("", "sequential", "random"),
    ),
    Key("server", "instance_id_start", "number", "the smallest id of a new data instance"),
    Key("server", "min_mutation_id_start", "number", "the smallest mutation id; never below 1000000000"),
    Key(
        "server",
        "interactiveOpsBeforeBlock",
        "number",
        "requests of people in two minutes after which batch jobs wait; 0 is never",
    ),
    Key("server", "shutdownDelay", "seconds", "what requests and deliveries under way may take at the end (5)"),
)

_AUTH: Final = (
    Key(
        "auth",
        "enforce",
        "choice",
        "`token`: requests need a JSON Web Token; so too where a secret is given (`jwt_secret_file`) and nothing "
        "said here. `authfile` and `dsg` are refused: what they ask for cannot be checked here",
        choices=("", "none", "token", "authfile", "dsg"),
    ),
    Key("auth", "enforce_internal", "text", "all requests are treated alike, which is stricter", applies=False),
    Key("auth", "auth_file", "path", "for `authfile`, which is refused", applies=False),
    Key("auth", "public_versions", "texts", "no version can be read without a token, which is stricter", applies=False),
    Key("auth", "proxy_address", "text", "as in DVID: `enforce` is then `token` if it is not set"),
    Key("auth", "dsg_address", "text", "for `dsg`, which is refused", applies=False),
    Key("auth", "dsg_cache_ttl", "number", "for `dsg`, which is refused", applies=False),
    Key("auth", "trusted_proxies", "texts", "addresses and networks (CIDR) whose `X-Forwarded-For` is believed"),
    Key("auth", "dataset_map", "table", "for `dsg`, which is refused", applies=False),
    Key("auth", "no_enforce", "flag", "set `enforce` instead", applies=False),
)

_SMALL: Final = (
    Key("email", "notify", "texts", _ELSEWHERE, applies=False),
    Key("email", "username", "text", _ELSEWHERE, applies=False),
    Key("email", "password", "text", _ELSEWHERE, applies=False),
    Key("email", "server", "text", _ELSEWHERE, applies=False),
    Key("email", "port", "number", _ELSEWHERE, applies=False),
    Key("logging", "logfile", "path", "where log lines go; standard error unless given"),
    Key("logging", "max_log_size", "number", "megabytes after which a new log file is begun (500)"),
    Key("logging", "max_log_age", "number", "days after which old log files are deleted; 0 is never"),
    Key("mutations", "jsonstore", "path", _LOG_WITH_DATA, applies=False),
    Key("mutations", "httpstore", "text", _LOG_WITH_DATA, applies=False),
    Key("mutations", "blobstore", "text", "blobs are kept in the store of the instance they belong to", applies=False),
)

_STORES: Final = (
    Key(
        "store.*",
        "engine",
        "text",
        "`lmdb`, `leveldb`, `rocksdb`, `filesystem`, `memory` or another installed one. Of DVID's names `basholeveldb` "
        "is `leveldb`, `badger` is `lmdb` and `filestore` is `filesystem`; a `filelog` is not opened. A directory that "
        "DVID made cannot be read",
    ),
    Key("store.*", "path", "path", "directory of the store; made if its parent exists"),
    Key(
        "store.*",
        "durability",
        "choice",
        "`durable`, `buffered` or `volatile`; ours",
        choices=("durable", "buffered", "volatile"),
    ),
    Key("store.*", "integrity", "flag", "keep and check checksums; fixed when the store is made; ours"),
    Key("store.*", "*", "table", "a setting of the engine; those of DVID's engines have no effect"),
    Key("backend.*", "store", "text", "alias of the store for `default`, `metadata`, a datatype, instance or tag"),
    Key("backend.*", "log", "text", _LOG_WITH_DATA, applies=False),
)

_KAFKA: Final = (
    Key("kafka", "servers", "texts", "`host:port` of brokers; without them nothing is published"),
    Key("kafka", "topicPrefix", "text", "stands before the names of the topics of mutations"),
    Key("kafka", "topicSuffixes", "texts", "`<data UUID>:<suffix>`, which ends the name of that instance's topic"),
    Key("kafka", "topicActivity", "text", "topic of answered requests (`dvidactivity-<host>`)"),
    Key("kafka", "activity", "flag", "whether answered requests are published (true); ours"),
    Key("kafka", "bufferSize", "number", "messages that may wait to be sent (100000)", least=1),
    Key("kafka", "secProtocol", "text", "librdkafka's `security.protocol`"),
    Key("kafka", "saslMechanisms", "text", "librdkafka's `sasl.mechanisms`"),
    Key("kafka", "saslUsername", "text", "librdkafka's `sasl.username`"),
    Key("kafka", "saslPassword", "text", "librdkafka's `sasl.password`"),
    Key("kafka", "options", "table", "any other setting of librdkafka; ours"),
)

_CACHES: Final = (
    Key("mutcache.*", "path", "path", "for `labelmap`, which is not part of this release", applies=False),
    Key("cache.*", "size", "number", _NO_CACHE, applies=False),
    Key("groupcache", "gb", "number", _NO_CACHE, applies=False),
    Key("groupcache", "host", "text", _NO_CACHE, applies=False),
    Key("groupcache", "peers", "texts", _NO_CACHE, applies=False),
    Key("groupcache", "instances", "texts", _NO_CACHE, applies=False),
    Key("mirror.*", "servers", "texts", "nothing is echoed; follow the mutation log or Kafka instead", applies=False),
)

_OURS: Final = (
    Key("dvidkit", "admin_token_file", "path", "file with the admin token; else `DVIDKIT_ADMIN_TOKEN`"),
    Key("dvidkit", "jwt_secret_file", "path", "file with the secret that tokens are signed with (32 bytes or more)"),
    Key("dvidkit", "public_read", "flag", "with tokens, whether reading needs none (false)"),
    Key("dvidkit", "problem_json", "flag", "answer errors as `application/problem+json` to everybody"),
    Key("dvidkit", "access_log", "text", "file for one line of JSON per request; `-` is standard error"),
    Key(
        "dvidkit",
        "log_format",
        "choice",
        "of log lines: `text` for people (default), `json` for programs",
        choices=("text", "json"),
    ),
    Key(
        "dvidkit",
        "log_level",
        "choice",
        "the least important lines that are logged (`info`)",
        choices=("debug", "info", "warning", "error"),
    ),
    Key("dvidkit", "connections", "number", "connections at once (10000, or what the system allows)", least=1),
    Key("dvidkit", "keep_alive", "seconds", "between two requests of a connection (75)"),
    Key("dvidkit", "headers_timeout", "seconds", "from the begin of a request to the end of its headers (10)"),
    Key("dvidkit", "body_timeout", "seconds", "between two pieces of a body (30)"),
    Key("dvidkit", "max_body", "number", "bytes of a body that is read whole (1 GiB)"),
    Key("dvidkit", "max_box", "number", "bytes of voxels that one request may ask for (1 GiB)"),
    Key("dvidkit", "max_memory", "number", "bytes of bodies and boxes that all requests may hold (4 GiB)"),
    Key("dvidkit", "workers", "number", "threads for requests that take long (8)", least=1),
    Key("dvidkit", "waiting", "number", "requests that may wait for a thread; more are answered 503 (256)"),
    Key("plugin.*", "*", "table", "settings of the installed plugin of this name"),
)

KEYS: Final = (*_SERVER, *_AUTH, *_SMALL, *_STORES, *_KAFKA, *_CACHES, *_OURS)
"""Every key, in the order of documentation."""
