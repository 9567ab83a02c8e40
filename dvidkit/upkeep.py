"""Changes to existing instances and repos: names, syncs, tags, and deletion that survives interruption.

A deletion is first recorded: from that moment the thing is gone for every reader. Its data is removed afterwards, in
batches, by ``Deletions``; if the process ends before that is done, the next one goes on from the record.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dvidkit import records
from dvidkit.context import DataContext
from dvidkit.deferred import logger
from dvidkit.errors import BadConfig, InstanceExists, InvalidInputError, StoreClosed, UnknownInstance, UnknownUUID
from dvidkit.instance import DataInstance
from dvidkit.metadata import now
from dvidkit.mutationlog import MutationLog
from dvidkit.passcodes import check_passcode
from dvidkit.records import InstanceRecord
from dvidkit.repo import Repo

if TYPE_CHECKING:
    from dvidkit.datatype import Datatype
    from dvidkit.repos import Repos

_LOG: Final = logger("dvidkit.kernel.upkeep")


def rename_instance(instance: DataInstance, name: str, passcode: str = "") -> None:
    """Give a data instance another name. Its data UUID, and what is synced to it, stay.

    Raises:
        InstanceExists, InvalidInputError, NotAllowed: nothing was changed.
    """
    from dvidkit.repos import check_name

    repo = instance.repo
    check_name(name)
    with repo.repos.lock:
        check_passcode(repo.record.passcode, passcode)
        _check_there(instance)
        if name in repo.instances:
            raise InstanceExists(f"repo {repo.uuid} has a data instance {name!r} already", name=name)
        old = instance.name
        _write(instance, msgspec.structs.replace(instance.record, name=name))
        repo.instances[name] = instance
        del repo.instances[old]


def set_syncs(instance: DataInstance, names: Sequence[str], *, replace: bool = False) -> None:
    """Have the instance answer the events of others of its repo; without ``replace`` they are added.

    Nothing that was written before is told again.

    Raises:
        UnknownInstance: a name is not of the repo.
        InvalidInputError: the instance itself, or one that tells nothing this datatype answers.
    """
    repo = instance.repo
    with repo.repos.lock:
        _check_there(instance)
        sources = check_syncs(repo, instance.datatype, instance.name, names)
        for source in sources:
            repo.repos.kernel.feeds.follow(source, instance)
        kept = () if replace else instance.record.syncs
        syncs = tuple(dict.fromkeys((*kept, *(source.uuid for source in sources))))
        _write(instance, msgspec.structs.replace(instance.record, syncs=syncs))


def check_syncs(repo: Repo, datatype: type[Datatype], name: str, sources: Sequence[str]) -> list[DataInstance]:
    """The instances that one of this datatype and name would be synced to.

    Raises:
        UnknownInstance, InvalidInputError: see ``set_syncs``.
    """
    found = [repo.instance(source) for source in sources]
    for source in found:
        if source.name == name or not source.datatype.emits & datatype.consumes:
            raise InvalidInputError(
                f"{datatype.typename} {name!r} cannot be synced to {source.datatype.typename} {source.name!r}"
            )
    return found


def _check_there(instance: DataInstance) -> None:
    """Raise ``UnknownInstance`` if the instance was deleted meanwhile."""
    if instance.repo.instances.get(instance.name) is not instance or instance.repo.record.deleted:
        raise UnknownInstance(f"data instance {instance.name!r} was deleted", name=instance.name)


def set_tags(instance: DataInstance, tags: Mapping[str, str], *, replace: bool = False) -> None:
    """Set free names and values of the instance; without ``replace`` others stay."""
    if not all(isinstance(text, str) for pair in tags.items() for text in pair):
        raise BadConfig("tags are texts by text", setting="tags")
    merged = dict(tags) if replace else {**instance.settings.tags, **tags}
    change_settings(instance, tags=merged)


def change_settings(instance: DataInstance, **changes: Any) -> None:
    """Change settings of an instance; they hold for all versions.

    Raises:
        BadConfig: an unknown setting or a value that does not fit; nothing was changed.
    """
    with instance.repo.repos.lock:
        _check_there(instance)
        settings = instance.datatype.settings.parse({**instance.record.settings, **changes})
        _write(instance, msgspec.structs.replace(instance.record, settings=settings.to_builtins()))
        instance.settings = settings


def _write(instance: DataInstance, record: InstanceRecord, action: str = "") -> None:
    change = instance.repo.repos.metadata.change()
    change.put_instance(instance.repo.id, record)
    if action:
        change.log(action, instance.repo.record, Dataname=record.name, DataUUID=record.uuid)
    change.write()
    instance.record = record


def delete_instance(instance: DataInstance, passcode: str = "") -> None:
    """Delete a data instance with its data in every version. Returns when it is gone for readers.

    Raises:
        NotAllowed: the repo has a passcode, and it is another.
    """
    repo = instance.repo
    with repo.repos.lock:
        check_passcode(repo.record.passcode, passcode)
        _check_there(instance)
        _write(instance, msgspec.structs.replace(instance.record, deleted=True), "deleteinstance")
        del repo.instances[instance.name]
    repo.repos.deletions.add(repo, instance)


def delete_repo(repo: Repo, passcode: str = "") -> None:
    """Delete a repo with all its versions and data. Returns when it is gone for readers.

    Raises:
        NotAllowed: the repo has a passcode, and it is another.
    """
    repos = repo.repos
    with repos.lock:
        check_passcode(repo.record.passcode, passcode)
        if repo.record.deleted:
            raise UnknownUUID(f"repo {repo.uuid} was deleted", uuid=repo.uuid)
        record = msgspec.structs.replace(repo.record, deleted=True, updated=now())
        change = repos.metadata.change()
        change.put_repo(record)
        change.log("deleterepo", record)
        change.write()
        repo.record = record
        repos.forget(repo)
    repos.deletions.add(repo, None)


_LOOK_UP_SECONDS: Final = 0.1
"""How long a deletion that waits for mutations takes to see that the process is to end."""


class Deletions:
    """Removes the data of what was deleted, one thing after another, in a thread that ends when all is done."""

    def __init__(self, repos: Repos) -> None:
        self._repos = repos
        self._todo: list[tuple[Repo, DataInstance | None]] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def add(self, repo: Repo, instance: DataInstance | None) -> None:
        """Remove the data of an instance, or of a whole repo."""
        with self._changed:
            self._todo.append((repo, instance))
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="dvidkit-deletions", daemon=True)
                self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until everything deleted so far is removed; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._todo, seconds)

    def stop(self) -> None:
        """Stop after the batch at hand; the next process goes on."""
        with self._changed:
            self._stopped = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._todo or self._stopped:
                    self._thread = None
                    self._changed.notify_all()
                    return
                repo, instance = self._todo[0]
            try:
                self._remove(repo, instance)
            except StoreClosed:
                self.stop()
            except Exception:
                _LOG.exception("the data of %s is left for the next start", instance or repo)
            with self._changed:
                if not self._stopped:
                    self._todo.pop(0)
                self._changed.notify_all()

    def _remove(self, repo: Repo, instance: DataInstance | None) -> None:
        if instance is not None:
            self._remove_data(instance)
            with self._repos.lock:
                change = self._repos.metadata.change()
                change.delete_tkey(records.instance_tkey(repo.id, instance.id))
                change.write()
            return
        for each in list(repo.instances.values()):
            self._remove_data(each)
        with self._repos.lock:
            change = self._repos.metadata.change()
            for each in repo.instances.values():
                change.delete_tkey(records.instance_tkey(repo.id, each.id))
            for version in repo.nodes:
                change.delete_tkey(records.node_tkey(repo.id, version))
            change.delete_tkey(records.repo_tkey(repo.id))
            change.write()

    def _remove_data(self, instance: DataInstance) -> None:
        """Remove the rows, once the mutations that were under way have ended; later ones are refused."""
        while not instance.users.gone(_LOOK_UP_SECONDS):
            if self._stopped:
                raise StoreClosed("the deletion was stopped")
        instance.store.delete_all(DataContext(instance.id), stop=lambda: self._stopped)
        MutationLog(instance.store).forget(instance.id)
