-- From one model to the next while searches go on: one target at a time, work that says what a worker needs, and the
-- texts that are asked most, so that a new model knows them before it goes live.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- The model that the index is being brought to; no longer once it is active, retired or dropped.
alter table pixseek.models add column is_target boolean not null default false;
-- A table of a few rows.
-- squawk-ignore require-concurrent-index-creation
create unique index models_one_target on pixseek.models (is_target) where is_target;

-- The last image that find_work_of has come to.
alter table pixseek.models add column work_found_to bigint not null default 0;

create function pixseek.end_target() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.is_target := false;
  return new;
end
$$;
create trigger end_target before update of state on pixseek.models
for each row when (old.is_target and new.state <> 'building') execute function pixseek.end_target();

-- Registers a model as create_model_v1 does, and makes it the target if it is being built. Answers its state: an active
-- one needs no switch, a retired one was switched away from and comes back by activate_model_v1 alone.
create function public.aim_at_model_v1(
  model_name text,
  model_dimensions integer,
  model_similarity_floor double precision default 0.2,
  model_languages text[] default '{}'
) returns text
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
declare
  model pixseek.models;
  other text;
begin
  perform pixseek.lock_registry();
  perform public.create_model_v1(model_name, model_dimensions, model_similarity_floor, model_languages);
  model := pixseek.model_named(model_name);
  select m.name into other from pixseek.models m where m.is_target and m.id <> model.id;
  if model.state = 'building' and other is not null then
    raise exception 'the pictures are being brought to model %, so not to % at the same time', other, model.name
      using errcode = '55000', hint = format(
        'Let that end, or give it up: take its NEXT_CLIP_MODEL back, then pixseek models drop %s.', other
      );
  end if;
  update pixseek.models m set is_target = true where m.id = model.id and m.state = 'building' and not m.is_target;
  return model.state;
end
$$;

-- The model that searches use.
create function public.active_model_v1() returns text
language sql stable
set search_path = ''
as $$
  select (pixseek.model_named(null)).name;
$$;

-- The model of the search that a cursor goes on with: its query has to be embedded with that.
create function public.cursor_model_v1(page_cursor text) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  found_name text := (
    select m.name from pixseek.models m
    where m.id = (pixseek.read_cursor(page_cursor))[1]::integer and m.state <> 'dropped'
  );
begin
  if found_name is null then
    raise exception 'the model of this search is no longer there'
      using errcode = '22023', hint = 'Start again without a cursor.';
  end if;
  return found_name;
end
$$;

-- How long ago a model was retired is told by the database's clock, whatever that of its reader says.
create function public.list_models_v2()
returns table (name text, dimensions integer, similarity_floor double precision, languages text[], state text,
               is_target boolean, is_guides boolean, vectors bigint, retired_for_s double precision)
language sql stable
set search_path = ''
set statement_timeout = '60s'
as $$
  select m.name, m.dimensions, m.similarity_floor, m.languages, m.state, m.is_target,
         exists (select from pixseek.guide g where g.model_id = m.id),
         (select count(*) from pixseek.vectors v where v.model_id = m.id),
         extract(epoch from clock_timestamp() - m.retired_at)
  from pixseek.models m
  order by m.id;
$$;

-- What it takes to bring a model to all pictures: those without a vector, and the calls for them; null is a model that
-- the index does not know yet. The same bytes take one call; what was never read may turn out to have a vector.
create function public.reembed_estimate_v1(model_name text default null)
returns table (images bigint, calls bigint)
language plpgsql stable
set search_path = ''
set statement_timeout = '60s'
as $$
declare
  of_model_id integer := case when model_name is null then 0 else (pixseek.model_named(model_name)).id end;
begin
  return query
  select count(*), count(distinct coalesce(i.content_hash, i.id::text))
  from pixseek.gaps(of_model_id) g
  join pixseek.images i on i.id = g.image_id
  where not g.is_failed;
end
$$;

-- open_work, of some buckets.
create function pixseek.open_work_of(of_model_id integer, n integer, of_buckets text[]) returns bigint[]
language sql
set search_path = ''
as $$
  select array(
    select w.image_id
    from pixseek.work w
    join pixseek.images i on i.id = w.image_id and i.state in ('pending', 'indexed', 'failed')
    where w.model_id = of_model_id and not w.is_failed and i.bucket = any (of_buckets)
      and w.attempts < pixseek.max_attempts() and w.leased_until < clock_timestamp()
      and not exists (
        select from pixseek.vectors v where v.image_id = w.image_id and v.model_id = of_model_id
      )
      and not exists (
        select from pixseek.leases l
        where l.model_id = of_model_id and l.content_hash = i.content_hash and l.leased_until >= clock_timestamp()
      )
    order by w.image_id
    limit n
    for no key update of i, w skip locked
  );
$$;

-- find_work, of some buckets: else thousands of pictures of another store would stand before the first of ours. Of
-- the images above one; what it found, in their order.
create function pixseek.find_work_above(of_model_id integer, of_buckets text[], mark bigint) returns bigint[]
language plpgsql
set search_path = ''
as $$
declare
  found_ids bigint[];
begin
  with added as (
    insert into pixseek.work as own (image_id, model_id)
    select s.image_id, of_model_id
    from pixseek.standings s
    join pixseek.images i on i.id = s.image_id and i.bucket = any (of_buckets)
    where s.image_id > mark
      -- The mark once more, or all below would be read too.
      and not exists (
        select from pixseek.vectors v
        where v.image_id = s.image_id and v.image_id > mark and v.model_id = of_model_id
      )
      and not exists (
        select from pixseek.work w where w.image_id = s.image_id and w.image_id > mark and w.model_id = of_model_id
      )
    order by s.image_id
    limit 10000
    on conflict do nothing
    returning own.image_id
  )
  select coalesce(array_agg(a.image_id order by a.image_id), '{}') into found_ids from added a;
  return found_ids;
end
$$;

-- The same, and it goes on where it was: whoever brings a model to a large index would else pass over all that is done
-- again and again. The model's vectors do not tell where that was: copies far behind get theirs with the first.
create function pixseek.find_work_of(of_model_id integer, of_buckets text[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  mark bigint := (select m.work_found_to from pixseek.models m where m.id = of_model_id);
  above bigint[] := pixseek.find_work_above(of_model_id, of_buckets, mark);
  anywhere bigint[];
begin
  -- So few are the end, or what is uploaded meanwhile: gaps below, and what others look for, have their turn.
  if mark > 0 and cardinality(above) < 500 then
    anywhere := pixseek.find_work_above(of_model_id, of_buckets, 0);
  end if;
  mark := case
    -- There may be more behind them.
    when cardinality(anywhere) = 10000 then anywhere[10000]
    else greatest(mark, above[cardinality(above)], anywhere[cardinality(anywhere)])
  end;
  update pixseek.models m set work_found_to = mark where m.id = of_model_id and m.work_found_to <> mark;
  delete from pixseek.leases l
  where l.model_id = of_model_id and l.leased_until < clock_timestamp() - interval '1 day';
end
$$;

-- claim_images_v1, and what it does not know: a worker gets pictures of its own store only, of another's it would find
-- nothing and take them for gone; of some buckets, if it names any. And it is told their ordering keys, so that what
-- it finds changed is followed like any other difference.
create function public.claim_images_v2(
  model text default null,
  n integer default 32,
  lease_s integer default 300,
  provider text default 'supabase',
  bucket_names text[] default null
)
returns table (
  image_id bigint, bucket text, name text, version text, ordering_key text, content_hash text, attempts integer
)
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  of_model pixseek.models := pixseek.model_for_writing(claim_images_v2.model);
  of_buckets text[];
  candidates bigint[];
  unshared bigint[];
  leased bigint[];
begin
  if not coalesce(claim_images_v2.n between 1 and 500, false) then
    raise exception 'n must be from 1 to 500, not %', coalesce(claim_images_v2.n::text, 'null')
      using errcode = '22023', hint = 'A batch that a worker embeds within its lease.';
  end if;
  perform pixseek.check_provider(claim_images_v2.provider);
  of_buckets := array(
    select b.name from pixseek.buckets b
    where b.provider = claim_images_v2.provider and (bucket_names is null or b.name = any (bucket_names))
  );
  -- One claim at a time: whoever waited sees what the other took and found.
  perform pg_advisory_xact_lock(hashtextextended('pixseek.claims', of_model.id));
  perform pixseek.fail_exhausted(
    array(
      select w.image_id from pixseek.work w
      join pixseek.images i on i.id = w.image_id
      where w.model_id = of_model.id and not w.is_failed and w.attempts >= pixseek.max_attempts()
        and w.leased_until < clock_timestamp()
      order by w.image_id
      limit 500
      for no key update of i, w skip locked
    ),
    of_model.id
  );
  candidates := pixseek.open_work_of(of_model.id, claim_images_v2.n, of_buckets);
  if candidates = '{}' then
    perform pixseek.find_work_of(of_model.id, of_buckets);
    candidates := pixseek.open_work_of(of_model.id, claim_images_v2.n, of_buckets);
  end if;
  -- Copies of what has a vector need no worker.
  loop
    perform pixseek.share_vectors(candidates);
    perform pixseek.finish(candidates, of_model.id);
    perform pixseek.settle(candidates);
    unshared := array(
      select id from unnest(candidates) id
      where not exists (
        select from pixseek.vectors v where v.image_id = id and v.model_id = of_model.id and not v.from_client
      )
    );
    exit when unshared <> '{}' or candidates = '{}';
    candidates := pixseek.open_work_of(of_model.id, claim_images_v2.n, of_buckets);
  end loop;
  leased := pixseek.lease(unshared, of_model.id, claim_images_v2.lease_s);
  return query
  select i.id, i.bucket, i.name, i.version, i.ordering_key, i.content_hash, w.attempts
  from pixseek.images i
  join pixseek.work w on w.image_id = i.id and w.model_id = of_model.id
  where i.id = any (leased)
  order by i.id;
end
$$;

-- Gives claims back, as release_images_v1 does, by their ids: what was never read has no hash to be named by. Of at
-- most 1,000 images; those that nobody has stay as they are.
create function public.return_images_v1(image_ids bigint[], model_name text default null) returns void
language plpgsql
set search_path = ''
as $$
declare
  model pixseek.models := pixseek.model_for_writing(model_name);
begin
  if not coalesce(cardinality(image_ids) <= 1000, false) then
    raise exception 'image_ids must be a list of at most 1000 ids, not %',
      coalesce(cardinality(image_ids)::text, 'null')
      using errcode = '22023', hint = 'Give them back in several calls.';
  end if;
  perform pixseek.lock_images(image_ids);
  perform pixseek.release(image_ids, model.id);
end
$$;

-- How often texts are asked. Only a digest is kept of what is asked now and then, the words of what is asked again and
-- again: a new model cannot learn a digest. Nobody but the service reads them.
create table pixseek.asked_texts (
  digest bytea primary key,
  words text,
  uses bigint not null,
  asked_on date not null
);
create index asked_texts_uses on pixseek.asked_texts (uses) where words is not null;
create index asked_texts_asked_on on pixseek.asked_texts (asked_on);
alter table pixseek.asked_texts enable row level security;
grant select, insert, update, delete on pixseek.asked_texts to service_role;

-- Counts what was asked since the last call: [{"text", "uses"}], at most 500. Words are kept from the fifth time on,
-- and go 90 days after the last.
create function public.count_asked_v1(asked jsonb) returns void
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform pixseek.check_items(asked);
  if exists (
    select from jsonb_array_elements(asked) a
    where coalesce(jsonb_typeof(a -> 'text'), '') <> 'string' or coalesce(jsonb_typeof(a -> 'uses'), '') <> 'number'
      or (a ->> 'uses')::numeric not between 1 and 1000000 or (a ->> 'uses')::numeric % 1 <> 0
  ) then
    raise exception 'each of what was asked is a text and how often, from 1 to 1000000'
      using errcode = '22023', hint = 'Pass [{"text": "a dog", "uses": 2}].';
  end if;
  insert into pixseek.asked_texts as t (digest, words, uses, asked_on)
  select c.digest, case when c.uses >= 5 then c.words end, c.uses, pixseek.utc_day()
  from (
    select pixseek.text_digest(a ->> 'text') as digest, min(a ->> 'text') as words, sum((a ->> 'uses')::bigint) as uses
    from jsonb_array_elements(asked) a
    group by 1
  ) c
  order by c.digest
  on conflict (digest) do update set
    uses = t.uses + excluded.uses, asked_on = excluded.asked_on,
    words = coalesce(t.words, case when t.uses + excluded.uses >= 5
                                   then (select min(a ->> 'text') from jsonb_array_elements(asked) a
                                         where pixseek.text_digest(a ->> 'text') = excluded.digest) end);
  delete from pixseek.asked_texts where digest in (
    select o.digest from pixseek.asked_texts o
    where o.asked_on < pixseek.utc_day() - 90
    limit 1000
    for update skip locked
  );
end
$$;

-- The texts that are asked most among those that a model does not remember.
create function public.asked_most_v1(model_name text, match_count integer) returns setof text
language plpgsql stable
set search_path = ''
as $$
declare
  model pixseek.models := pixseek.model_named(model_name);
begin
  return query
  select t.words
  from pixseek.asked_texts t
  where t.words is not null
    and not exists (select from pixseek.queries q where q.model_id = model.id and q.digest = t.digest)
  order by t.uses desc, t.digest
  limit pixseek.checked_count(match_count);
end
$$;

revoke execute on function
  public.aim_at_model_v1, public.active_model_v1, public.cursor_model_v1, public.list_models_v2,
  public.reembed_estimate_v1, public.claim_images_v2, public.return_images_v1, public.count_asked_v1,
  public.asked_most_v1, pixseek.end_target, pixseek.open_work_of, pixseek.find_work_above, pixseek.find_work_of
from public, anon, authenticated;
grant execute on function public.active_model_v1, public.cursor_model_v1 to anon, authenticated, service_role;
grant execute on function
  public.aim_at_model_v1, public.list_models_v2, public.reembed_estimate_v1, public.claim_images_v2,
  public.return_images_v1, public.count_asked_v1, public.asked_most_v1, pixseek.end_target, pixseek.open_work_of,
  pixseek.find_work_above, pixseek.find_work_of
to service_role;
