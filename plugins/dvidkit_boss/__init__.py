"""bossDB's volume API over the service, for programs that were written for it."""
