-- Keeping the index in step with the bucket, up to 500 images a call. Every call may come twice, late or out of
-- order: the object's ordering key decides, and a removal leaves a tombstone that an older write cannot bring
-- back. Locks are taken in one order, so that calls wait for each other and never deadlock: the registry, images
-- by (bucket, name), work, leases by content hash.
--
-- Each call answers, in the order of its input, where every image stands under the model now:
--   pending   on record, and the caller's to embed: store_vectors_v1 is awaited
--   waiting   on record; somebody else is embedding the same bytes, and this image gets that vector
--   indexed   searchable
--   failed    on record with the reason why it cannot be embedded
--   blocked   on record, and shown to nobody
--   deleted   gone
--   outdated  the index knows something newer; nothing was changed

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

select set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), false)
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector';

create type pixseek.image_input as (
  place bigint,
  bucket text,
  name text,
  owner text,
  metadata jsonb,
  version text,
  ordering_key text,
  size_bytes bigint,
  content_hash text,
  content_type text,
  width integer,
  height integer,
  taken_at timestamptz,
  created_at timestamptz,
  reason text
);

-- What Supabase Storage has under some names of a bucket now. The row in storage is the truth, an event only a
-- hint. Names that storage does not know are absent.
create function public.stored_objects_v1(bucket_name text, object_names text[])
returns table (
  name text, version text, owner text, metadata jsonb, size_bytes bigint,
  created_at timestamptz, updated_at timestamptz
)
language sql stable
set search_path = ''
as $$
  select o.name, o.version, o.owner_id, coalesce(o.user_metadata, '{}'), (o.metadata ->> 'size')::bigint,
         o.created_at, o.updated_at
  from storage.objects o
  where o.bucket_id = bucket_name and o.name = any (pixseek.checked_names(object_names))
    -- A row without them was not written by Storage: there are no bytes.
    and o.version is not null and o.metadata ? 'size';
$$;

-- Refuses what is no list of at most 500 items.
create function pixseek.check_items(items jsonb) returns void
language plpgsql immutable
set search_path = ''
as $$
begin
  if jsonb_typeof(items) is distinct from 'array' then
    raise exception 'the call takes a JSON array of items, not %', coalesce(jsonb_typeof(items), 'null')
      using errcode = '22023', hint = 'Pass 1 to 500 objects, each with its bucket and name.';
  elsif jsonb_array_length(items) not between 1 and 500 then
    raise exception '% items in one call', jsonb_array_length(items)
      using errcode = '22023', hint = 'Pass 1 to 500.';
  end if;
end
$$;

-- What is wrong with an item of a call by its looks: each field that is given has a type of its own.
create function pixseek.misfit(item jsonb) returns text
language sql immutable
set search_path = ''
as $$
  select case when jsonb_typeof(item) <> 'object' then 'it is no JSON object' else (
    select case when known.type is null then f.key || ' is no field of it'
                else format('its %s is no %s', f.key, known.type) end
    from jsonb_each(item) f
    cross join lateral (
      select case
        when f.key in ('bucket', 'name', 'owner', 'version', 'ordering_key', 'content_hash', 'content_type',
                       'taken_at', 'created_at', 'reason') then 'string'
        when f.key in ('size_bytes', 'width', 'height') then 'number'
        when f.key = 'metadata' then 'object'
        when f.key = 'embedding' then 'array'
        when f.key = 'may_retry' then 'boolean'
      end as type
    ) known
    where known.type is null or jsonb_typeof(f.value) not in (known.type, 'null')
    order by f.key
    limit 1
  ) end;
$$;

-- The items of a call, checked as a whole before anything is written.
create function pixseek.image_inputs(items jsonb) returns pixseek.image_input[]
language plpgsql stable
set search_path = ''
as $$
declare
  inputs pixseek.image_input[] := '{}';
  input pixseek.image_input;
  item record;
  fault text;
begin
  perform pixseek.check_items(items);
  for item in select e.place, e.value from jsonb_array_elements(items) with ordinality e (value, place) loop
    fault := pixseek.misfit(item.value);
    if fault is null then
      begin
        input := jsonb_populate_record(null::pixseek.image_input, item.value);
        input.place := item.place;
      exception when data_exception then
        fault := sqlerrm;
      end;
    end if;
    fault := coalesce(fault, case
      when input.bucket is null or input.bucket = '' then 'it names no bucket'
      when input.name is null or input.name = '' then 'it has no name'
      when octet_length(input.name) > 1024 then format('its name has %s bytes', octet_length(input.name))
      when input.ordering_key is null then 'it has no ordering_key'
      when input.content_hash !~ '^[0-9a-f]{64}$' then 'its content_hash is no sha256 in hexadecimal'
      when input.size_bytes < 0 or input.width < 1 or input.height < 1 then 'its size is not possible'
      when input.reason = '' then 'its reason is empty'
    end);
    if fault is not null then
      raise exception 'image % of the call: %', item.place, fault
        using errcode = '22023',
          hint = 'Each needs a bucket, a name of at most 1024 bytes, an ordering_key; the rest may be null.';
    end if;
    inputs := inputs || input;
  end loop;
  return inputs;
end
$$;

-- Locks the rows of some objects, made when they are new, and returns the newest input of each that is not
-- older than what the index knows.
create function pixseek.lock_objects(inputs pixseek.image_input[]) returns pixseek.image_input[]
language plpgsql
set search_path = ''
as $$
declare
  fresh pixseek.image_input[];
begin
  insert into pixseek.buckets (name)
  select distinct i.bucket collate "C" as name from unnest(inputs) i order by name
  on conflict do nothing;

  insert into pixseek.images as i (bucket, name, ordering_key, state)
  select distinct n.bucket collate "C" as bucket, n.name collate "C" as name, '', 'pending'
  from unnest(inputs) n
  order by bucket, name
  -- Locks the row that is there, and leaves it as it is.
  on conflict (bucket, name) do update set ordering_key = excluded.ordering_key where false;

  select array_agg(newest.input) into fresh
  from (
    select distinct on (n.bucket, n.name) n as input
    from unnest(inputs) n
    order by n.bucket, n.name, n.ordering_key collate "C" desc, n.place desc
  ) newest
  join pixseek.images i on i.bucket = (newest.input).bucket and i.name = (newest.input).name
  where i.ordering_key < (newest.input).ordering_key
    or (i.ordering_key = (newest.input).ordering_key and i.state <> 'deleted');
  return coalesce(fresh, '{}');
end
$$;

-- After this many tries that ended in nothing, an image has failed.
create function pixseek.max_attempts() returns integer
language sql immutable
set search_path = ''
return 5;

-- Gives up those of some images that were tried too often, also when their workers died.
create function pixseek.fail_exhausted(image_ids bigint[], of_model_id integer) returns void
language sql
set search_path = ''
as $$
  update pixseek.work w set is_failed = true, reason = coalesce(w.reason, 'its workers died or ran out of time')
  where w.model_id = of_model_id and w.image_id = any (image_ids)
    and not w.is_failed and w.attempts >= pixseek.max_attempts() and w.leased_until < clock_timestamp();
  select pixseek.settle(image_ids);
$$;

-- Leases those of some live images that have no vector of a model, one image for the same bytes, and answers
-- which the caller got.
create function pixseek.lease(image_ids bigint[], for_model_id integer, lease_s integer) returns bigint[]
language plpgsql
set search_path = ''
as $$
declare
  until timestamptz := clock_timestamp() + make_interval(secs => lease_s);
  won_hashes text[];
  won bigint[];
begin
  if not coalesce(lease_s between 1 and 86400, false) then
    raise exception 'lease_s must be from 1 to 86400 seconds, not %', coalesce(lease_s::text, 'null')
      using errcode = '22023', hint = 'Long enough to embed the batch.';
  end if;
  insert into pixseek.work (image_id, model_id)
  select id, for_model_id from unnest(image_ids) id order by id
  on conflict do nothing;
  perform pixseek.fail_exhausted(image_ids, for_model_id);

  with taken as (
    insert into pixseek.leases as l (model_id, content_hash, leased_until)
    select distinct for_model_id, i.content_hash, until
    from pixseek.images i
    join pixseek.work w on w.image_id = i.id and w.model_id = for_model_id and not w.is_failed
    where i.id = any (image_ids) and i.content_hash is not null and w.leased_until < clock_timestamp()
    order by i.content_hash
    on conflict (model_id, content_hash) do update set leased_until = excluded.leased_until
      where l.leased_until < clock_timestamp()
    returning l.content_hash
  )
  select coalesce(array_agg(content_hash), '{}') into won_hashes from taken;

  with leased as (
    update pixseek.work w set attempts = w.attempts + 1, leased_until = until
    from (
      select distinct on (coalesce(i.content_hash, i.id::text)) i.id
      from pixseek.images i
      join pixseek.work w on w.image_id = i.id and w.model_id = for_model_id
        and not w.is_failed and w.leased_until < clock_timestamp()
      where i.id = any (image_ids) and (i.content_hash is null or i.content_hash = any (won_hashes))
      order by coalesce(i.content_hash, i.id::text), i.id
    ) chosen
    where w.image_id = chosen.id and w.model_id = for_model_id
    returning w.image_id
  )
  select coalesce(array_agg(image_id), '{}') into won from leased;
  return won;
end
$$;

-- Gives images without a vector those of other images with the same bytes, under every model.
create function pixseek.share_vectors(image_ids bigint[]) returns void
language sql
set search_path = ''
as $$
  insert into pixseek.vectors as own (image_id, model_id, embedding)
  select i.id, twins.model_id, twins.embedding
  from pixseek.images i
  cross join lateral (
    select distinct on (v.model_id) v.model_id, v.embedding
    from pixseek.images twin
    join pixseek.vectors v on v.image_id = twin.id and not v.from_client
    where twin.content_hash = i.content_hash and twin.id <> i.id
    order by v.model_id, v.image_id
  ) twins
  where i.id = any (image_ids)
  order by i.id
  on conflict (image_id, model_id) do update set embedding = excluded.embedding, from_client = false
    where own.from_client;
$$;

-- Clears the work and the leases of images that have their vector.
create function pixseek.finish(image_ids bigint[], of_model_id integer) returns void
language sql
set search_path = ''
as $$
  with done as (
    select i.id, i.content_hash
    from pixseek.images i
    join pixseek.vectors v on v.image_id = i.id and v.model_id = of_model_id and not v.from_client
    where i.id = any (image_ids)
  ), worked as (
    delete from pixseek.work w using done d where w.image_id = d.id and w.model_id = of_model_id
  )
  delete from pixseek.leases l using done d where l.model_id = of_model_id and l.content_hash = d.content_hash;
$$;

-- Puts images on record. Bytes that have a vector already share it, under every model; the rest is leased to
-- the caller. An item with a reason is kept as failed: it is no picture that a model could see.
-- Items: bucket, name, ordering_key; owner (Storage's), metadata (for the owner rule), version, size_bytes,
-- content_hash, content_type, width, height, taken_at, created_at, reason.
create function public.record_images_v1(images jsonb, model_name text default null, lease_s integer default 120)
returns table (bucket text, name text, image_id bigint, standing text)
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  model pixseek.models := pixseek.model_for_writing(model_name);
  inputs pixseek.image_input[] := pixseek.image_inputs(images);
  fresh pixseek.image_input[] := pixseek.lock_objects(inputs);
  recorded bigint[];
  leased bigint[];
begin
  -- Vectors and failures of other bytes go. A client's vector stays until ours comes, if no bytes were known.
  with changed as (
    select i.id, n.reason is not null or i.content_hash is not null as is_known
    from unnest(fresh) n
    join pixseek.images i on i.bucket = n.bucket and i.name = n.name
    where n.reason is not null or i.content_hash is distinct from n.content_hash
  ), unseen as (
    delete from pixseek.vectors v using changed c where v.image_id = c.id and (c.is_known or not v.from_client)
  )
  delete from pixseek.work w using changed c where w.image_id = c.id;

  with updated as (
    update pixseek.images i set
      owner = pixseek.owner_of(b, n.name, n.owner, n.metadata), version = n.version,
      ordering_key = n.ordering_key, size_bytes = n.size_bytes, content_hash = n.content_hash,
      content_type = n.content_type, width = n.width, height = n.height, taken_at = n.taken_at,
      created_at = coalesce(n.created_at, i.created_at), updated_at = now(),
      state = case when i.state = 'blocked' then 'blocked' when n.reason is not null then 'failed' else 'pending' end,
      reason = case when i.state = 'blocked' then i.reason else n.reason end
    from unnest(fresh) n
    join pixseek.buckets b on b.name = n.bucket
    where i.bucket = n.bucket and i.name = n.name
    returning i.id, i.state
  )
  select coalesce(array_agg(id) filter (where state = 'pending'), '{}') into recorded from updated;

  perform pixseek.share_vectors(recorded);
  leased := pixseek.lease(
    array(
      select id from unnest(recorded) id
      where not exists (
        select from pixseek.vectors v where v.image_id = id and v.model_id = model.id and not v.from_client
      )
    ),
    model.id, lease_s
  );
  -- Who had leased the same bytes may have stored their vector since.
  perform pixseek.share_vectors(leased);
  perform pixseek.finish(recorded, model.id);
  perform pixseek.settle(recorded);

  return query
  select i.bucket, i.name, i.id, case
    when f.place is null then 'outdated'
    when i.state = 'blocked' or i.id <> all (recorded) then i.state
    when v.image_id is not null then 'indexed'
    when i.id = any (leased) then 'pending'
    when w.is_failed then 'failed'
    else 'waiting'
  end
  from unnest(inputs) n
  join pixseek.images i on i.bucket = n.bucket and i.name = n.name
  left join unnest(fresh) f on f.bucket = n.bucket and f.name = n.name and f.ordering_key = n.ordering_key
  left join pixseek.vectors v on v.image_id = i.id and v.model_id = model.id and not v.from_client
  left join pixseek.work w on w.image_id = i.id and w.model_id = model.id
  order by n.place;
end
$$;

create type pixseek.vector_input as (
  place bigint,
  bucket text,
  name text,
  content_hash text,
  embedding halfvec,
  reason text,
  may_retry boolean
);

-- The items of a call, checked as a whole before anything is written.
create function pixseek.vector_inputs(items jsonb, model pixseek.models) returns pixseek.vector_input[]
language plpgsql stable
set search_path from current
as $$
declare
  inputs pixseek.vector_input[] := '{}';
  item record;
  fault text;
begin
  perform pixseek.check_items(items);
  for item in
    select e.place, e.value, e.value ->> 'bucket' as bucket, e.value ->> 'name' as name,
           e.value ->> 'content_hash' as content_hash, e.value ->> 'reason' as reason,
           e.value -> 'may_retry' = 'true' as may_retry, nullif(e.value -> 'embedding', 'null') as embedding,
           null::halfvec as unit
    from jsonb_array_elements(items) with ordinality e (value, place)
  loop
    fault := coalesce(pixseek.misfit(item.value), case
      when item.bucket is null or item.name is null or item.content_hash is null
        or (item.embedding is null) = (item.reason is null) or item.reason = ''
      then 'it needs a bucket, a name, a content_hash, and an embedding or a reason'
    end);
    if fault is null and item.embedding is not null then
      begin
        item.unit := pixseek.unit_vector(item.embedding::text::vector, model);
      exception
        when invalid_parameter_value then
          fault := sqlerrm;
        when data_exception then
          -- Without pgvector's own words: they repeat the vector.
          fault := 'its embedding is no list of finite numbers';
      end;
    end if;
    if fault is not null then
      raise exception 'vector % of the call%: %',
        item.place, coalesce(' (' || item.bucket || '/' || item.name || ')', ''), fault
        using errcode = '22023',
          hint = format('Name the image as it was recorded; model %s takes %s finite numbers.',
                        model.name, model.dimensions);
    end if;
    inputs := inputs || row(
      item.place, item.bucket, item.name, item.content_hash, item.unit, item.reason, coalesce(item.may_retry, false)
    )::pixseek.vector_input;
  end loop;
  return inputs;
end
$$;

-- Makes recorded images searchable, and with each all others of the same bytes. An image whose bytes have
-- changed since it was recorded is outdated. An item may bring a reason in place of an embedding: it failed for
-- good, or, if may_retry, is handed out again until it was tried too often.
-- Items: bucket, name, content_hash; embedding, or reason and may_retry (default false).
create function public.store_vectors_v1(vectors jsonb, model_name text default null)
returns table (bucket text, name text, image_id bigint, standing text)
language plpgsql
set search_path from current
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  model pixseek.models := pixseek.model_for_writing(model_name);
  results pixseek.vector_input[] := pixseek.vector_inputs(vectors, model);
  hashes text[] := array(select r.content_hash from unnest(results) r);
  -- Not all at once of a file that is there in thousands of copies; claim_images_v1 gives the rest their vector.
  twins bigint[] := array(
    select i.id from pixseek.images i
    join unnest(results) r on r.bucket = i.bucket and r.name = i.name and r.content_hash = i.content_hash
    union
    (select i.id from pixseek.images i where i.content_hash = any (hashes) limit 500)
  );
  latecomers bigint[];
begin
  perform pixseek.lock_images(twins);

  insert into pixseek.vectors as own (image_id, model_id, embedding)
  select distinct on (i.id) i.id, model.id, r.embedding
  from unnest(results) r
  join pixseek.images i on i.content_hash = r.content_hash
  where i.id = any (twins) and r.embedding is not null
  order by i.id, r.place
  on conflict (image_id, model_id) do update set embedding = excluded.embedding, from_client = false
    where own.from_client or own.embedding <> excluded.embedding;

  insert into pixseek.work as w (image_id, model_id, attempts, is_failed, reason)
  select distinct on (i.id) i.id, model.id, 1, not r.may_retry, r.reason
  from unnest(results) r
  join pixseek.images i on i.content_hash = r.content_hash
  where i.id = any (twins) and r.reason is not null
    and not exists (select from pixseek.vectors v where v.image_id = i.id and v.model_id = model.id)
    -- Twins that only waited are tried on their own.
    and (not r.may_retry or (i.bucket = r.bucket and i.name = r.name))
  order by i.id, r.place
  on conflict (image_id, model_id) do update set
    leased_until = '-infinity', reason = excluded.reason,
    is_failed = excluded.is_failed or w.attempts >= pixseek.max_attempts();

  -- Waits for who is recording the same bytes right now, and shares with them.
  perform from pixseek.leases l
  where l.model_id = model.id and l.content_hash = any (hashes)
  order by l.content_hash
  for update;
  latecomers := array(
    select i.id from pixseek.images i
    where i.content_hash = any (hashes) and i.id <> all (twins)
    limit 500
    for no key update skip locked
  );
  perform pixseek.share_vectors(latecomers);
  perform pixseek.finish(twins || latecomers, model.id);
  delete from pixseek.leases l where l.model_id = model.id and l.content_hash = any (hashes);
  perform pixseek.settle(twins || latecomers);

  return query
  select r.bucket, r.name, i.id, case
    when i.id is null then 'outdated'
    when i.state = 'blocked' then 'blocked'
    when v.image_id is not null then 'indexed'
    when w.is_failed then 'failed'
    else 'pending'
  end
  from unnest(results) r
  left join pixseek.images i
    on i.bucket = r.bucket and i.name = r.name and i.content_hash = r.content_hash and i.state <> 'deleted'
  left join pixseek.vectors v on v.image_id = i.id and v.model_id = model.id
  left join pixseek.work w on w.image_id = i.id and w.model_id = model.id
  order by r.place;
end
$$;

-- Takes objects out of the index and leaves tombstones, also for those never seen.
-- Items: bucket, name, ordering_key.
create function public.remove_images_v1(objects jsonb)
returns table (bucket text, name text, image_id bigint, standing text)
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  inputs pixseek.image_input[] := pixseek.image_inputs(objects);
  -- A statement of its own: the next one sees the rows that it makes.
  fresh pixseek.image_input[] := pixseek.lock_objects(inputs);
  removed bigint[];
begin
  -- Also what is deleted already: a newer removal makes the tombstone newer.
  with updated as (
    update pixseek.images i set
      ordering_key = n.ordering_key, state = 'deleted', reason = null, owner = null, version = null,
      content_hash = null, content_type = null, size_bytes = null, width = null, height = null,
      taken_at = null, updated_at = now()
    from unnest(fresh) n
    where i.bucket = n.bucket and i.name = n.name
    returning i.id
  )
  select coalesce(array_agg(id), '{}') into removed from updated;
  delete from pixseek.vectors v where v.image_id = any (removed);
  delete from pixseek.work w where w.image_id = any (removed);

  return query
  select i.bucket, i.name, i.id,
         case when i.state = 'deleted' and i.ordering_key = n.ordering_key then 'deleted' else 'outdated' end
  from unnest(inputs) n
  join pixseek.images i on i.bucket = n.bucket and i.name = n.name
  order by n.place;
end
$$;

-- Hides images from everybody, with a reason; null shows them again. An overwrite does not show a picture again; a
-- removal ends it, and a new upload of that name is another picture.
create function public.block_images_v1(image_ids bigint[], reason text) returns void
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
begin
  if image_ids is null or block_images_v1.reason = '' then
    raise exception 'block_images_v1 needs images, and a reason that is not empty'
      using errcode = '22023', hint = 'A reason of null shows them again.';
  end if;
  perform pixseek.share_registry();
  perform pixseek.lock_images(image_ids);
  update pixseek.images i set
    state = case when block_images_v1.reason is null then 'pending' else 'blocked' end,
    reason = block_images_v1.reason, updated_at = now()
  where i.id = any (image_ids) and i.state <> 'deleted'
    and (block_images_v1.reason is not null or i.state = 'blocked');
  perform pixseek.settle(image_ids);
end
$$;

revoke execute on function
  public.stored_objects_v1, public.record_images_v1, public.store_vectors_v1, public.remove_images_v1,
  public.block_images_v1, pixseek.check_items, pixseek.misfit, pixseek.image_inputs, pixseek.vector_inputs,
  pixseek.lock_objects, pixseek.share_vectors, pixseek.finish, pixseek.max_attempts, pixseek.fail_exhausted,
  pixseek.lease
from public, anon, authenticated;
grant execute on function
  public.stored_objects_v1, public.record_images_v1, public.store_vectors_v1, public.remove_images_v1,
  public.block_images_v1, pixseek.check_items, pixseek.misfit, pixseek.image_inputs, pixseek.vector_inputs,
  pixseek.lock_objects, pixseek.share_vectors, pixseek.finish, pixseek.max_attempts, pixseek.fail_exhausted,
  pixseek.lease
to service_role;

reset search_path;
