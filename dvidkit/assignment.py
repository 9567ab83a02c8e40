"""Which store keeps a new data instance: DVID's ``[backend]`` rules.

A rule is a text and the alias of a store. The first that fits, in this order, decides; the choice is recorded with the
instance, so that later rules do not lose its data.

==============================  ===================================================
rule                            fits
==============================  ===================================================
``<instance name>:<root uuid>``  this instance of this repo
``<tag>=<value>``               instances made with this tag
``<typename>``                  instances of this datatype
``default``                     all
==============================  ===================================================

Source: DVID ``storage/storage_local.go`` (``assignedStore``).
"""

from __future__ import annotations

from collections.abc import Mapping

from dvidkit.errors import BadConfig


class Assignment:
    """The rules of one kernel.

    Args:
        rules: by rule text, the alias of a store; ``metadata`` is the store of the metadata.
        aliases: the stores there are.

    Raises:
        BadConfig: a rule names a store that there is not.
    """

    def __init__(self, rules: Mapping[str, str], aliases: Mapping[str, object]) -> None:
        for rule, alias in rules.items():
            if alias not in aliases:
                raise BadConfig(f"rule {rule!r} names store {alias!r}, which is not configured", setting=rule)
        self._rules = dict(rules)
        self.default = rules.get("default") or ("default" if "default" in aliases else next(iter(aliases)))
        self.metadata = rules.get("metadata", self.default)

    def store_of(self, typename: str, name: str, root: str, tags: Mapping[str, str]) -> str:
        """The alias of the store for a new instance."""
        wanted = [f"{name}:{root}", *(f"{tag}={value}" for tag, value in tags.items()), typename]
        for rule in wanted:
            if rule in self._rules:
                return self._rules[rule]
        return self.default
