-- Buckets: which are public, and who owns a picture in them.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Who owns an object under its bucket's rule; null for nobody.
create function pixseek.owner_of(
  bucket pixseek.buckets, object_name text, storage_owner text, metadata jsonb
) returns text
language sql immutable
set search_path = ''
as $$
  select case bucket.owner_rule
    when 'storage_owner' then storage_owner
    when 'first_segment' then nullif(substring(object_name from '^([^/]+)/'), '')
    when 'metadata' then metadata ->> bucket.owner_metadata_key
  end;
$$;

-- Registers a bucket, or changes what is known of it; null leaves a thing as it is. One that is new, or that an
-- event names first, is of Supabase, private, with Storage's owners. A new rule holds at once: owners that the
-- index cannot tell by itself are emptied, so that a picture is hidden rather than shown to the wrong one, until its
-- object is recorded again.
create function public.put_bucket_v1(
  bucket_name text,
  provider text default null,
  is_public boolean default null,
  owner_rule text default null,
  owner_metadata_key text default null
) returns void
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_variable
declare
  old pixseek.buckets;
  new pixseek.buckets;
begin
  if bucket_name is null or bucket_name = '' then
    raise exception 'a bucket needs a name' using errcode = '22023', hint = 'Name it as storage does.';
  end if;
  perform pixseek.lock_registry();
  select * into old from pixseek.buckets b where b.name = bucket_name;
  provider := coalesce(provider, old.provider, 'supabase');
  is_public := coalesce(is_public, old.is_public, false);
  if owner_rule is null and owner_metadata_key is null then
    owner_metadata_key := old.owner_metadata_key;
  end if;
  owner_rule := coalesce(owner_rule, old.owner_rule, 'storage_owner');
  if provider not in ('supabase', 's3', 'gcs', 'local') then
    raise exception 'unknown provider: %', provider
      using errcode = '22023', hint = 'One of supabase, s3, gcs, local.';
  end if;
  if owner_rule not in ('none', 'storage_owner', 'first_segment', 'metadata')
    or (owner_rule = 'metadata') <> (owner_metadata_key is not null) then
    raise exception 'not an owner rule: % (metadata key: %)',
      owner_rule, coalesce(owner_metadata_key, 'none')
      using errcode = '22023',
        hint = 'One of none, storage_owner, first_segment, metadata; only metadata takes owner_metadata_key.';
  end if;

  insert into pixseek.buckets as b (name, provider, is_public, owner_rule, owner_metadata_key)
  values (bucket_name, provider, is_public, owner_rule, owner_metadata_key)
  on conflict (name) do update set
    provider = excluded.provider, is_public = excluded.is_public, owner_rule = excluded.owner_rule,
    owner_metadata_key = excluded.owner_metadata_key
  returning * into new;
  if (old.owner_rule, old.owner_metadata_key) is distinct from (new.owner_rule, new.owner_metadata_key) then
    perform pixseek.lock_images(array(select i.id from pixseek.images i where i.bucket = bucket_name));
    update pixseek.images i set owner = pixseek.owner_of(new, i.name, null, null)
    where i.bucket = bucket_name and i.owner is distinct from pixseek.owner_of(new, i.name, null, null);
  end if;
end
$$;

create function public.list_buckets_v1()
returns table (name text, provider text, is_public boolean, owner_rule text, owner_metadata_key text)
language sql stable
set search_path = ''
as $$
  select b.name, b.provider, b.is_public, b.owner_rule, b.owner_metadata_key
  from pixseek.buckets b
  order by b.name;
$$;

revoke execute on function pixseek.owner_of, public.put_bucket_v1, public.list_buckets_v1
from public, anon, authenticated;
grant execute on function pixseek.owner_of, public.put_bucket_v1, public.list_buckets_v1 to service_role;
