"""Walks through what goes wrong, with real output: pages are made of them, tests check them."""
