"""One reconciler per kind of thing: each call brings one thing closer to what is wanted of it."""
