"""The ``lmdb`` engine: a memory-mapped B+tree (LMDB 0.9 through py-lmdb). dvidkit's embedded default."""
