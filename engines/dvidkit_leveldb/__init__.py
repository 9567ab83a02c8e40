"""The ``leveldb`` engine: a log-structured store in many small files (LevelDB through plyvel)."""
