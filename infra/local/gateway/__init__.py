"""What stands in for Supabase's gateway: functions by REST, Storage, Auth, and the database webhook."""
