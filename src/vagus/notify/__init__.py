"""Telling people: which entries of the ledger are news, in which words, and getting them there."""
