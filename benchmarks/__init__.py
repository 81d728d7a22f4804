"""Programs that measure KPL Lab beside its peers, in the same run."""
