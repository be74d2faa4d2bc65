-- The audit: what a bucket has against what the index has, page by page, in runs that go on where another one stopped.
--
-- Faults that an audit finds, by the words that all sides use:
--   missing         an object without a live row
--   orphaned        a live row without its object
--   stale           a row of another version or size than its object
--   wrong_model     an `indexed` row without a vector of the active model
--   failed          given up under the active model after all its tries: worth another go
--   stuck_lease     nobody's: the lease ended long ago, or ends later than any lease that is given
--   lost_preview    an `indexed` row without a preview, or whose preview is not there
--   orphan_preview  a preview that no picture needs

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table pixseek.audits (
  id bigint generated always as identity primary key,
  -- Not of pixseek.buckets alone: the first audit may be what finds a bucket.
  bucket text collate "C" not null check (bucket <> ''),
  repairs boolean not null,
  state text not null default 'running' check (state in ('running', 'done', 'braked', 'failed')),
  stage text not null default 'bucket' check (stage in ('bucket', 'previews', 'removals', 'end')),
  -- The last name that is done with, in its stage.
  position text collate "C" not null default '',
  objects bigint not null default 0 check (objects >= 0),
  images bigint not null default 0 check (images >= 0),
  faults jsonb not null default '{}',
  examples jsonb not null default '{}',
  repaired jsonb not null default '{}',
  reason text,
  leased_until timestamptz not null,
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  ended_at timestamptz,
  check ((state = 'running') = (ended_at is null))
);
-- One that only looks and one that repairs do not disturb each other.
create unique index audits_one_running on pixseek.audits (bucket, repairs) where state = 'running';
create index audits_started_at on pixseek.audits (started_at);

-- Objects that are gone, as a running audit has found. They are removed when all has been listed, and not before: who
-- cannot list a bucket would empty the index.
create table pixseek.audit_removals (
  audit_id bigint not null references pixseek.audits on delete cascade,
  name text collate "C" not null,
  ordering_key text collate "C" not null,
  primary key (audit_id, name)
);

alter table pixseek.audits enable row level security;
alter table pixseek.audit_removals enable row level security;
grant select, insert, update, delete on pixseek.audits, pixseek.audit_removals to service_role;

-- A migration is a transaction, where no index can be made concurrently: uploads wait meanwhile. On a large index make
-- it before, by the same statement, concurrently.
-- squawk-ignore require-concurrent-index-creation
create index if not exists images_previews on pixseek.images (bucket, (pixseek.preview_name(id, edition)) collate "C")
where has_preview;

create function pixseek.check_bucket(bucket_name text) returns void
language plpgsql immutable
set search_path = ''
as $$
begin
  if coalesce(bucket_name, '') = '' then
    raise exception 'a bucket needs a name' using errcode = '22023', hint = 'Name it as storage does.';
  end if;
end
$$;

create function pixseek.check_lease(lease_s integer) returns void
language plpgsql immutable
set search_path = ''
as $$
begin
  if not coalesce(lease_s between 1 and 86400, false) then
    raise exception 'lease_s must be from 1 to 86400 seconds, not %', coalesce(lease_s::text, 'null')
      using errcode = '22023', hint = 'Long enough for the pages until the next call.';
  end if;
end
$$;

-- Refuses one that never was.
create function pixseek.audit_of(audit_id bigint) returns pixseek.audits
language plpgsql stable
set search_path = ''
as $$
declare
  audit pixseek.audits;
begin
  select * into audit from pixseek.audits a where a.id = audit_of.audit_id;
  if not found then
    raise exception 'unknown audit: %', coalesce(audit_id::text, 'null')
      using errcode = '22023', hint = 'begin_audit_v1 begins one and tells its id.';
  end if;
  return audit;
end
$$;

-- Locks one that still runs; refuses one that has ended.
create function pixseek.lock_audit(audit_id bigint) returns void
language plpgsql
set search_path = ''
as $$
declare
  audit pixseek.audits := pixseek.audit_of(audit_id);
begin
  perform from pixseek.audits a where a.id = lock_audit.audit_id and a.state = 'running' for no key update;
  if not found then
    audit := pixseek.audit_of(audit_id);
    raise exception 'audit % has ended: %', audit.id, concat_ws(', ', audit.state, audit.reason)
      using errcode = '55000', hint = 'begin_audit_v1 begins another.';
  end if;
end
$$;

-- Goes on with the audit of a bucket that repairs, or that only looks, or begins one: {"audit_id", "stage", "position",
-- "objects", "images", "faults", "examples", "repaired"}. Whoever has it keeps it for lease_s. One that nobody has gone
-- on with for a week is abandoned.
create function public.begin_audit_v1(bucket_name text, repairs boolean, lease_s integer default 120) returns jsonb
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
declare
  audit pixseek.audits;
  until constant timestamptz := clock_timestamp() + make_interval(secs => lease_s);
begin
  perform pixseek.check_bucket(bucket_name);
  perform pixseek.check_lease(lease_s);
  if begin_audit_v1.repairs is null then
    raise exception 'an audit repairs, or it does not: repairs is null'
      using errcode = '22023', hint = 'Pass false to be told only.';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('pixseek.audits ' || bucket_name, 0));
  select * into audit from pixseek.audits a
  where a.bucket = bucket_name and a.repairs = begin_audit_v1.repairs and a.state = 'running'
  for no key update;
  if audit.leased_until > clock_timestamp() then
    raise exception 'bucket % is being audited', bucket_name
      using errcode = '55006', hint = format(
        'Come again when that one has ended, or at %s.',
        to_char(audit.leased_until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
      );
  elsif audit.updated_at > now() - interval '7 days' then
    update pixseek.audits a set leased_until = until, updated_at = now() where a.id = audit.id;
  else
    update pixseek.audits a set state = 'failed', reason = 'abandoned', ended_at = now() where a.id = audit.id;
    delete from pixseek.audit_removals r where r.audit_id = audit.id;
    insert into pixseek.audits (bucket, repairs, leased_until)
    values (bucket_name, begin_audit_v1.repairs, until)
    returning * into audit;
  end if;
  return jsonb_build_object(
    'audit_id', audit.id, 'stage', audit.stage, 'position', audit.position, 'objects', audit.objects,
    'images', audit.images, 'faults', audit.faults, 'examples', audit.examples, 'repaired', audit.repaired
  );
end
$$;

-- What is wrong with how far an audit is said to be, or null.
create function pixseek.progress_fault(progress jsonb) returns text
language sql immutable
set search_path = ''
as $$
  select case when jsonb_typeof(progress) is distinct from 'object' then 'it is no JSON object' else (
    select case
      when known.type is null then p.key || ' is no field of it'
      when jsonb_typeof(p.value) <> known.type then format('its %s is no %s', p.key, known.type)
      when p.key = 'stage' then 'unknown stage: ' || (p.value #>> '{}')
      else format('its %s is no count', p.key)
    end
    from jsonb_each(progress) p
    cross join lateral (
      select case
        when p.key in ('stage', 'position') then 'string'
        when p.key in ('objects', 'images') then 'number'
        when p.key in ('faults', 'examples', 'repaired') then 'object'
      end as type
    ) known
    where known.type is null
      or jsonb_typeof(p.value) <> known.type
      or (p.key = 'stage' and p.value #>> '{}' not in ('bucket', 'previews', 'removals', 'end'))
      or (known.type = 'number'
          and ((p.value #>> '{}')::numeric not between 0 and 1e15 or (p.value #>> '{}')::numeric % 1 <> 0))
    order by p.key
    limit 1
  ) end;
$$;

-- What is wrong with the objects that are said to be gone, or null.
create function pixseek.removals_fault(removals jsonb) returns text
language sql immutable
set search_path = ''
as $$
  select case
    when jsonb_typeof(removals) is distinct from 'array' then 'the removals are no JSON array'
    when jsonb_array_length(removals) > 100000 then format('%s removals in one call', jsonb_array_length(removals))
    else (
      select format('removal %s of the call needs a name and an ordering_key, and no more', r.place)
      from jsonb_array_elements(removals) with ordinality r (value, place)
      where jsonb_typeof(r.value) <> 'object'
        or coalesce(jsonb_typeof(r.value -> 'name'), 'null') <> 'string'
        or coalesce(jsonb_typeof(r.value -> 'ordering_key'), 'null') <> 'string'
        or octet_length(r.value ->> 'name') not between 1 and 1024
        or r.value - array['name', 'ordering_key'] <> '{}'
      order by r.place
      limit 1
    )
  end;
$$;

-- Keeps how far an audit has come, as it is now and not what was added: {"stage", "position", "objects", "images",
-- "faults", "examples", "repaired"}; what is left out stays. Removals: [{"name", "ordering_key"}], at most 100,000.
create function public.keep_audit_v1(
  audit_id bigint, progress jsonb, removals jsonb default '[]', lease_s integer default 120
) returns void
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
declare
  fault text := coalesce('progress: ' || pixseek.progress_fault(progress), pixseek.removals_fault(removals));
begin
  if fault is not null then
    raise exception '%', fault using errcode = '22023', hint = 'See the comment of the function.';
  end if;
  perform pixseek.check_lease(lease_s);
  perform pixseek.lock_audit(audit_id);
  update pixseek.audits a set
    stage = coalesce(progress ->> 'stage', a.stage),
    position = coalesce(progress ->> 'position', a.position),
    -- By way of numeric: 100.0 is a whole number too.
    objects = coalesce((progress ->> 'objects')::numeric, a.objects),
    images = coalesce((progress ->> 'images')::numeric, a.images),
    faults = coalesce(progress -> 'faults', a.faults),
    examples = coalesce(progress -> 'examples', a.examples),
    repaired = coalesce(progress -> 'repaired', a.repaired),
    leased_until = clock_timestamp() + make_interval(secs => lease_s),
    updated_at = now()
  where a.id = keep_audit_v1.audit_id;
  insert into pixseek.audit_removals as r (audit_id, name, ordering_key)
  select distinct on (e.value ->> 'name') keep_audit_v1.audit_id, e.value ->> 'name', e.value ->> 'ordering_key'
  from jsonb_array_elements(removals) with ordinality e (value, place)
  order by e.value ->> 'name', e.place desc
  on conflict on constraint audit_removals_pkey do update set ordering_key = excluded.ordering_key;
end
$$;

-- Gives an audit up to whoever goes on with it; one that has ended stays as it is.
create function public.pause_audit_v1(audit_id bigint) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform pixseek.audit_of(audit_id);
  update pixseek.audits a set leased_until = '-infinity', updated_at = now()
  where a.id = pause_audit_v1.audit_id and a.state = 'running';
end
$$;

-- Ends an audit: done, braked (it would have removed more than it may) or failed. Asking again for the same changes
-- nothing.
create function public.end_audit_v1(audit_id bigint, state text, reason text default null) returns void
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  audit pixseek.audits := pixseek.audit_of(end_audit_v1.audit_id);
begin
  if not coalesce(end_audit_v1.state in ('done', 'braked', 'failed'), false) then
    raise exception 'an audit does not end as %', coalesce(end_audit_v1.state, 'null')
      using errcode = '22023', hint = 'One of done, braked, failed.';
  elsif audit.state = end_audit_v1.state then
    return;
  end if;
  perform pixseek.lock_audit(audit.id);
  update pixseek.audits a set
    state = end_audit_v1.state, reason = nullif(end_audit_v1.reason, ''), leased_until = '-infinity',
    updated_at = now(), ended_at = now()
  where a.id = audit.id;
  delete from pixseek.audit_removals r where r.audit_id = audit.id;
  delete from pixseek.audits a where a.started_at < now() - interval '400 days' and a.id <> audit.id;
end
$$;

-- A page of what an audit is to remove, by the bytes of the names.
create function public.audit_removals_v1(audit_id bigint, after text default '', page_size integer default 500)
returns table (name text, ordering_key text)
language sql stable
set search_path = ''
as $$
  select r.name, r.ordering_key
  from pixseek.audit_removals r
  where r.audit_id = (pixseek.audit_of(audit_removals_v1.audit_id)).id and r.name > coalesce(after, '')
  order by r.name
  limit pixseek.checked_count(page_size);
$$;

-- How many objects an audit is to remove, and how many live pictures the index has of the bucket.
create function public.count_audit_removals_v1(audit_id bigint)
returns table (removals bigint, live bigint)
language plpgsql stable
set search_path = ''
set statement_timeout = '60s'
as $$
declare
  audit pixseek.audits := pixseek.audit_of(audit_id);
begin
  return query
  select (select count(*) from pixseek.audit_removals r where r.audit_id = audit.id),
         (select count(*) from pixseek.images i where i.bucket = audit.bucket and i.state <> 'deleted');
end
$$;

-- The latest first.
create function public.latest_audits_v1(match_count integer default 10)
returns table (
  id bigint, bucket text, repairs boolean, state text, stage text, "position" text, objects bigint, images bigint,
  faults jsonb, examples jsonb, repaired jsonb, reason text,
  started_at timestamptz, updated_at timestamptz, ended_at timestamptz
)
language sql stable
set search_path = ''
as $$
  select a.id, a.bucket, a.repairs, a.state, a.stage, a.position, a.objects, a.images, a.faults, a.examples,
         a.repaired, a.reason, a.started_at, a.updated_at, a.ended_at
  from pixseek.audits a
  order by a.started_at desc, a.id desc
  limit pixseek.checked_count(match_count);
$$;

-- Whether a lease is nobody's any more. '-infinity' is none.
create function pixseek.is_stuck(leased_until timestamptz) returns boolean
language sql stable
set search_path = ''
return leased_until > '-infinity'
  and (leased_until < now() - interval '1 hour' or leased_until > now() + interval '1 hour');

-- A page of what the index has of a bucket, by the bytes of the names, tombstones too but for those without a name;
-- and how each stands under the active model.
create function public.audit_images_v1(bucket_name text, after text default '', page_size integer default 1000)
returns table (
  name text, version text, size_bytes bigint, ordering_key text, state text, has_preview boolean, preview text,
  has_vector boolean, is_given_up boolean, is_stuck boolean
)
language plpgsql stable
set search_path = ''
set statement_timeout = '60s'
-- A page of keys, and a lookup for each: the planner would rather read a small table as a whole.
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_material = off
set jit = off
as $$
declare
  model pixseek.models := pixseek.model_named(null);
begin
  perform pixseek.check_bucket(bucket_name);
  -- The model as a literal: a plan for any model would lock the partitions of all.
  return query execute format(
    $query$
      select i.name, i.version, i.size_bytes, i.ordering_key, i.state, i.has_preview,
             case when i.has_preview then pixseek.preview_name(i.id, i.edition) end,
             v.image_id is not null,
             coalesce(i.state = 'failed' and w.is_failed and w.attempts >= pixseek.max_attempts(), false),
             v.image_id is null and i.state in ('pending', 'indexed') and not coalesce(w.is_failed, false)
               and (coalesce(pixseek.is_stuck(w.leased_until), false)
                    or coalesce(pixseek.is_stuck(l.leased_until), false))
      from (
        select *
        from pixseek.images p
        where p.bucket = $1 and p.name > $2 and (p.state <> 'deleted' or p.name !~ '^forgotten/[0-9a-f]{64}$')
        order by p.name
        limit $3
      ) i
      left join pixseek.vectors v on v.image_id = i.id and v.model_id = %1$s
      left join pixseek.work w on w.image_id = i.id and w.model_id = %1$s
      left join pixseek.leases l on l.content_hash = i.content_hash and l.model_id = %1$s
      order by i.name
    $query$, model.id
  ) using bucket_name, coalesce(after, ''), pixseek.checked_count(page_size);
end
$$;

-- Puts images back to the open work of the active model, with all their tries; those that somebody embeds right now
-- are left to them. The images are locked already.
create function pixseek.reopen(image_ids bigint[], of_model_id integer) returns bigint[]
language plpgsql
set search_path = ''
as $$
declare
  reopened bigint[] := array(
    select s.image_id
    from pixseek.standings s
    join pixseek.images i on i.id = s.image_id
    left join pixseek.work w on w.image_id = s.image_id and w.model_id = of_model_id
    left join pixseek.leases l on l.content_hash = i.content_hash and l.model_id = of_model_id
    where s.image_id = any (image_ids) and s.state <> 'indexed'
      and not coalesce(not w.is_failed and w.leased_until > now() and not pixseek.is_stuck(w.leased_until), false)
      and not coalesce(l.leased_until > now() and not pixseek.is_stuck(l.leased_until), false)
  );
begin
  insert into pixseek.work as w (image_id, model_id)
  select id, of_model_id from unnest(reopened) id order by id
  on conflict (image_id, model_id) do update set
    attempts = 0, leased_until = '-infinity', is_failed = false, reason = null;
  perform from pixseek.leases l
  where l.model_id = of_model_id
    and l.content_hash in (select i.content_hash from pixseek.images i where i.id = any (reopened))
  order by l.content_hash
  for update;
  delete from pixseek.leases l
  using pixseek.images i
  where i.id = any (reopened) and l.model_id = of_model_id and l.content_hash = i.content_hash;
  -- One that failed is in no standing any more, and waits.
  update pixseek.images i set state = 'pending', reason = null, updated_at = now()
  where i.id = any (reopened) and i.state = 'failed';
  perform pixseek.settle(reopened);
  return reopened;
end
$$;

-- The same by name, for what lacks its vector: wrong_model, failed, stuck_lease. What is no picture stays failed.
-- Answers how many.
create function public.queue_images_v1(bucket_name text, object_names text[]) returns integer
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
declare
  model pixseek.models := pixseek.model_for_writing(null);
  named bigint[];
begin
  perform pixseek.check_bucket(bucket_name);
  named := array(
    select i.id from pixseek.images i
    where i.bucket = bucket_name and i.name = any (pixseek.checked_names(object_names))
  );
  perform pixseek.lock_images(named);
  return cardinality(pixseek.reopen(named, model.id));
end
$$;

-- What is wrong with an object that a sweep has found, beside what record_images_v3 says of it.
create function pixseek.misfit_of_sweep(item jsonb) returns text
language sql immutable
set search_path = ''
as $$
  select case when jsonb_typeof(item) = 'object' then (
    select f.key || ' is no field of it'
    from jsonb_object_keys(item) f (key)
    where f.key not in (
      'bucket', 'name', 'version', 'etag', 'size_bytes', 'ordering_key', 'owner', 'metadata', 'created_at'
    )
    order by f.key
    limit 1
  ) end;
$$;

-- Makes what a sweep has found pending without reading it: on record as storage has it, and open work. Standing:
--   pending   so it was done, or somebody else has done so
--   changed   of Supabase: storage has it otherwise by now, or not at all; nothing was changed
--   outdated  the index knows something newer; nothing was changed
--   indexed, failed, blocked  so the index has it; one that is so in this version already is left as it is
-- `old_preview` can go. Items: bucket, name, ordering_key: the index's own as the sweep saw it, '' for a new one;
-- version, etag, size_bytes, owner, metadata, created_at.
create function public.register_images_v1(objects jsonb, provider text default 'supabase')
returns table (bucket text, name text, standing text, old_preview text)
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  model pixseek.models := pixseek.model_for_writing(null);
  fault text;
  seen jsonb := objects;
  wanted jsonb;
  known jsonb := '[]';
  recorded jsonb := '[]';
  unleased bigint[];
begin
  perform pixseek.check_following(objects);
  perform pixseek.check_provider(provider);
  select format('image %s of the call: %s', e.place, pixseek.misfit_of_sweep(e.value)) into fault
  from jsonb_array_elements(objects) with ordinality e (value, place)
  where pixseek.misfit_of_sweep(e.value) is not null
  order by e.place
  limit 1;
  if fault is not null then
    raise exception '%', fault using errcode = '22023', hint = 'See the comment of the function.';
  end if;
  perform pixseek.image_inputs((
    select jsonb_agg(e.value - 'etag' order by e.place)
    from jsonb_array_elements(objects) with ordinality e (value, place)
  ));
  if provider = 'supabase' then
    seen := pixseek.seen_in_storage(objects);
  end if;
  wanted := (select jsonb_agg(e - 'etag') from jsonb_array_elements(seen) e where e <> 'null');
  if wanted is not null then
    perform pixseek.meet_buckets(wanted, provider);
    perform pixseek.lock_as_before(wanted);
    -- An event may have brought it since: its vector is not thrown away.
    known := (
      select coalesce(jsonb_agg(jsonb_build_object('bucket', i.bucket, 'name', i.name, 'standing', i.state)), '[]')
      from jsonb_array_elements(wanted) e
      join pixseek.images i on i.bucket = e ->> 'bucket' and i.name = e ->> 'name'
      where i.state <> 'deleted' and i.version = e ->> 'version' and i.size_bytes = (e ->> 'size_bytes')::numeric
    );
  end if;
  wanted := (
    select jsonb_agg(e.value || '{"is_of_sweep": true}' order by e.place)
    from jsonb_array_elements(objects) with ordinality e (value, place)
    where not exists (
      select from jsonb_array_elements(known) k
      where k ->> 'bucket' = e.value ->> 'bucket' and k ->> 'name' = e.value ->> 'name'
    )
  );
  if wanted is not null then
    recorded := (
      select jsonb_agg(to_jsonb(r))
      from public.record_images_v3(wanted, null, 1, null, provider) r
    );
    unleased := array(
      select distinct (r ->> 'image_id')::bigint
      from jsonb_array_elements(recorded) r where r ->> 'standing' = 'pending'
    );
    perform pixseek.release(unleased, model.id);
    -- They were counted as calls, and none was made.
    update pixseek.calls c set made = greatest(0, c.made - cardinality(unleased))
    where c.day = pixseek.utc_day() and c.lane = 'indexing';
    -- What failed were other bytes.
    perform pixseek.reopen(
      array(
        select (r ->> 'image_id')::bigint from jsonb_array_elements(recorded) r where r ->> 'standing' = 'failed'
      ),
      model.id
    );
  end if;

  return query
  select e.value ->> 'bucket', e.value ->> 'name',
         case when a.value ->> 'standing' in ('waiting', 'failed') and a.value ? 'image_id' then 'pending'
              else a.value ->> 'standing' end,
         a.value ->> 'old_preview'
  from jsonb_array_elements(objects) with ordinality e (value, place)
  cross join lateral (
    select k.value from jsonb_array_elements(known || recorded) with ordinality k (value, place)
    where k.value ->> 'bucket' = e.value ->> 'bucket' and k.value ->> 'name' = e.value ->> 'name'
    order by k.place
    limit 1
  ) a
  order by e.place;
end
$$;

-- One page of what a bucket of previews has, against the pictures: the names that are there after one (exclusive) and
-- up to another (inclusive; null: to the end). orphan_preview: no picture needs it, image is null; what is not named as
-- a preview is somebody else's. lost_preview: the picture has it on record, and it is not there. By the bytes of the
-- previews' names, 1,000 at most: when it is so many there may be more, to be asked for with the last of them as
-- `after`.
create function public.check_previews_v1(bucket_name text, preview_names text[], after text, until text)
returns table (preview text, image text, fault text)
language plpgsql stable
set search_path = ''
set statement_timeout = '60s'
-- The index's range, in its order.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  -- They are made of digits, '/' and '.webp'.
  up_to constant text := coalesce(until, '~');
begin
  perform pixseek.check_bucket(bucket_name);
  perform pixseek.checked_names(preview_names);
  return query
  select found.preview, found.image, found.fault
  from (
    select o.name as preview, null::text as image, 'orphan_preview' as fault
    from public.orphan_previews_v1(bucket_name, preview_names) o (name)
    where o.name ~ '^[0-9]{1,18}/[0-9]{1,18}\.webp$'
      and o.name collate "C" > coalesce(after, '') and (until is null or o.name collate "C" <= until)
    union all
    select needed.preview, needed.name, 'lost_preview'
    from (
      select pixseek.preview_name(i.id, i.edition) as preview, i.name
      from pixseek.images i
      where i.bucket = bucket_name and i.has_preview and i.state = 'indexed'
        and pixseek.preview_name(i.id, i.edition) collate "C" > coalesce(after, '')
        and pixseek.preview_name(i.id, i.edition) collate "C" <= up_to
      order by pixseek.preview_name(i.id, i.edition) collate "C"
      -- At most 1,000 of them are there.
      limit 2000
    ) needed
    where not exists (select from unnest(preview_names) p (name) where p.name = needed.preview)
  ) found
  order by found.preview collate "C"
  limit 1000;
end
$$;

-- Notes that the previews of some indexed images are not there. Answers of how many that is news.
create function public.lose_previews_v1(bucket_name text, object_names text[]) returns integer
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
declare
  named bigint[];
  lost integer;
begin
  perform pixseek.share_registry();
  perform pixseek.check_bucket(bucket_name);
  named := array(
    select i.id from pixseek.images i
    where i.bucket = bucket_name and i.name = any (pixseek.checked_names(object_names))
  );
  perform pixseek.lock_images(named);
  update pixseek.images i set has_preview = false
  where i.id = any (named) and i.state = 'indexed' and i.has_preview;
  get diagnostics lost = row_count;
  return lost;
end
$$;

revoke execute on function
  pixseek.check_bucket, pixseek.check_lease, pixseek.audit_of, pixseek.lock_audit, public.begin_audit_v1,
  pixseek.progress_fault, pixseek.removals_fault, public.keep_audit_v1, public.pause_audit_v1, public.end_audit_v1,
  public.audit_removals_v1, public.count_audit_removals_v1, public.latest_audits_v1, pixseek.is_stuck,
  public.audit_images_v1, pixseek.reopen, public.queue_images_v1, pixseek.misfit_of_sweep,
  public.register_images_v1, public.check_previews_v1, public.lose_previews_v1
from public, anon, authenticated;
grant execute on function
  pixseek.check_bucket, pixseek.check_lease, pixseek.audit_of, pixseek.lock_audit, public.begin_audit_v1,
  pixseek.progress_fault, pixseek.removals_fault, public.keep_audit_v1, public.pause_audit_v1, public.end_audit_v1,
  public.audit_removals_v1, public.count_audit_removals_v1, public.latest_audits_v1, pixseek.is_stuck,
  public.audit_images_v1, pixseek.reopen, public.queue_images_v1, pixseek.misfit_of_sweep,
  public.register_images_v1, public.check_previews_v1, public.lose_previews_v1
to service_role;
