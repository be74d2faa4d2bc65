-- Forgetting pictures for good, and the names of what was deleted long ago.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- What was forgotten: of bucket and name a digest, so that an event that comes later does not bring the name back.
create table pixseek.forgotten (
  digest bytea primary key,
  forgotten_at timestamptz not null default now(),
  -- No picture up to this id bears the name again.
  seen_id bigint not null
);
create index forgotten_forgotten_at on pixseek.forgotten (forgotten_at);

alter table pixseek.forgotten enable row level security;
grant select, insert, update, delete on pixseek.forgotten to service_role;

-- A migration is a transaction, where no index can be made concurrently: uploads wait meanwhile. On a large index make
-- it before, by the same statement, concurrently.
-- squawk-ignore require-concurrent-index-creation
create index if not exists images_tombstones on pixseek.images (updated_at)
where state = 'deleted' and name !~ '^forgotten/[0-9a-f]{64}$';

-- Bucket and name, as they are remembered when they are forgotten.
create function pixseek.object_digest(bucket text, name text) returns bytea
language sql immutable
set search_path = ''
return sha256(convert_to(octet_length(bucket) || ':' || bucket || name, 'UTF8'));

-- A name that tells nothing. Not a digest of the old one: that could be guessed, and comes twice when the name does.
create function pixseek.scrubbed_name() returns text
language sql volatile
set search_path = ''
return 'forgotten/' || encode(sha256(uuid_send(gen_random_uuid())), 'hex');

-- What forget_images_v1 has to forget, with each one's preview, in the order of their ids: the live pictures of an
-- owner, and the tombstones under the owner's folder where folders tell whose a picture is; or all that the index has
-- of one object. What was forgotten does not come again, so the next page is what the next call answers.
create function public.images_to_forget_v1(
  owner_id text default null, bucket_name text default null, image_name text default null,
  match_count integer default 500
) returns table (image_id bigint, bucket text, name text, provider text, preview text)
language plpgsql stable
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
begin
  if num_nonnulls(owner_id, bucket_name) <> 1 or num_nonnulls(bucket_name, image_name) = 1
    or '' in (owner_id, bucket_name, image_name) then
    raise exception 'what is to be forgotten is asked for by its owner, or by its bucket and its name'
      using errcode = '22023', hint = 'Pass owner_id, or bucket_name and image_name.';
  end if;
  return query
  select i.id, i.bucket, i.name, b.provider,
         case when i.has_preview and i.state <> 'deleted' then pixseek.preview_name(i.id, i.edition) end
  from (
    select o.* from pixseek.images o where o.owner = owner_id and o.state <> 'deleted'
    union all
    select t.*
    from pixseek.buckets f
    join pixseek.images t
      -- '0' is the character after '/'.
      on t.bucket = f.name and t.name > owner_id || '/' and t.name < owner_id || '0'
      and t.state = 'deleted' and t.name !~ '^forgotten/[0-9a-f]{64}$'
    where f.owner_rule = 'first_segment'
    union all
    select n.* from pixseek.images n
    where n.bucket = bucket_name and n.name = image_name
      and (n.state <> 'deleted' or n.name !~ '^forgotten/[0-9a-f]{64}$')
  ) i
  join pixseek.buckets b on b.name = i.bucket
  order by i.id
  limit pixseek.checked_count(match_count);
end
$$;

-- Forgets images for good, at most 1,000: their vectors, those of their bytes that were spared, all that is known of
-- them, their names also where audits have told them. What stays is a tombstone without a name, and a digest that
-- keeps the name from coming back by a late event. Answers how many. Objects and previews are the caller's to delete,
-- before.
create function public.forget_images_v1(image_ids bigint[]) returns integer
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  forgotten pixseek.before[];
  hashes text[];
  removed_at timestamptz[];
begin
  if not coalesce(cardinality(forget_images_v1.image_ids) <= 1000, false) then
    raise exception 'image_ids must be a list of at most 1000 ids, not %',
      coalesce(cardinality(forget_images_v1.image_ids)::text, 'null')
      using errcode = '22023', hint = 'Forget in several calls.';
  end if;
  perform pixseek.share_registry();
  -- Whoever claims work notes images by their ids; other names are kept from them, or both would wait for each other.
  perform pg_advisory_xact_lock(hashtextextended('pixseek.claims', m.id)) from (
    select id from pixseek.models order by id
  ) m;
  -- One without a name is in no order that others share.
  perform from pixseek.images i
  where i.id = any (forget_images_v1.image_ids)
    and (i.state <> 'deleted' or i.name !~ '^forgotten/[0-9a-f]{64}$')
  order by i.bucket, i.name
  for update;
  forgotten := array(
    select row(i.id, i.bucket, i.name, i.content_hash, i.edition, i.has_preview)::pixseek.before
    from pixseek.images i
    where i.id = any (forget_images_v1.image_ids)
      and (i.state <> 'deleted' or i.name !~ '^forgotten/[0-9a-f]{64}$')
  );
  hashes := array(
    select distinct f.content_hash
    from unnest(forgotten) f
    where f.content_hash is not null and not exists (
      select from pixseek.images twin
      where twin.content_hash = f.content_hash and twin.id <> all (forget_images_v1.image_ids)
    )
  );
  -- A tombstone knows its bytes no more, and when their vector was spared: in the transaction that made it.
  removed_at := array(
    select distinct i.updated_at
    from unnest(forgotten) f
    join pixseek.images i on i.id = f.image_id and i.state = 'deleted'
  );
  delete from pixseek.vectors v using unnest(forgotten) f where v.image_id = f.image_id;
  -- In the order in which others lock them.
  perform from pixseek.spare_vectors s
  where s.content_hash = any (hashes) or s.spared_at = any (removed_at)
  order by s.model_id, s.content_hash
  for update;
  delete from pixseek.spare_vectors s where s.content_hash = any (hashes) or s.spared_at = any (removed_at);
  delete from pixseek.work w using unnest(forgotten) f where w.image_id = f.image_id;
  perform from pixseek.leases l
  where l.content_hash = any (hashes)
  order by l.model_id, l.content_hash
  for update;
  delete from pixseek.leases l where l.content_hash = any (hashes);
  update pixseek.images i set
    name = pixseek.scrubbed_name(), state = 'deleted', reason = null, owner = null, version = null,
    content_hash = null, content_type = null, size_bytes = null, width = null, height = null, taken_at = null,
    average_colour = null, has_preview = false, created_at = now(), updated_at = now()
  from unnest(forgotten) f
  where i.id = f.image_id;

  perform pg_advisory_xact_lock(hashtextextended('pixseek.forgotten', 0));
  insert into pixseek.forgotten as o (digest, seen_id)
  select pixseek.object_digest(f.bucket, f.name), (select max(i.id) from pixseek.images i)
  from unnest(forgotten) f
  order by 1
  on conflict (digest) do update set forgotten_at = now(), seen_id = excluded.seen_id;
  -- Whoever keeps one of them holds it before its removals.
  perform from pixseek.audits a
  where a.state = 'running' and a.bucket in (select f.bucket from unnest(forgotten) f)
  order by a.id
  for no key update;
  delete from pixseek.audit_removals r
  using pixseek.audits a, unnest(forgotten) f
  where a.state = 'running' and a.bucket = f.bucket and r.audit_id = a.id and r.name = f.name;
  update pixseek.audits a set examples = '{}'
  where exists (
    select
    from jsonb_path_query(a.examples, 'strict $.** ? (@.type() == "string")') told
    join unnest(forgotten) f on f.bucket = a.bucket and f.name = told #>> '{}'
  );
  update pixseek.audits a set position = ''
  from unnest(forgotten) f
  where a.bucket = f.bucket and a.position = f.name and a.state <> 'running';
  return cardinality(forgotten);
end
$$;

-- Takes the names off tombstones that came back after they were forgotten, then off those that nothing comes late for
-- any more. Answers how many; when it is match_count there may be more. An event of such a name makes a new row. What
-- is remembered of forgotten names goes after 400 days, or when a picture bears the name again. Other words that have
-- had their time go too: forgotten names that audits have told since, texts that nobody has asked for 90 days.
create function public.scrub_tombstones_v1(older_than_days integer default 30, match_count integer default 10000)
returns integer
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_variable
declare
  latest_id bigint;
  scrubbed bigint[];
begin
  if not coalesce(older_than_days between 0 and 36500, false) then
    raise exception 'older_than_days must be from 0 to 36500, not %', coalesce(older_than_days::text, 'null')
      using errcode = '22023', hint = 'Longer than an event may take.';
  elsif not coalesce(match_count between 1 and 100000, false) then
    raise exception 'match_count must be from 1 to 100000, not %', coalesce(match_count::text, 'null')
      using errcode = '22023', hint = 'Call again while it answers so many.';
  end if;
  perform pixseek.share_registry();
  perform pg_advisory_xact_lock(hashtextextended('pixseek.forgotten', 0));
  delete from pixseek.forgotten f where f.forgotten_at < now() - interval '400 days';
  latest_id := (select max(i.id) from pixseek.images i);
  delete from pixseek.forgotten f
  using pixseek.images i
  where i.id > (select min(o.seen_id) from pixseek.forgotten o) and i.id > f.seen_id
    and i.state <> 'deleted' and f.digest = pixseek.object_digest(i.bucket, i.name);
  update pixseek.forgotten f set seen_id = latest_id where f.seen_id < latest_id;

  -- Waits for nobody: what somebody holds is for the next time.
  scrubbed := array(
    select i.id from pixseek.images i
    join pixseek.forgotten f on f.digest = pixseek.object_digest(i.bucket, i.name)
    where i.state = 'deleted' and i.name !~ '^forgotten/[0-9a-f]{64}$'
    limit match_count
    for update of i skip locked
  );
  scrubbed := scrubbed || array(
    select i.id from pixseek.images i
    where i.state = 'deleted' and i.name !~ '^forgotten/[0-9a-f]{64}$'
      and i.updated_at < now() - make_interval(days => older_than_days) and i.id <> all (scrubbed)
    order by i.updated_at
    limit match_count - cardinality(scrubbed)
    for update skip locked
  );
  update pixseek.images i set name = pixseek.scrubbed_name(), created_at = now(), updated_at = now()
  where i.id = any (scrubbed);
  -- Spares none, and clears what was spared longer than a day.
  perform pixseek.spare_vectors('{}');

  -- An audit that ran meanwhile tells what it knew before.
  update pixseek.audits a set examples = '{}'
  where a.examples <> '{}' and exists (
    select
    from jsonb_path_query(a.examples, 'strict $.** ? (@.type() == "string")') told
    join pixseek.forgotten f on f.digest = pixseek.object_digest(a.bucket, told #>> '{}')
  );
  update pixseek.audits a set position = ''
  from pixseek.forgotten f
  where a.state <> 'running' and a.position <> '' and f.digest = pixseek.object_digest(a.bucket, a.position);
  delete from pixseek.asked_texts where digest in (
    select o.digest from pixseek.asked_texts o
    where o.asked_on < pixseek.utc_day() - 90
    for update skip locked
  );
  return cardinality(scrubbed);
end
$$;

revoke execute on function
  pixseek.object_digest, pixseek.scrubbed_name, public.images_to_forget_v1, public.forget_images_v1,
  public.scrub_tombstones_v1
from public, anon, authenticated;
grant execute on function
  pixseek.object_digest, pixseek.scrubbed_name, public.images_to_forget_v1, public.forget_images_v1,
  public.scrub_tombstones_v1
to service_role;
