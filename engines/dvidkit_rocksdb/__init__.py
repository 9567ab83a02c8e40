"""The ``rocksdb`` engine: a log-structured store for large stores and many writers (RocksDB through rocksdict)."""
