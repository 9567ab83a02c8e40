"""The ``filesystem`` engine: journals in a directory, an index in memory, nothing but Python.

A write is one record appended to the newest journal; its values stay where they were written. When the store is opened
the records are read (of long values only where they lie) and make up the index. Journals of which much has been
overwritten or deleted are cleaned: what still counts is written again at the end, then the file goes.

====================  =================================================================================================
in ``data/``          what it is
====================  =================================================================================================
``journal-00000007``  batches in the order they were written, keys and values; see ``journal``
``manifest``          which journals make up the store, how long the finished ones are, which one is written to
``acknowledged``      how far the newest journal was known to be on disk, and whether the store was closed; see ``mark``
====================  =================================================================================================

Any other file there is left from a step that was interrupted, and is removed when the store is opened.
"""
