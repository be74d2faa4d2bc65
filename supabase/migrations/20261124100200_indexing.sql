-- Keeping the index in step with the bucket. Every call may come twice, late or out of order: the object's
-- ordering key decides, and a removal leaves a tombstone that an older write cannot bring back.
-- Each answers where the picture stands now: pending, indexed, failed, deleted, or outdated (nothing changed).

select set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), false)
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector';

-- What Supabase Storage has under a name now. The row in storage is the truth, an event only a hint.
create function public.stored_object_v1(bucket_name text, object_name text)
returns table (version text, owner text, size_bytes bigint, updated_at timestamptz)
language sql stable
set search_path = ''
as $$
  select o.version, o.owner_id, (o.metadata ->> 'size')::bigint, o.updated_at
  from storage.objects o
  where o.bucket_id = bucket_name and o.name = object_name
    -- A row without them was not written by Storage: there are no bytes.
    and o.version is not null and o.metadata ? 'size';
$$;

-- Locks the row of an object, made when it is new; null when the index knows something newer.
create function pixseek.lock_image(bucket_name text, object_name text, object_key text) returns pixseek.images
language plpgsql
set search_path = ''
as $$
declare
  image pixseek.images;
begin
  insert into pixseek.images (bucket, name, ordering_key, state)
  values (bucket_name, object_name, object_key, 'pending')
  on conflict (bucket, name) do nothing;
  select * into image from pixseek.images i
  where i.bucket = bucket_name and i.name = object_name
  for update;
  if image.ordering_key > object_key collate "C" then
    return null;
  end if;
  return image;
end
$$;

-- Puts a picture on record. Bytes that already have a vector of this model get a copy of it.
create function public.record_image_v1(
  bucket_name text, object_name text, object_owner text, object_version text, object_key text,
  object_size bigint, object_hash text, object_type text, image_width integer, image_height integer,
  model_name text
) returns text
language plpgsql
set search_path = ''
as $$
declare
  image pixseek.images := pixseek.lock_image(bucket_name, object_name, object_key);
  model pixseek.models := pixseek.model_named(model_name);
  standing text;
begin
  if image.id is null or (image.state = 'deleted' and image.ordering_key = object_key) then
    return 'outdated';
  end if;
  if image.content_hash is distinct from object_hash then
    delete from pixseek.vectors v where v.image_id = image.id;
  end if;

  insert into pixseek.vectors (model_id, image_id, embedding)
  select v.model_id, image.id, v.embedding
  from pixseek.images twin
  join pixseek.vectors v on v.image_id = twin.id and v.model_id = model.id
  where twin.content_hash = object_hash
  limit 1
  on conflict do nothing;

  update pixseek.images i set
    owner = object_owner, version = object_version, ordering_key = object_key, size_bytes = object_size,
    content_hash = object_hash, content_type = object_type, width = image_width, height = image_height,
    state = case
      when exists (select from pixseek.vectors v where v.model_id = model.id and v.image_id = image.id)
      then 'indexed' else 'pending' end,
    reason = null, updated_at = now()
  where i.id = image.id
  returning i.state into standing;
  return standing;
end
$$;

-- Makes a recorded picture searchable, unless its bytes have changed since it was recorded.
create function public.store_vector_v1(
  bucket_name text, object_name text, object_hash text, model_name text, embedding vector
) returns text
language plpgsql
set search_path from current
as $$
declare
  model pixseek.models := pixseek.model_named(model_name);
  image pixseek.images;
begin
  perform pixseek.check_vector(embedding, model);
  select * into image from pixseek.images i
  where i.bucket = bucket_name and i.name = object_name and i.content_hash = object_hash
    and i.state in ('pending', 'indexed')
  for update;
  if not found then
    return 'outdated';
  end if;

  insert into pixseek.vectors (model_id, image_id, embedding)
  values (model.id, image.id, store_vector_v1.embedding::halfvec)
  on conflict (model_id, image_id) do update set embedding = excluded.embedding;
  update pixseek.images i set state = 'indexed', updated_at = now() where i.id = image.id;
  return 'indexed';
end
$$;

-- Keeps an object that cannot be embedded on record, with the reason. The hash is null when it was not read.
create function public.fail_image_v1(
  bucket_name text, object_name text, object_owner text, object_version text, object_key text,
  object_size bigint, object_hash text, failure_reason text
) returns text
language plpgsql
set search_path = ''
as $$
declare
  image pixseek.images := pixseek.lock_image(bucket_name, object_name, object_key);
begin
  if image.id is null or (image.state = 'deleted' and image.ordering_key = object_key) then
    return 'outdated';
  end if;
  delete from pixseek.vectors v where v.image_id = image.id;
  update pixseek.images i set
    owner = object_owner, version = object_version, ordering_key = object_key, size_bytes = object_size,
    content_hash = object_hash, content_type = null, width = null, height = null,
    state = 'failed', reason = failure_reason, updated_at = now()
  where i.id = image.id;
  return 'failed';
end
$$;

-- Takes an object out of the index and leaves a tombstone, also for one that was never seen.
create function public.remove_image_v1(bucket_name text, object_name text, object_key text) returns text
language plpgsql
set search_path = ''
as $$
declare
  image pixseek.images := pixseek.lock_image(bucket_name, object_name, object_key);
begin
  if image.id is null then
    return 'outdated';
  end if;
  delete from pixseek.vectors v where v.image_id = image.id;
  update pixseek.images i set
    ordering_key = object_key, content_hash = null, state = 'deleted', reason = null, updated_at = now()
  where i.id = image.id;
  return 'deleted';
end
$$;

revoke execute on function
  public.stored_object_v1, public.record_image_v1, public.store_vector_v1, public.fail_image_v1,
  public.remove_image_v1, pixseek.lock_image
from public, anon, authenticated;
grant execute on function
  public.stored_object_v1, public.record_image_v1, public.store_vector_v1, public.fail_image_v1,
  public.remove_image_v1, pixseek.lock_image
to service_role;

reset search_path;
