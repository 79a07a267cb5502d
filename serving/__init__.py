"""Scores members and decides what, if anything, to send them."""
