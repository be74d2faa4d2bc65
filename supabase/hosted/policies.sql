-- What signed-in users may do in Storage, in the buckets that a deployment was told of. Not a migration: a project may
-- have policies of its own, which this leaves alone; policies add up. `make deploy-supabase` applies it where it differs
-- from what is there. By hand: again is fine; it covers the buckets whose has_policies is true in pixseek.buckets, and
-- that an event names a bucket does not make it so.
--
-- Of such a bucket whose owner rule is storage_owner or first_segment, a user may
--   read      the own objects, and, of a public bucket, all;
--   upload    into the own folder: <the user's id>/…;
--   overwrite and move    the own objects, within that folder;
--   delete    the own objects.
-- An object is one's own as the search takes it. The rules none and metadata let nobody in but the service key: who
-- writes metadata could name whomever.
--
-- Away with it (the last line, so that `pixseek doctor` does not miss them):
--   drop policy pixseek_read on storage.objects;
--   drop policy pixseek_upload on storage.objects;
--   drop policy pixseek_overwrite on storage.objects;
--   drop policy pixseek_delete on storage.objects;
--   drop function pixseek.buckets_owned_by(text);
--   update pixseek.buckets set has_policies = false;

begin;

-- Rather fail and be run again than make uploads wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Security definer: users do not see the rows of private buckets. It tells no more than which rule each has.
create or replace function pixseek.buckets_owned_by(rule text) returns text[]
language sql stable security definer
set search_path = ''
as $$
  select array_agg(b.name) from pixseek.buckets b
  where b.has_policies and b.provider = 'supabase' and b.owner_rule = rule;
$$;

revoke execute on function pixseek.buckets_owned_by(text) from public, anon, service_role;
grant execute on function pixseek.buckets_owned_by(text) to authenticated;

drop policy if exists pixseek_read on storage.objects;
drop policy if exists pixseek_upload on storage.objects;
drop policy if exists pixseek_overwrite on storage.objects;
drop policy if exists pixseek_delete on storage.objects;

-- Each subquery runs once a statement.
create policy pixseek_read on storage.objects for select to authenticated using (
  bucket_id = any ((select pixseek.buckets_owned_by('storage_owner'))::text[])
    and owner_id = (select auth.uid())::text
  or bucket_id = any ((select pixseek.buckets_owned_by('first_segment'))::text[])
    and (storage.foldername(name))[1] = (select auth.uid())::text
  or bucket_id = any ((
    select array_agg(b.name) from pixseek.buckets b
    where b.has_policies and b.is_public and b.provider = 'supabase'
  )::text[])
);

create policy pixseek_upload on storage.objects for insert to authenticated with check (
  (
    bucket_id = any ((select pixseek.buckets_owned_by('storage_owner'))::text[])
    or bucket_id = any ((select pixseek.buckets_owned_by('first_segment'))::text[])
  )
  and (storage.foldername(name))[1] = (select auth.uid())::text
);

create policy pixseek_overwrite on storage.objects for update to authenticated using (
  bucket_id = any ((select pixseek.buckets_owned_by('storage_owner'))::text[])
    and owner_id = (select auth.uid())::text
  or bucket_id = any ((select pixseek.buckets_owned_by('first_segment'))::text[])
    and (storage.foldername(name))[1] = (select auth.uid())::text
) with check (
  (
    bucket_id = any ((select pixseek.buckets_owned_by('storage_owner'))::text[])
    or bucket_id = any ((select pixseek.buckets_owned_by('first_segment'))::text[])
  )
  and (storage.foldername(name))[1] = (select auth.uid())::text
);

create policy pixseek_delete on storage.objects for delete to authenticated using (
  bucket_id = any ((select pixseek.buckets_owned_by('storage_owner'))::text[])
    and owner_id = (select auth.uid())::text
  or bucket_id = any ((select pixseek.buckets_owned_by('first_segment'))::text[])
    and (storage.foldername(name))[1] = (select auth.uid())::text
);

commit;
