"""The conformance kit: proves engines and datatypes against the written specification in ``spec/``."""
