"""How sharp is the kit? Small changes are made to the kernel and the reference engine, and each should be caught."""
