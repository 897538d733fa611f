"""Oblivious transfer between two parties, and what any number of parties make of it."""
