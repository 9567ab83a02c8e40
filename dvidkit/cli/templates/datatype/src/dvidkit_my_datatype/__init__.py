"""The my-datatype datatype for dvidkit."""
