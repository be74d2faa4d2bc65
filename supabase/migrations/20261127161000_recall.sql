-- What the operator sees of the index over time: how much a search finds of what it should, what waits, and the calls
-- of each day.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table pixseek.recalls (
  id bigint generated always as identity primary key,
  model_id integer not null references pixseek.models,
  checked_at timestamptz not null default now(),
  questions integer not null check (questions > 0),
  recall double precision not null check (recall between 0 and 1),
  -- Of the questions, those that were answered with fewer pictures than there are.
  short_share double precision not null check (short_share between 0 and 1),
  floor double precision not null check (floor between 0 and 1)
);
create index recalls_checked_at on pixseek.recalls (checked_at);

alter table pixseek.recalls enable row level security;
grant select, insert, update, delete on pixseek.recalls to service_role;

-- A migration is a transaction, where no index can be made concurrently: uploads wait meanwhile. On a large index make
-- it before, by the same statement, concurrently.
-- squawk-ignore require-concurrent-index-creation
create index if not exists images_pending on pixseek.images (updated_at) where state = 'pending';

-- Some images of a model that can be found, each about as likely as another, without a look at all of them.
create function pixseek.some_images(of_model_id integer, image_count integer) returns bigint[]
language plpgsql
set search_path = ''
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  -- So few are all looked at.
  few constant integer := 10000;
  stored bigint;
  ids bigint[];
begin
  execute format(
    'select count(*) from (select from pixseek.vectors v where v.model_id = %s limit %s) counted',
    of_model_id, few + 1
  ) into stored;
  if stored <= few then
    execute format(
      'select array(
         select i.id
         from pixseek.vectors v
         join pixseek.images i on i.id = v.image_id
         where v.model_id = %s and i.state not in (''blocked'', ''deleted'')
         order by random()
         limit $1
       )', of_model_id
    ) into ids using image_count;
  else
    -- The next from a random id on: one behind a gap comes more often, and is taken once.
    execute format(
      'select array(
         select found.id
         from (
           select distinct i.id
           from (
             select b.low + floor(random() * (b.high - b.low + 1))::bigint as id
             from (
               select min(v.image_id) as low, max(v.image_id) as high from pixseek.vectors v where v.model_id = %1$s
             ) b, generate_series(1, 4 * $1)
           ) drawn
           cross join lateral (
             select v.image_id
             from pixseek.vectors v
             where v.model_id = %1$s and v.image_id >= drawn.id
             order by v.image_id
             limit 1
           ) next
           join pixseek.images i on i.id = next.image_id and i.state not in (''blocked'', ''deleted'')
         ) found
         order by random()
         limit $1
       )', of_model_id
    ) into ids using image_count;
  end if;
  return ids;
end
$$;

-- Random questions for recall_of_v1 under the active model: half of them remembered queries ('query'), half stored
-- images ('image'); where there are too few of one, more of the other.
create function public.recall_sample_v1(sample_size integer) returns table (kind text, id bigint)
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  model pixseek.models := pixseek.model_named(null);
  queries bigint[];
  images bigint[];
begin
  if not coalesce(sample_size between 1 and 1000, false) then
    raise exception 'sample_size must be from 1 to 1000, not %', coalesce(sample_size::text, 'null')
      using errcode = '22023', hint = 'Each question is compared with all pictures.';
  end if;
  -- They are bounded: remember_query_v1.
  queries := array(
    select q.id from pixseek.queries q where q.model_id = model.id order by random() limit sample_size
  );
  images := pixseek.some_images(model.id, sample_size);
  queries := queries[:greatest(sample_size / 2, sample_size - cardinality(images))];
  -- Mixed: whoever runs out of time has asked some of both.
  return query
  select s.kind, s.id
  from (
    select 'query' as kind, q as id from unnest(queries) q
    union all
    select 'image', i from unnest(images[:sample_size - cardinality(queries)]) i
  ) s
  order by random();
end
$$;

-- How well one question is answered under the active model: how many of the k nearest there are, how many of them a
-- search finds, and how many it answers. As near as the last of them counts as one of them: equal vectors are equally
-- right. An image asks with its own vector and may find itself. Of what is gone by now all are 0.
create function public.recall_of_v1(kind text, id bigint, k integer default 10)
returns table (expected integer, found integer, answered integer)
language plpgsql stable
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  model pixseek.models := pixseek.model_named(null);
  question pixseek.question;
  nearest pixseek.ranking := row('', '{}', '{}');
  answer pixseek.ranking := row('', '{}', '{}');
begin
  perform pixseek.checked_count(k);
  if recall_of_v1.id is null then
    raise exception 'a question has an id' using errcode = '22023', hint = 'recall_sample_v1 tells some.';
  elsif not coalesce(recall_of_v1.kind in ('query', 'image'), false) then
    raise exception 'unknown kind of question: %', coalesce(recall_of_v1.kind, 'null')
      using errcode = '22023', hint = 'One of query, image.';
  end if;
  question := row(model.id, model.dimensions, null, '', '{}', null, false);
  if recall_of_v1.kind = 'query' then
    select q.embedding into question.vector
    from pixseek.queries q where q.id = recall_of_v1.id and q.model_id = model.id;
  else
    execute format(
      'select v.embedding
       from pixseek.images i
       join pixseek.vectors v on v.image_id = i.id and v.model_id = %s
       where i.id = $1 and i.state not in (''blocked'', ''deleted'')', model.id
    ) into question.vector using recall_of_v1.id;
  end if;
  if question.vector is not null then
    nearest := pixseek.compare_all(question, null, k, 'exact');
    answer := pixseek.nearest(question, null, k);
  end if;
  return query
  select cardinality(nearest.ids), count(*)::integer, cardinality(answer.ids)
  from unnest(answer.distances) d
  where d <= nearest.distances[cardinality(nearest.distances)] + 1e-6;
end
$$;

-- Keeps what some questions have shown of the active model.
create function public.keep_recall_v1(
  questions integer, recall double precision, short_share double precision, floor double precision
) returns void
language plpgsql
set search_path = ''
as $$
#variable_conflict use_variable
declare
  model pixseek.models := pixseek.model_for_writing(null);
begin
  if not coalesce(questions > 0, false)
    or not coalesce(recall between 0 and 1 and short_share between 0 and 1 and floor between 0 and 1, false) then
    raise exception 'not a recall: % of % questions, % of them short, at least %', coalesce(recall::text, 'null'),
      coalesce(questions::text, 'null'), coalesce(short_share::text, 'null'), coalesce(floor::text, 'null')
      using errcode = '22023', hint = 'Questions from 1 on; recall, short_share and floor from 0 to 1.';
  end if;
  insert into pixseek.recalls (model_id, questions, recall, short_share, floor)
  values (model.id, questions, recall, short_share, floor);
  delete from pixseek.recalls r where r.checked_at < now() - interval '400 days';
end
$$;

-- The latest first.
create function public.recalls_v1(match_count integer default 30)
returns table (
  model text, checked_at timestamptz, questions integer, recall double precision, short_share double precision,
  floor double precision
)
language sql stable
set search_path = ''
as $$
  select m.name, r.checked_at, r.questions, r.recall, r.short_share, r.floor
  from pixseek.recalls r
  join pixseek.models m on m.id = r.model_id
  order by r.checked_at desc, r.id desc
  limit pixseek.checked_count(match_count);
$$;

-- The picture that waits longest under the active model; no row when none waits.
create function public.oldest_pending_v1() returns table (bucket text, image text, since timestamptz)
language sql stable
set search_path = ''
as $$
  select i.bucket, i.name, i.updated_at
  from pixseek.images i
  where i.state = 'pending'
  order by i.updated_at
  limit 1;
$$;

-- The calls of the last days (of UTC, today among them), the latest first.
create function public.daily_calls_v1(days integer default 30)
returns table (day date, lane text, made bigint, saved bigint)
language sql stable
set search_path = ''
as $$
  select c.day, c.lane, c.made, c.saved
  from pixseek.calls c
  where c.day > pixseek.utc_day() - pixseek.checked_count(days)
  order by c.day desc, c.lane;
$$;

revoke execute on function
  pixseek.some_images, public.recall_sample_v1, public.recall_of_v1, public.keep_recall_v1, public.recalls_v1,
  public.oldest_pending_v1, public.daily_calls_v1
from public, anon, authenticated;
grant execute on function
  pixseek.some_images, public.recall_sample_v1, public.recall_of_v1, public.keep_recall_v1, public.recalls_v1,
  public.oldest_pending_v1, public.daily_calls_v1
to service_role;
