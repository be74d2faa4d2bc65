"""The database API: one remote procedure call an act, through postgrest."""

from shared.database.api import Database

__all__ = ["Database"]
