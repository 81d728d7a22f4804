"""Starts the platform's own processes, restarts what dies, adopts what goes on, ends them all."""
