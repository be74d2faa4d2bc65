-- The spend guard: how fast and how often all instances together call a model that costs money.
--
-- Time is cut into slots, one call each, five in a hundred fewer than the rate allows: calls may then come up to 50 ms
-- late, and still no second of any beginning has more of them than the rate. A call may begin up to 40 ms late (of a
-- search 20 ms, after a slot that had begun 20 ms before); what is left is for the way to the model, as far as it
-- takes one call longer than another. Two lanes, search and indexing, share the slots so that neither starves the other: indexing leaves one slot in 40 to whoever comes to search, and every
-- second one while people do. What searches do not need indexing may have, and the other way round.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Null lifts a limit.
create table pixseek.spending_limits (
  is_only_row boolean primary key default true check (is_only_row),
  calls_per_s double precision default 20 check (calls_per_s between 0.01 and 10000),
  search_calls_per_day bigint check (search_calls_per_day >= 0),
  indexing_calls_per_day bigint check (indexing_calls_per_day >= 0)
);
insert into pixseek.spending_limits default values;

-- Slots that are given out, of the last ten seconds and of the time to come.
create table pixseek.permits (
  slot bigint primary key,
  lane text not null check (lane in ('search', 'indexing'))
);

-- A day's calls (of UTC), and those that were spared: bytes that had their vector, texts that were remembered.
create table pixseek.calls (
  day date not null,
  lane text not null check (lane in ('search', 'indexing')),
  made bigint not null default 0,
  saved bigint not null default 0,
  primary key (day, lane)
);

alter table pixseek.spending_limits enable row level security;
alter table pixseek.permits enable row level security;
alter table pixseek.calls enable row level security;
grant select, insert, update, delete on pixseek.spending_limits, pixseek.permits, pixseek.calls to service_role;

-- Some calls as they were granted: in how many seconds each may be made, soonest first, and how long after that it
-- may still be made (null: at any time). When they are fewer than were asked for, the time at which there are more.
create type pixseek.granted as (waits_s double precision[], valid_s double precision, frees_at timestamptz);

create function pixseek.utc_day() returns date
language sql stable
set search_path = ''
return (clock_timestamp() at time zone 'UTC')::date;

create function pixseek.count_calls(of_lane text, made_count bigint, saved_count bigint) returns void
language sql
set search_path = ''
as $$
  insert into pixseek.calls as c (day, lane, made, saved)
  select pixseek.utc_day(), of_lane, made_count, saved_count where made_count + saved_count > 0
  on conflict (day, lane) do update set made = c.made + excluded.made, saved = c.saved + excluded.saved;
$$;

-- The slots that a lane may book.
create function pixseek.free_slots(for_lane text, first_slot bigint, last_slot bigint) returns setof bigint
language sql stable
set search_path = ''
as $$
  select s.slot
  from generate_series(first_slot, last_slot) s (slot)
  where not exists (select from pixseek.permits p where p.slot = s.slot)
    and (for_lane = 'search' or s.slot % case
      when exists (select from pixseek.permits p where p.lane = 'search') then 2 else 40 end <> 0);
$$;

-- Books free slots for a lane, none that begins later than in max_wait_s.
create function pixseek.book_slots(
  for_lane text, calls_per_s double precision, call_count bigint, max_wait_s double precision
) returns pixseek.granted
language plpgsql
set search_path = ''
as $$
declare
  slot_s constant double precision := 1 / (0.95 * calls_per_s);
  -- Less than 1 / 0.95 - 1, for the way to the model.
  late_s constant double precision := 0.04;
  -- Somebody waits for a search: it may have the slot that has just begun.
  ago_s constant double precision := case for_lane when 'search' then late_s / 2 else 0 end;
  now_s constant double precision := extract(epoch from clock_timestamp());
  first_slot constant bigint := ceil((now_s - ago_s) / slot_s);
  last_slot constant bigint := floor((now_s + max_wait_s) / slot_s);
  -- Of so many slots one is free, though every second one be left to search.
  span bigint;
  found pixseek.granted;
begin
  delete from pixseek.permits p where p.slot < first_slot - 10 / slot_s;
  span := 2 * (1 + (select count(*) from pixseek.permits p where p.slot >= first_slot));
  with taken as (
    insert into pixseek.permits (slot, lane)
    select f.slot, for_lane
    from pixseek.free_slots(for_lane, first_slot, least(first_slot + span + 2 * call_count, last_slot)) f (slot)
    order by f.slot
    limit call_count
    returning slot
  )
  select coalesce(array_agg(greatest(0, slot * slot_s - now_s) order by slot), '{}') into found.waits_s from taken;
  found.valid_s := late_s - ago_s;
  if cardinality(found.waits_s) < call_count then
    found.frees_at := to_timestamp(
      slot_s * (select min(f) from pixseek.free_slots(for_lane, last_slot + 1, last_slot + 1 + span) f)
    );
  end if;
  return found;
end
$$;

-- Grants up to call_count calls, within the rate, the lane's budget of the day and max_wait_s. Unused are calls that
-- were granted before and not made in time: the budget gets them back.
create function pixseek.grant_calls(
  for_lane text, call_count integer, max_wait_s double precision, unused_count bigint default 0
) returns pixseek.granted
language plpgsql
set search_path = ''
as $$
declare
  limits pixseek.spending_limits;
  left_today bigint;
  affordable bigint;
  found pixseek.granted;
begin
  -- One at a time; taken after all other locks.
  select * into limits from pixseek.spending_limits for no key update;
  update pixseek.calls c set made = greatest(0, c.made - unused_count)
  where unused_count > 0 and c.day = pixseek.utc_day() and c.lane = for_lane;
  left_today := (to_jsonb(limits) ->> (for_lane || '_calls_per_day'))::bigint - coalesce(
    (select c.made from pixseek.calls c where c.day = pixseek.utc_day() and c.lane = for_lane), 0
  );
  -- Of null, least takes no notice.
  affordable := greatest(0, least(call_count, left_today));
  if limits.calls_per_s is null then
    found.waits_s := array_fill(0::double precision, array[affordable::integer]);
  else
    found := pixseek.book_slots(for_lane, limits.calls_per_s, affordable, max_wait_s);
  end if;
  if affordable < call_count then
    -- What is left of the budget may be free sooner.
    found.frees_at := coalesce(found.frees_at, (pixseek.utc_day() + 1)::timestamp at time zone 'UTC');
  end if;
  perform pixseek.count_calls(for_lane, cardinality(found.waits_s), 0);
  return found;
end
$$;

create function pixseek.check_lane(lane text) returns void
language plpgsql immutable
set search_path = ''
as $$
begin
  if not coalesce(lane in ('search', 'indexing'), false) then
    raise exception 'unknown lane: %', coalesce(lane, 'null')
      using errcode = '22023', hint = 'One of search, indexing.';
  end if;
end
$$;

-- Takes up to n permits to call a model that costs money: {"waits_s": seconds from now at which each call may be
-- made, soonest first, "valid_s": how long after that it may still be made, or null for ever, "frees_at": when there
-- are more, or null if all were granted}. Unused are permits of before that were not used in time: they cost nothing.
create function public.take_permits_v1(
  lane text, permit_count integer, max_wait_s double precision, unused_count bigint default 0
) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  found pixseek.granted;
begin
  perform pixseek.check_lane(lane);
  if not coalesce(permit_count between 1 and 500, false) or not coalesce(max_wait_s between 0 and 3600, false) then
    raise exception 'not a number of permits and seconds: %, %',
      coalesce(permit_count::text, 'null'), coalesce(max_wait_s::text, 'null')
      using errcode = '22023', hint = 'Take 1 to 500 permits, and wait 0 to 3600 s.';
  elsif not coalesce(unused_count >= 0, false) then
    raise exception 'permits cannot be fewer than none: %', coalesce(unused_count::text, 'null')
      using errcode = '22023', hint = 'Pass how many were not used, from 0 on.';
  end if;
  found := pixseek.grant_calls(lane, permit_count, max_wait_s, unused_count);
  return to_jsonb(found);
end
$$;

-- Counts calls that needed no permit, and calls that were spared.
create function public.count_calls_v1(lane text, made bigint default 0, saved bigint default 0) returns void
language plpgsql
set search_path = ''
as $$
begin
  perform pixseek.check_lane(lane);
  if not coalesce(made >= 0 and saved >= 0, false) then
    raise exception 'calls cannot be fewer than none' using errcode = '22023', hint = 'Pass counts from 0 on.';
  end if;
  perform pixseek.count_calls(lane, made, saved);
end
$$;

-- Sets some of the limits; null lifts one: calls_per_s, search_calls_per_day, indexing_calls_per_day.
create function public.limit_spending_v1(limits jsonb) returns void
language plpgsql
set search_path = ''
as $$
declare
  wrong text;
  present jsonb;
begin
  wrong := case when coalesce(jsonb_typeof(limits), 'null') <> 'object' then 'the limits' else (
    select l.key from jsonb_each(limits) l
    where l.key not in ('calls_per_s', 'search_calls_per_day', 'indexing_calls_per_day')
      or jsonb_typeof(l.value) not in ('number', 'null')
      or (l.key = 'calls_per_s' and not (l.value #>> '{}')::numeric between 0.01 and 10000)
      or (l.key <> 'calls_per_s' and ((l.value #>> '{}')::numeric not between 0 and 1e15
                                      or (l.value #>> '{}')::numeric % 1 <> 0))
    order by l.key limit 1
  ) end;
  if wrong is not null then
    raise exception 'not a limit of spending: %', wrong
      using errcode = '22023', hint = 'calls_per_s from 0.01 to 10000, search_calls_per_day and '
        'indexing_calls_per_day whole numbers from 0; null lifts one.';
  end if;
  select to_jsonb(s) into present from pixseek.spending_limits s for no key update;
  if limits -> 'calls_per_s' <> present -> 'calls_per_s' then
    -- Slots of another length.
    delete from pixseek.permits;
  end if;
  present := present || limits;
  -- By way of numeric: 100.0 is a whole number too.
  update pixseek.spending_limits s set
    calls_per_s = (present ->> 'calls_per_s')::double precision,
    search_calls_per_day = (present ->> 'search_calls_per_day')::numeric,
    indexing_calls_per_day = (present ->> 'indexing_calls_per_day')::numeric;
end
$$;

-- What the operator sees: each lane's calls of today and its limits.
create function public.spending_v1()
returns table (lane text, made bigint, saved bigint, calls_per_day bigint, calls_per_s double precision)
language sql stable
set search_path = ''
as $$
  select l.lane, coalesce(c.made, 0), coalesce(c.saved, 0), l.calls_per_day, s.calls_per_s
  from pixseek.spending_limits s
  cross join lateral (
    values ('search', s.search_calls_per_day), ('indexing', s.indexing_calls_per_day)
  ) l (lane, calls_per_day)
  left join pixseek.calls c on c.day = pixseek.utc_day() and c.lane = l.lane;
$$;

-- Gives back the lease of images that were not tried: none of their attempts is used up. The images are locked
-- already.
create function pixseek.release(image_ids bigint[], of_model_id integer) returns void
language sql
set search_path = ''
as $$
  -- Of the same bytes an image may hold the lease, and others wait for it.
  delete from pixseek.leases l
  using pixseek.images i, pixseek.work w
  where i.id = any (image_ids) and l.model_id = of_model_id and l.content_hash = i.content_hash
    and w.image_id = i.id and w.model_id = of_model_id and w.leased_until = l.leased_until;
  -- A call may come twice: the second finds no lease.
  update pixseek.work w set attempts = w.attempts - 1, leased_until = '-infinity'
  where w.model_id = of_model_id and w.image_id = any (image_ids) and w.leased_until > '-infinity';
$$;

-- The same for a worker that could not begin for a reason that is not the image's.
-- Items: bucket, name, content_hash, as they were recorded.
create function public.release_images_v1(images jsonb, model_name text default null) returns void
language plpgsql
set search_path = ''
as $$
declare
  model pixseek.models := pixseek.model_for_writing(model_name);
  fault text;
begin
  perform pixseek.check_items(images);
  select format('image %s of the call: %s', e.place, f.fault) into fault
  from jsonb_array_elements(images) with ordinality e (value, place)
  cross join lateral (
    select coalesce(pixseek.misfit(e.value), case
      when e.value ->> 'bucket' is null or e.value ->> 'name' is null or e.value ->> 'content_hash' is null
      then 'it needs a bucket, a name and a content_hash'
    end) as fault
  ) f
  where f.fault is not null
  order by e.place
  limit 1;
  if fault is not null then
    raise exception '%', fault using errcode = '22023', hint = 'Name the image as it was recorded.';
  end if;
  perform pixseek.lock_images(array(
    select i.id
    from jsonb_to_recordset(images) n (bucket text, name text)
    join pixseek.images i on i.bucket = n.bucket and i.name = n.name
  ));
  -- Only now: other bytes may have been recorded meanwhile.
  perform pixseek.release(
    array(
      select i.id
      from jsonb_to_recordset(images) n (bucket text, name text, content_hash text)
      join pixseek.images i on i.bucket = n.bucket and i.name = n.name and i.content_hash = n.content_hash
    ),
    model.id
  );
end
$$;

create type pixseek.recorded as (bucket text, name text, image_id bigint, standing text);

-- record_images_v1, with the permits to embed what is the caller's to embed: in how many seconds each may be
-- embedded, and until when (null: at any time). Null permit_wait_s asks for none: the model costs nothing. An image
-- that got no permit is pending all the same, and nobody's: embed_in_s is null, and permits_at says when to come again.
create function public.record_images_v2(
  images jsonb,
  model_name text default null,
  lease_s integer default 120,
  permit_wait_s double precision default null
)
returns table (
  bucket text, name text, image_id bigint, standing text,
  embed_in_s double precision, embed_until_s double precision, permits_at timestamptz
)
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  model pixseek.models := pixseek.model_for_writing(model_name);
  recorded pixseek.recorded[] := array(
    select r::pixseek.recorded from public.record_images_v1(images, model_name, lease_s) r
  );
  pending bigint[] := array(select distinct r.image_id from unnest(recorded) r where r.standing = 'pending');
  permits pixseek.granted := row(array_fill(0::double precision, array[cardinality(pending)]), null, null);
  longest double precision;
begin
  if not coalesce(permit_wait_s between 0 and 3600, true) then
    raise exception 'permit_wait_s must be from 0 to 3600 seconds, not %', permit_wait_s
      using errcode = '22023', hint = 'Null asks for no permits.';
  elsif permit_wait_s is not null and cardinality(pending) > 0 then
    permits := pixseek.grant_calls('indexing', cardinality(pending), permit_wait_s);
    perform pixseek.release(pending[cardinality(permits.waits_s) + 1:], model.id);
    -- A lease begins when its call may be made.
    longest := (select max(w) from unnest(permits.waits_s) w);
    update pixseek.work w set leased_until = w.leased_until + make_interval(secs => longest)
    where w.model_id = model.id and w.image_id = any (pending[:cardinality(permits.waits_s)]);
    update pixseek.leases l set leased_until = l.leased_until + make_interval(secs => longest)
    from pixseek.images i
    where l.model_id = model.id and i.id = any (pending[:cardinality(permits.waits_s)])
      and l.content_hash = i.content_hash;
  end if;
  perform pixseek.count_calls(
    'indexing', case when permit_wait_s is null then cardinality(pending) else 0 end,
    (select count(distinct r.image_id) from unnest(recorded) r where r.standing = 'indexed')
  );

  return query
  select r.bucket, r.name, r.image_id, r.standing, w.wait_s, w.wait_s + permits.valid_s,
         case when r.standing = 'pending' and w.wait_s is null then permits.frees_at end
  from unnest(recorded) with ordinality r (bucket, name, image_id, standing, place)
  left join unnest(pending, permits.waits_s) w (image_id, wait_s) on w.image_id = r.image_id and r.standing = 'pending'
  order by r.place;
end
$$;

revoke execute on function
  public.take_permits_v1, public.count_calls_v1, public.limit_spending_v1, public.spending_v1,
  public.release_images_v1, public.record_images_v2, pixseek.utc_day, pixseek.count_calls, pixseek.free_slots,
  pixseek.book_slots, pixseek.grant_calls, pixseek.check_lane, pixseek.release
from public, anon, authenticated;
grant execute on function
  public.take_permits_v1, public.count_calls_v1, public.limit_spending_v1, public.spending_v1,
  public.release_images_v1, public.record_images_v2, pixseek.utc_day, pixseek.count_calls, pixseek.free_slots,
  pixseek.book_slots, pixseek.grant_calls, pixseek.check_lane, pixseek.release
to service_role;
