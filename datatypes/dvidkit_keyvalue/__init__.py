"""The ``keyvalue`` datatype: values of any bytes under names."""
