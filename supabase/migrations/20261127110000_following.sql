-- Following a bucket with fewer calls and more care: of Supabase's own buckets the database asks storage itself, in
-- the very transaction that writes; a sweep may bring back what a tombstone hides; each picture has a preview.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- pgvector's types are found wherever the extension was installed, and nowhere else.
select set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), false)
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector';

-- `edition` counts how often the bytes changed. A preview is named by it, so that a name never comes back with other
-- pixels, and whoever is late can neither overwrite nor delete a newer one.
alter table pixseek.images
  add column average_colour text,
  add column edition bigint not null default 0,
  add column has_preview boolean not null default false;

-- Bytes that are others now have another edition, and no preview yet; whichever version of a function writes them.
create function pixseek.turn_edition() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.edition := old.edition + 1;
  new.has_preview := false;
  new.average_colour := null;
  return new;
end
$$;
create trigger turn_edition before update of content_hash on pixseek.images
for each row when (old.content_hash is distinct from new.content_hash) execute function pixseek.turn_edition();

-- Vectors of bytes that no picture has any more, for a day: the two events of a move may come the wrong way round,
-- and what was deleted may be uploaded again.
create table pixseek.spare_vectors (
  model_id integer not null references pixseek.models,
  content_hash text not null,
  embedding halfvec not null,
  spared_at timestamptz not null default now(),
  primary key (model_id, content_hash)
);
create index spare_vectors_spared_at on pixseek.spare_vectors (spared_at);
alter table pixseek.spare_vectors enable row level security;
grant select, insert, update, delete on pixseek.spare_vectors to service_role;

create function pixseek.preview_name(image_id bigint, edition bigint) returns text
language sql immutable
set search_path = ''
return image_id || '/' || edition || '.webp';

-- How Storage dates its versions, as an ordering key.
create function pixseek.moment_key(moment timestamptz) returns text
language sql stable
set search_path = ''
return to_char(moment at time zone 'UTC', 'YYYYMMDD"T"HH24MISS.US"Z"');

-- An etag without what HTTP puts around it.
create function pixseek.bare_etag(etag text) returns text
language sql immutable
set search_path = ''
return trim(both '"' from regexp_replace(etag, '^W/', ''));

-- What an uploader says of an object; whatever is no JSON object says nothing.
create function pixseek.said_of(user_metadata jsonb) returns jsonb
language sql immutable
set search_path = ''
return case when jsonb_typeof(user_metadata) = 'object' then user_metadata else '{}' end;

-- As it was; it went wrong over metadata that is no object, and any uploader can send that.
create or replace function public.stored_objects_v1(bucket_name text, object_names text[])
returns table (
  name text, version text, owner text, metadata jsonb, size_bytes bigint,
  created_at timestamptz, updated_at timestamptz
)
language sql stable
set search_path = ''
as $$
  select o.name, o.version, o.owner_id, pixseek.said_of(o.user_metadata), (o.metadata ->> 'size')::bigint,
         o.created_at, o.updated_at
  from storage.objects o
  where o.bucket_id = bucket_name and o.name = any (pixseek.checked_names(object_names))
    -- A row without them was not written by Storage: there are no bytes.
    and o.version is not null and o.metadata ? 'size';
$$;

-- A page of what Supabase Storage has in a bucket, by the bytes of the names.
create function public.list_objects_v1(bucket_name text, after text default '', page_size integer default 1000)
returns table (
  name text, version text, etag text, owner text, metadata jsonb, size_bytes bigint,
  created_at timestamptz, updated_at timestamptz
)
language sql stable
set search_path = ''
as $$
  select o.name, o.version, pixseek.bare_etag(o.metadata ->> 'eTag'), o.owner_id, pixseek.said_of(o.user_metadata),
         (o.metadata ->> 'size')::bigint, o.created_at, o.updated_at
  from storage.objects o
  where o.bucket_id = bucket_name and o.name collate "C" > coalesce(after, '')
    -- A row without them was not written by Storage: there are no bytes.
    and o.version is not null and o.metadata ? 'size'
  order by o.name collate "C"
  limit pixseek.checked_count(page_size);
$$;

-- A page of what the index has of a bucket, by the bytes of the names, tombstones too.
create function public.list_images_v1(bucket_name text, after text default '', page_size integer default 1000)
returns table (
  name text, version text, size_bytes bigint, ordering_key text, state text, has_preview boolean
)
language sql stable
set search_path = ''
as $$
  select i.name, i.version, i.size_bytes, i.ordering_key, i.state, i.has_preview
  from pixseek.images i
  where i.bucket = bucket_name and i.name > coalesce(after, '')
  order by i.name
  limit pixseek.checked_count(page_size);
$$;

-- Those of some previews of a bucket that no picture needs: of one that is gone, or of other bytes than it has now.
-- What failed keeps its own: it may be tried again.
create function public.orphan_previews_v1(bucket_name text, preview_names text[]) returns setof text
language sql stable
set search_path = ''
as $$
  select p.name
  from unnest(pixseek.checked_names(preview_names)) with ordinality p (name, place)
  left join pixseek.images i
    on i.id = case when p.name ~ '^[0-9]{1,18}/[0-9]{1,18}\.webp$' then split_part(p.name, '/', 1)::bigint end
    and i.bucket = bucket_name and i.state <> 'deleted'
    and p.name = pixseek.preview_name(i.id, i.edition)
  where i.id is null
  order by p.place;
$$;

-- What is wrong with the fields that an item has beside those of record_images_v1 and store_vectors_v1.
create function pixseek.misfit_of_following(item jsonb) returns text
language sql immutable
set search_path = ''
as $$
  select case
    when jsonb_typeof(item) <> 'object' then 'it is no JSON object'
    when coalesce(jsonb_typeof(item -> 'bucket'), 'null') <> 'string' then 'it names no bucket'
    when coalesce(jsonb_typeof(item -> 'name'), 'null') <> 'string' then 'it has no name'
    when coalesce(jsonb_typeof(item -> 'etag'), 'null') not in ('string', 'null') then 'its etag is no string'
    when coalesce(jsonb_typeof(item -> 'preview'), 'null') not in ('string', 'null') then 'its preview is no string'
    when coalesce(jsonb_typeof(item -> 'is_of_sweep'), 'null') not in ('boolean', 'null')
    then 'its is_of_sweep is no boolean'
    when not coalesce(item ->> 'average_colour' ~ '^#[0-9a-f]{6}$', true)
    then 'its average_colour is no colour like #c0ffee'
  end;
$$;

create function pixseek.check_following(items jsonb, word text default 'image') returns void
language plpgsql immutable
set search_path = ''
as $$
declare
  fault text;
begin
  perform pixseek.check_items(items);
  select format('%s %s of the call: %s', word, e.place, pixseek.misfit_of_following(e.value)) into fault
  from jsonb_array_elements(items) with ordinality e (value, place)
  where pixseek.misfit_of_following(e.value) is not null
  order by e.place
  limit 1;
  if fault is not null then
    raise exception '%', fault
      using errcode = '22023', hint = 'Each needs a bucket and a name; see the comment of the function.';
  end if;
end
$$;

create function pixseek.check_provider(provider text) returns void
language plpgsql immutable
set search_path = ''
as $$
begin
  if not coalesce(provider in ('supabase', 's3', 'gcs', 'local'), false) then
    raise exception 'unknown provider: %', coalesce(provider, 'null')
      using errcode = '22023', hint = 'One of supabase, s3, gcs, local.';
  end if;
end
$$;

-- The buckets that some items name first are of that provider.
create function pixseek.meet_buckets(items jsonb, provider text) returns void
language sql
set search_path = ''
as $$
  insert into pixseek.buckets (name, provider)
  select distinct (e ->> 'bucket') collate "C" as name, provider from jsonb_array_elements(items) e
  order by name
  on conflict do nothing;
$$;

-- A row of the index that a call has locked, as it was before the call.
create type pixseek.before as (
  image_id bigint, bucket text, name text, content_hash text, edition bigint, has_preview boolean
);

-- Locks the rows of some objects, made when they are new, and tells how they were.
create function pixseek.lock_as_before(items jsonb) returns pixseek.before[]
language plpgsql
set search_path = ''
as $$
declare
  inputs pixseek.image_input[] := array(select n from jsonb_populate_recordset(null::pixseek.image_input, items) n);
begin
  perform pixseek.lock_objects(inputs);
  -- A statement of its own: it sees the rows that the other has made.
  return array(
    select row(i.id, i.bucket, i.name, i.content_hash, i.edition, i.has_preview)::pixseek.before
    from (select distinct n.bucket, n.name from unnest(inputs) n) named
    join pixseek.images i on i.bucket = named.bucket and i.name = named.name
  );
end
$$;

-- Keeps the vectors that a call may take from some objects. Spare vectors are locked after images and before work.
create function pixseek.spare_vectors(olds pixseek.before[]) returns void
language sql
set search_path = ''
as $$
  insert into pixseek.spare_vectors as s (model_id, content_hash, embedding)
  select distinct on (v.model_id, old.content_hash) v.model_id, old.content_hash, v.embedding
  from unnest(olds) old
  join pixseek.vectors v on v.image_id = old.image_id and not v.from_client
  where old.content_hash is not null
  order by v.model_id, old.content_hash
  on conflict (model_id, content_hash) do update set embedding = excluded.embedding, spared_at = excluded.spared_at;
  -- Waits for nobody: who holds one of them may wait for us.
  delete from pixseek.spare_vectors
  where (model_id, content_hash) in (
    select s.model_id, s.content_hash from pixseek.spare_vectors s
    where s.spared_at < now() - interval '1 day'
    order by s.spared_at
    limit 5000
    for update skip locked
  );
$$;

-- As it was, and those that were spared.
create or replace function pixseek.share_vectors(image_ids bigint[]) returns void
language sql
set search_path = ''
as $$
  insert into pixseek.vectors as own (image_id, model_id, embedding)
  select i.id, twins.model_id, twins.embedding
  from pixseek.images i
  cross join lateral (
    select distinct on (t.model_id) t.model_id, t.embedding
    from (
      select v.model_id, v.embedding, v.image_id
      from pixseek.images twin
      join pixseek.vectors v on v.image_id = twin.id and not v.from_client
      where twin.content_hash = i.content_hash and twin.id <> i.id
      union all
      select s.model_id, s.embedding, null
      from pixseek.spare_vectors s
      -- Not those of a dropped model, also when one of its name was made anew.
      join pixseek.models m on m.id = s.model_id and m.state <> 'dropped' and m.created_at <= s.spared_at
      where s.content_hash = i.content_hash
    ) t
    order by t.model_id, t.image_id
  ) twins
  where i.id = any (image_ids)
  order by i.id
  on conflict (image_id, model_id) do update set embedding = excluded.embedding, from_client = false
    where own.from_client;
$$;

-- Items as storage's own row has their object now; null for one that has another etag or size, or is gone. The key of
-- a sweep's item stays where it is newer.
create function pixseek.seen_in_storage(items jsonb) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_agg(
    case when o.version is null
           or coalesce(pixseek.bare_etag(e.value ->> 'etag') <> pixseek.bare_etag(o.metadata ->> 'eTag'), false)
           or coalesce(e.value ->> 'size_bytes' <> o.metadata ->> 'size', false) then null
    else e.value || jsonb_build_object(
      'owner', o.owner_id, 'metadata', pixseek.said_of(o.user_metadata), 'version', o.version,
      'ordering_key', greatest(
        pixseek.moment_key(o.updated_at),
        case when e.value -> 'is_of_sweep' = 'true' then (e.value ->> 'ordering_key') collate "C" end
      ),
      'size_bytes', (o.metadata ->> 'size')::bigint, 'created_at', o.created_at
    ) end
    order by e.place
  )
  from jsonb_array_elements(items) with ordinality e (value, place)
  left join storage.objects o
    on o.bucket_id = e.value ->> 'bucket' and o.name = e.value ->> 'name'
    and o.version is not null and o.metadata ? 'size';
$$;

create type pixseek.permitted as (
  bucket text, name text, image_id bigint, standing text,
  embed_in_s double precision, embed_until_s double precision, permits_at timestamptz
);

-- record_images_v2, and what it does not know:
-- - Of a bucket of Supabase, storage's own row tells owner, metadata, version, ordering key, size and moment. An item
--   that has another etag or size than that row, or has no row, is `changed`: what was read is no longer there.
-- - An item that `is_of_sweep` comes with the ordering key that the index had when the sweep looked, and counts
--   although that be a tombstone's: no event tells of what a lost event has brought.
-- - `preview` says under which name of bucket <bucket>-previews the picture's preview belongs, `has_preview` whether
--   it is there, `old_preview` which one belonged to the bytes of before and can go.
-- Items: those of record_images_v1, and etag, average_colour, is_of_sweep.
create function public.record_images_v3(
  images jsonb,
  model_name text default null,
  lease_s integer default 120,
  permit_wait_s double precision default null,
  provider text default 'supabase'
)
returns table (
  bucket text, name text, image_id bigint, standing text,
  embed_in_s double precision, embed_until_s double precision, permits_at timestamptz,
  preview text, has_preview boolean, old_preview text
)
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  seen jsonb := images;
  wanted jsonb;
  olds pixseek.before[] := '{}';
  recorded pixseek.permitted[] := '{}';
begin
  perform pixseek.model_for_writing(model_name);
  perform pixseek.check_following(images);
  perform pixseek.check_provider(provider);
  perform pixseek.image_inputs((
    select jsonb_agg(e.value - array['etag', 'average_colour', 'is_of_sweep'] order by e.place)
    from jsonb_array_elements(images) with ordinality e (value, place)
  ));
  if provider = 'supabase' then
    seen := pixseek.seen_in_storage(images);
  end if;
  wanted := (
    select jsonb_agg(e.value - array['etag', 'average_colour', 'is_of_sweep'] order by e.place)
    from jsonb_array_elements(seen) with ordinality e (value, place)
    where e.value <> 'null'
  );
  if wanted is not null then
    perform pixseek.meet_buckets(wanted, provider);
    olds := pixseek.lock_as_before(wanted);
    perform pixseek.spare_vectors(array(
      select old from unnest(olds) old
      join jsonb_array_elements(wanted) e on e ->> 'bucket' = old.bucket and e ->> 'name' = old.name
      where e ->> 'content_hash' is distinct from old.content_hash
    ));
    update pixseek.images i set state = 'pending'
    from jsonb_array_elements(seen) e
    where e -> 'is_of_sweep' = 'true' and i.bucket = e ->> 'bucket' and i.name = e ->> 'name'
      and i.state = 'deleted' and i.ordering_key = e ->> 'ordering_key'
      -- Asked again: only now can nobody else learn that it is gone, and say so before us.
      and (provider <> 'supabase' or exists (
        select from storage.objects o
        where o.bucket_id = e ->> 'bucket' and o.name = e ->> 'name' and o.version = e ->> 'version'
      ));
    recorded := array(
      select r::pixseek.permitted from public.record_images_v2(wanted, model_name, lease_s, permit_wait_s) r
    );
    update pixseek.images i set average_colour = e ->> 'average_colour'
    from jsonb_array_elements(seen) e
    where i.bucket = e ->> 'bucket' and i.name = e ->> 'name' and i.content_hash = e ->> 'content_hash'
      and i.average_colour is distinct from coalesce(e ->> 'average_colour', i.average_colour);
  end if;

  return query
  select e.value ->> 'bucket', e.value ->> 'name', r.image_id, coalesce(r.standing, 'changed'),
         r.embed_in_s, r.embed_until_s, r.permits_at,
         case when r.standing in ('pending', 'waiting', 'indexed') then pixseek.preview_name(i.id, i.edition) end,
         coalesce(i.has_preview, false),
         case when old.has_preview and old.edition <> i.edition
              then pixseek.preview_name(old.image_id, old.edition) end
  from jsonb_array_elements(images) with ordinality e (value, place)
  left join (
    select s.place, count(*) over (order by s.place) as recorded_place
    from jsonb_array_elements(seen) with ordinality s (value, place)
    where s.value <> 'null'
  ) kept on kept.place = e.place
  left join unnest(recorded) with ordinality r (
    bucket, name, image_id, standing, embed_in_s, embed_until_s, permits_at, place
  ) on r.place = kept.recorded_place
  left join pixseek.images i on i.id = r.image_id
  left join unnest(olds) old on old.image_id = r.image_id
  order by e.place;
end
$$;

-- remove_images_v1, and what it does not know: an object of Supabase that storage still has is `changed`, and stays;
-- `old_preview` can go with its picture.
create function public.remove_images_v2(objects jsonb, provider text default 'supabase')
returns table (bucket text, name text, image_id bigint, standing text, old_preview text)
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  seen jsonb := objects;
  wanted jsonb;
  olds pixseek.before[] := '{}';
  removed pixseek.recorded[] := '{}';
begin
  perform pixseek.share_registry();
  perform pixseek.check_following(objects);
  perform pixseek.check_provider(provider);
  perform pixseek.image_inputs((
    select jsonb_agg(e.value - array['is_of_sweep'] order by e.place)
    from jsonb_array_elements(objects) with ordinality e (value, place)
  ));
  if provider = 'supabase' then
    seen := (
      select jsonb_agg(case when o.version is null then e.value end order by e.place)
      from jsonb_array_elements(objects) with ordinality e (value, place)
      left join storage.objects o
        on o.bucket_id = e.value ->> 'bucket' and o.name = e.value ->> 'name' and o.metadata ? 'size'
    );
  end if;
  wanted := (
    select jsonb_agg(e.value - array['is_of_sweep'] order by e.place)
    from jsonb_array_elements(seen) with ordinality e (value, place)
    where e.value <> 'null'
  );
  if wanted is not null then
    perform pixseek.meet_buckets(wanted, provider);
    olds := pixseek.lock_as_before(wanted);
    perform pixseek.spare_vectors(olds);
    removed := array(select r::pixseek.recorded from public.remove_images_v1(wanted) r);
  end if;

  return query
  select e.value ->> 'bucket', e.value ->> 'name', r.image_id, coalesce(r.standing, 'changed'),
         case when r.standing = 'deleted' and old.has_preview
              then pixseek.preview_name(old.image_id, old.edition) end
  from jsonb_array_elements(objects) with ordinality e (value, place)
  left join (
    select s.place, count(*) over (order by s.place) as removed_place
    from jsonb_array_elements(seen) with ordinality s (value, place)
    where s.value <> 'null'
  ) kept on kept.place = e.place
  left join unnest(removed) with ordinality r (bucket, name, image_id, standing, place)
    on r.place = kept.removed_place
  left join unnest(olds) old on old.image_id = r.image_id
  order by e.place;
end
$$;

-- The items of store_vectors_v2, checked as those of store_vectors_v1; one with a preview alone has neither embedding
-- nor reason.
create function pixseek.result_inputs(items jsonb, model pixseek.models) returns pixseek.vector_input[]
language plpgsql stable
set search_path from current
as $$
declare
  fault bigint;
  inputs pixseek.vector_input[];
begin
  perform pixseek.check_following(items, 'vector');
  select min(e.place) into fault
  from jsonb_array_elements(items) with ordinality e (value, place)
  where coalesce(e.value ->> 'embedding', e.value ->> 'reason', e.value ->> 'preview') is null;
  if fault is not null then
    raise exception 'vector % of the call: it needs an embedding, a reason or a preview', fault
      using errcode = '22023', hint = 'Name the image as it was recorded.';
  end if;
  inputs := pixseek.vector_inputs(
    (
      select jsonb_agg(
        e.value - 'preview' || case
          when coalesce(e.value ->> 'embedding', e.value ->> 'reason') is null then '{"reason": "none"}' else '{}'
        end::jsonb
        order by e.place
      )
      from jsonb_array_elements(items) with ordinality e (value, place)
    ),
    model
  );
  return array(
    select row(
      n.place, n.bucket, n.name, n.content_hash, n.embedding, e.value ->> 'reason', n.may_retry
    )::pixseek.vector_input
    from jsonb_array_elements(items) with ordinality e (value, place)
    join unnest(inputs) n on n.place = e.place
    order by e.place
  );
end
$$;

-- store_vectors_v1, and what it does not know: an item may say that the preview is written, beside its embedding or
-- its reason or with neither; and a vector that comes too late for its picture is spared. Not made of
-- store_vectors_v1: all images have to be locked at once, lest they be locked out of order.
-- Items: those of store_vectors_v1, and preview: the name that record_images_v3 gave.
create function public.store_vectors_v2(vectors jsonb, model_name text default null)
returns table (bucket text, name text, image_id bigint, standing text)
language plpgsql
set search_path from current
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  model pixseek.models := pixseek.model_for_writing(model_name);
  results pixseek.vector_input[] := pixseek.result_inputs(vectors, model);
  hashes text[] := array(
    select r.content_hash from unnest(results) r where r.embedding is not null or r.reason is not null
  );
  twins bigint[] := array(
    select i.id from pixseek.images i
    join unnest(results) r on r.bucket = i.bucket and r.name = i.name and r.content_hash = i.content_hash
    union
    (select i.id from pixseek.images i where i.content_hash = any (hashes) limit 500)
  );
  latecomers bigint[];
begin
  perform pixseek.lock_images(twins);

  insert into pixseek.spare_vectors (model_id, content_hash, embedding)
  select distinct on (r.content_hash) model.id, r.content_hash, r.embedding
  from unnest(results) r
  where r.embedding is not null and r.content_hash ~ '^[0-9a-f]{64}$'
    and not exists (select from pixseek.images i where i.content_hash = r.content_hash)
  order by r.content_hash, r.place
  on conflict (model_id, content_hash) do update set embedding = excluded.embedding, spared_at = excluded.spared_at;

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

  update pixseek.images i set has_preview = true
  from unnest(results) r
  where i.bucket = r.bucket and i.name = r.name and i.content_hash = r.content_hash and i.id = any (twins)
    and vectors -> (r.place - 1)::integer ->> 'preview' = pixseek.preview_name(i.id, i.edition);

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
    when w.is_failed or (w.image_id is null and i.state = 'failed') then 'failed'
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

-- What failed, the latest first; of one bucket, or for a reason that holds some words, whatever their case.
create function public.failed_images_v2(
  match_count integer, bucket_name text default null, reason_part text default null
)
returns table (
  image_id bigint, bucket text, image text, reason text, ordering_key text, updated_at timestamptz
)
language sql stable
set search_path = ''
as $$
  select i.id, i.bucket, i.name, i.reason, i.ordering_key, i.updated_at
  from pixseek.images i
  where i.state = 'failed'
    and (bucket_name is null or i.bucket = bucket_name)
    and (reason_part is null or position(lower(reason_part) in lower(i.reason)) > 0)
  order by i.updated_at desc, i.id desc
  limit pixseek.checked_count(match_count);
$$;

revoke execute on function
  public.list_objects_v1, public.list_images_v1, public.orphan_previews_v1, public.record_images_v3,
  public.remove_images_v2, public.store_vectors_v2, public.failed_images_v2, pixseek.preview_name,
  pixseek.moment_key, pixseek.bare_etag, pixseek.misfit_of_following, pixseek.check_following,
  pixseek.check_provider, pixseek.meet_buckets, pixseek.lock_as_before, pixseek.spare_vectors,
  pixseek.seen_in_storage, pixseek.said_of, pixseek.turn_edition, pixseek.result_inputs
from public, anon, authenticated;
grant execute on function
  public.list_objects_v1, public.list_images_v1, public.orphan_previews_v1, public.record_images_v3,
  public.remove_images_v2, public.store_vectors_v2, public.failed_images_v2, pixseek.preview_name,
  pixseek.moment_key, pixseek.bare_etag, pixseek.misfit_of_following, pixseek.check_following,
  pixseek.check_provider, pixseek.meet_buckets, pixseek.lock_as_before, pixseek.spare_vectors,
  pixseek.seen_in_storage, pixseek.said_of, pixseek.turn_edition, pixseek.result_inputs
to service_role;

reset search_path;
