"""Storage events, decoded once: every payload becomes `ObjectEvent`s here and nowhere else.

A module for each sender: an entry imports what it serves.
"""
