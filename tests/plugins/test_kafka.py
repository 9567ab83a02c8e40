"""The publisher of mutations, against the mock cluster that confluent-kafka brings along."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from dvidkit import branching
from dvidkit.datatype import Datatype
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, BadKey, VersionLocked
from dvidkit.hookspecs import hookimpl
from dvidkit.kernel import Kernel
from dvidkit.keys import TKeyClass
from dvidkit.plugins import Plugins

kafka = pytest.importorskip("confluent_kafka")
pytest.importorskip("lmdb")

LIMIT = 980 * 1024


class Tally(Datatype):
    typename = "tally"
    COUNT = TKeyClass(200, "count of a name", terminator=0)
    tkey_classes = (COUNT,)

    def set(self, name: str, **fields: Any) -> None:
        with self.mutation("settally", user="ann", app="tests") as m:
            m.put(self.COUNT.key(name.encode()), b"")
            m.log(Name=name, **fields)


class Types:
    @hookimpl
    def dvidkit_datatypes(self) -> Iterable[type[Datatype]]:
        return [Tally]


class Cluster:
    """A mock cluster in this process; other processes reach it by its address."""

    def __init__(self) -> None:
        self._host = kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused"})
        broker = next(iter(self._host.list_topics(timeout=20).brokers.values()))
        self.address = f"{broker.host}:{broker.port}"

    def topics(self) -> set[str]:
        """Names of all topics."""
        return {name for name in self._host.list_topics(timeout=20).topics if not name.startswith("__")}

    def messages(self, topic: str) -> list[Any]:
        """Every message of a topic, in the order of their times."""
        consumer = kafka.Consumer(
            {
                "bootstrap.servers": self.address,
                "group.id": "tests",
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
            }
        )
        partitions = list(self._host.list_topics(topic, timeout=20).topics[topic].partitions)
        consumer.assign([kafka.TopicPartition(topic, number, kafka.OFFSET_BEGINNING) for number in partitions])
        found, ended, deadline = [], set(), time.monotonic() + 30
        while len(ended) < len(partitions):
            assert time.monotonic() < deadline
            message = consumer.poll(1)
            if message is None:
                continue
            if message.error():
                assert message.error().code() == kafka.KafkaError._PARTITION_EOF
                ended.add(message.partition())
            else:
                found.append(message)
        consumer.close()
        return sorted(found, key=lambda message: int(message.key()))

    def values(self, topic: str) -> list[dict[str, Any]]:
        """What the messages of a topic say."""
        return [json.loads(message.value()) for message in self.messages(topic)]


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """One for all tests: topics are named after repos, which differ."""
    return Cluster()


def opened(path: Any, cluster: Cluster, **settings: Any) -> Kernel:
    """A kernel that publishes."""
    plugins = Plugins({"types": Types()})
    plugins.configure({"kafka": {"servers": [cluster.address], **settings}})
    return Kernel(StoreConfig("lmdb", str(path)), plugins=plugins)


def made(kernel: Kernel) -> Any:
    """The tally of the kernel's only repo, made if need be."""
    repo = kernel.repos.create("r") if not len(kernel.repos) else next(iter(kernel.repos))
    if "t" not in repo.instances:
        repo.create_instance("tally", "t")
    return repo.head()["t"]


# --- topics and messages ---------------------------------------------------------------------------------------------


def test_repo_operations_are_published_as_dvid_does(tmp_path: Any, cluster: Cluster) -> None:
    """Each kind of change of a repo, under DVID's names of topic, action and fields; nothing for refused ones."""
    kernel = opened(tmp_path / "s", cluster)
    root = made(kernel).node
    repo = root.repo
    repo.set_note(root, "n")
    repo.add_log(root, ["l1", "l2"])
    root.commit("done", ["l3"])
    child = root.new_version("next")
    side = root.make_branch("side", "aside")
    branching.tag(root, "v1", "first")
    for refused in (lambda: root.commit(), lambda: root.new_version(), lambda: repo.set_note(root, "no")):
        with pytest.raises(Exception, match=r"committed|already"):
            refused()
    child.commit()
    side.commit()
    merged = repo.merge([child, side], "together")
    kernel.close(patience=30)
    messages = cluster.values(repo_topic_of(repo.uuid))
    plain = [{name: value for name, value in each.items() if name != "Timestamp"} for each in messages]
    assert plain == [
        {"Action": "newrepo", "UUID": repo.uuid, "Alias": "r"},
        {"Action": "newinstance", "UUID": root.uuid, "Typename": "tally", "Dataname": "t"},
        {"Action": "nodenote", "UUID": root.uuid, "Note": "n"},
        {"Action": "nodelog", "UUID": root.uuid, "Log": ["l1", "l2"]},
        {"Action": "commit", "UUID": root.uuid, "Note": "done", "Log": ["l3"]},
        {"Action": "newversion", "Parent": root.uuid, "Child": child.uuid, "Note": "next"},
        {"Action": "branch", "Parent": root.uuid, "Child": side.uuid, "Branch": "side", "Note": "aside"},
        {"Action": "tag", "Parent": root.uuid, "Child": "v1", "Branch": "tag-v1", "Tag": "v1", "Note": "first"},
        {"Action": "commit", "UUID": child.uuid, "Note": "", "Log": []},
        {"Action": "commit", "UUID": side.uuid, "Note": "", "Log": []},
        {"Action": "merge", "Parents": [child.uuid, side.uuid], "Child": merged.uuid, "Note": "together"},
    ]


def repo_topic_of(uuid: str, prefix: str = "") -> str:
    """Where changes of a repo go."""
    return f"{prefix}dvidrepo-{uuid}-repo-ops"


def test_mutations_go_to_the_topic_of_their_instance(tmp_path: Any, cluster: Cluster) -> None:
    """With prefix and suffix, the time in nanoseconds as key, and who asked; nothing of refused or failed ones."""
    with opened(tmp_path / "s", cluster) as kernel:
        tally = made(kernel)
        uuid, root = tally.instance.uuid, tally.node.uuid
    kernel = opened(tmp_path / "s", cluster, topicPrefix="lab.", topicSuffixes=[f"{uuid}:mine", "0:other"])
    tally = made(kernel)
    tally.set("a")
    with pytest.raises(BadKey):
        tally.set("a\0b")
    tally.set("b", Size=3)
    tally.node.commit()
    with pytest.raises(VersionLocked):
        tally.set("c")
    store = tally.store.record.uuid
    kernel.close(patience=30)
    messages = cluster.messages(f"lab.dvidrepo-{root}-data-{uuid}-mine")
    values = [json.loads(message.value()) for message in messages]
    assert [value.pop("Timestamp")[:2] for value in values] == ["20", "20"]
    shared = {"Action": "settally", "UUID": root, "User": "ann", "App": "tests"}
    assert values == [{**shared, "Name": "a"}, {**shared, "Name": "b", "Size": 3}]
    assert all(abs(int(message.key()) - time.time_ns()) < 600e9 for message in messages)
    assert [dict(message.headers())["dvidkit-store"].decode() for message in messages] == [store] * 2
    assert [value["Action"] for value in cluster.values(repo_topic_of(root, "lab."))] == ["commit"]


def test_a_long_message_refers_to_a_blob(tmp_path: Any, cluster: Cluster) -> None:
    """Up to 980 KiB a message is whole; of a longer one the largest fields are left out, and a blob has all of it."""
    kernel = opened(tmp_path / "s", cluster)
    tally = made(kernel)
    tally.set("whole", Text="x" * (LIMIT - 300))
    tally.set("long", Text="y" * LIMIT, Size=LIMIT)
    topic = f"dvidrepo-{tally.node.uuid}-data-{tally.instance.uuid}"
    assert kernel.feeds.finish(30)
    whole, long = cluster.values(topic)
    assert len(whole["Text"]) == LIMIT - 300
    assert "Text" not in long
    assert (long["Name"], long["Size"]) == ("long", LIMIT)
    blob = json.loads(tally.store.get_blob(long.pop("DataRef")))
    assert blob.pop("Text") == "y" * LIMIT
    assert blob == long
    kernel.close()


def test_answered_requests_are_published(tmp_path: Any, cluster: Cluster) -> None:
    """To the topic of activity, of a name that Kafka takes; not at all if that is not wanted."""
    activity = {"time": 1, "status": 200, "uri": "/api/help"}
    for host, wanted in (("a b:8000", True), ("silent", False)):
        with opened(tmp_path / "s", cluster, host=host, activity=wanted) as kernel:
            kernel.plugins.manager.hook.dvidkit_activity(kernel=kernel, activity=activity)
    assert cluster.values("dvidactivity-a-b-8000") == [activity]
    assert "dvidactivity-silent" not in cluster.topics()


# --- configuration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"servers": []}, "servers"),
        ({}, "servers"),
        ({"servers": "one:1"}, "array"),
        ({"servers": ["one:1"], "topicPrefix": "a/b"}, "a/b"),
        ({"servers": ["one:1"], "topicSuffixes": ["nocolon"]}, "nocolon"),
        ({"servers": ["one:1"], "topicSuffixes": ["u:a b"]}, "a b"),
        ({"servers": ["one:1"], "topicActivity": "x" * 101}, "xxx"),
        ({"servers": ["one:1"], "unheard": 1}, "unheard"),
        ({"servers": ["one:1"], "options": {"acks": 0}}, "acks"),
        ({"servers": ["one:1"], "options": {"max.in.flight": 5}}, "max.in.flight"),
        ({"servers": ["one:1"], "options": {"no.such.option": 5}}, "no.such.option"),
        ({"servers": ["one:1"], "secProtocol": "sasl_nothing"}, "security.protocol"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], word: str) -> None:
    """Before a kernel is opened, naming what is wrong."""
    with pytest.raises(BadConfig, match=word):
        Plugins().configure({"kafka": settings})


def test_security_settings_reach_the_driver() -> None:
    """DVID's names for them, which DVID's own program does not read."""
    from dvidkit_kafka.config import KafkaConfig

    settings = KafkaConfig.parse(
        {
            "servers": ["a:1", "b:2"],
            "secProtocol": "SASL_SSL",
            "saslMechanisms": "PLAIN",
            "saslUsername": "me",
            "saslPassword": "hush",
            "bufferSize": 7,
            "options": {"compression.type": "lz4"},
        }
    ).producer()
    wanted = {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "me",
        "sasl.password": "hush",
        "queue.buffering.max.messages": 7,
        "compression.type": "lz4",
        "acks": "all",
    }
    assert {name: settings[name] for name in wanted} == wanted


# --- at least once ---------------------------------------------------------------------------------------------------


def free_port() -> int:
    """A port nobody listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_writers_do_not_wait_for_brokers(tmp_path: Any, cluster: Cluster) -> None:
    """With no broker there, writes go on and closing is quick; later everything is published once and in order."""
    names = [str(n) for n in range(50)]
    nowhere = opened(tmp_path / "s", cluster, servers=[f"127.0.0.1:{free_port()}"])
    tally = made(nowhere)
    for name in names:
        tally.set(name)
    begun = time.monotonic()
    nowhere.close(patience=0.5)
    assert time.monotonic() - begun < 10
    kernel = opened(tmp_path / "s", cluster)
    assert kernel.feeds.finish(60)
    kernel.close()
    values = cluster.values(f"dvidrepo-{tally.node.uuid}-data-{tally.instance.uuid}")
    assert [value["Name"] for value in values] == names


CHILD = """
import os, signal, sys
sys.path[:0] = {path!r}
import test_kafka as lab
from dvidkit import feed

class Address:
    address = {address!r}

kernel = lab.opened({store!r}, Address)
tally = lab.made(kernel)
print(tally.node.uuid, tally.instance.uuid, flush=True)
if {kill_at_cursor}:
    write, calls = feed.Cursor.write, [0]
    def dying(self, number):
        calls[0] += 1
        if calls[0] == {kill_at_cursor}:
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, number)
    feed.Cursor.write = dying
number = {first}
while True:
    tally.set(str(number))
    print(number, flush=True)
    number += 1
"""


def run_child(tmp_path: Any, cluster: Cluster, first: int, *, kill_at_cursor: int, seconds: float) -> list[str]:
    """Write and publish in a process that is killed: by itself before a cursor is written, or after a time."""
    code = CHILD.format(
        path=[str(Path(__file__).parent)],
        address=cluster.address,
        store=str(tmp_path / "s"),
        kill_at_cursor=kill_at_cursor,
        first=first,
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        header = process.stdout.readline()
        if kill_at_cursor:
            timer = 30.0
        else:
            time.sleep(seconds)
            process.kill()
            timer = 10.0
        out = process.communicate(timeout=timer)[0]
        assert process.returncode == -signal.SIGKILL
    return [header, *out.splitlines()]


def test_what_a_killed_publisher_owed_is_published(tmp_path: Any, cluster: Cluster) -> None:
    """Killed between the brokers' answer and the record of it, or anywhere: nothing written is missing, in order."""
    written: list[str] = []
    topic = ""
    for turn in range(6):
        header, *numbers = run_child(
            tmp_path,
            cluster,
            len(written) + turn,
            kill_at_cursor=(turn + 2) if turn % 2 else 0,
            seconds=0.05 + 0.15 * turn,
        )
        root, data = header.split()
        topic = f"dvidrepo-{root}-data-{data}"
        written += numbers
    kernel = opened(tmp_path / "s", cluster)
    assert kernel.feeds.finish(60)
    kernel.close()
    assert written
    messages = cluster.messages(topic)
    stored = {json.loads(message.value())["Name"] for message in messages}
    assert set(written) <= stored
    by_number: dict[int, set[bytes]] = {}
    for message in messages:
        by_number.setdefault(int(dict(message.headers())["dvidkit-number"]), set()).add(message.key())
    assert all(len(keys) == 1 for keys in by_number.values())
    assert len(messages) > len(by_number)
