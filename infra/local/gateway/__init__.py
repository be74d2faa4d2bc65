"""What stands in for Supabase's gateway: functions by REST, Storage, and the database webhook."""
