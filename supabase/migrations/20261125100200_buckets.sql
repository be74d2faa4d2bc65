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

-- Registers a bucket, or changes what is known of it. One that an event names first is registered as private,
-- with Storage's owners. A new rule holds at once: owners that the index cannot tell by itself are emptied, so
-- that a picture is hidden rather than shown to the wrong one, until its object is recorded again.
create function public.put_bucket_v1(
  bucket_name text,
  provider text default 'supabase',
  is_public boolean default false,
  owner_rule text default 'storage_owner',
  owner_metadata_key text default null
) returns void
language plpgsql
set search_path = ''
as $$
#variable_conflict use_variable
declare
  old pixseek.buckets;
  new pixseek.buckets;
begin
  if bucket_name is null or bucket_name = '' then
    raise exception 'a bucket needs a name' using errcode = '22023', hint = 'Name it as storage does.';
  end if;
  if not coalesce(provider in ('supabase', 's3', 'gcs', 'local'), false) then
    raise exception 'unknown provider: %', coalesce(provider, 'null')
      using errcode = '22023', hint = 'One of supabase, s3, gcs, local.';
  end if;
  if not coalesce(owner_rule in ('none', 'storage_owner', 'first_segment', 'metadata'), false)
    or (owner_rule = 'metadata') <> (owner_metadata_key is not null) then
    raise exception 'not an owner rule: % (metadata key: %)',
      coalesce(owner_rule, 'null'), coalesce(owner_metadata_key, 'none')
      using errcode = '22023',
        hint = 'One of none, storage_owner, first_segment, metadata; only metadata takes owner_metadata_key.';
  end if;

  select * into old from pixseek.buckets b where b.name = bucket_name for no key update;
  insert into pixseek.buckets as b (name, provider, is_public, owner_rule, owner_metadata_key)
  values (bucket_name, provider, coalesce(is_public, false), owner_rule, owner_metadata_key)
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
