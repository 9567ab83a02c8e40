"""The my-engine storage engine for dvidkit."""
