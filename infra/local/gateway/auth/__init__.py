"""Supabase's Auth, as far as signing in needs it."""
