"""Deploys what lies in a Supabase project: the database API, buckets, policies, the webhook's trigger."""
