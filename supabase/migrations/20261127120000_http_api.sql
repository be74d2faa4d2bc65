-- What the HTTPS API asks for: searches by several things at once, one picture by its id or its name, and how often
-- somebody has asked.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- pgvector's types are found wherever the extension was installed, and nowhere else.
select set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), false)
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector';

-- As it was, and since and until: when a picture was taken, or else came here. An unknown bucket is a wrong value.
create or replace function pixseek.filter_clause(filters jsonb) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  clauses constant jsonb := '{
    "bucket": "i.bucket = $2 ->> ''bucket''",
    "prefix": "i.name ^@ ($2 ->> ''prefix'')",
    "content_type": "i.content_type = $2 ->> ''content_type''",
    "created_since": "i.created_at >= ($2 ->> ''created_since'')::timestamptz",
    "created_until": "i.created_at < ($2 ->> ''created_until'')::timestamptz",
    "taken_since": "i.taken_at >= ($2 ->> ''taken_since'')::timestamptz",
    "taken_until": "i.taken_at < ($2 ->> ''taken_until'')::timestamptz",
    "since": "(i.taken_at >= ($2 ->> ''since'')::timestamptz or i.taken_at is null and i.created_at >= ($2 ->> ''since'')::timestamptz)",
    "until": "(i.taken_at < ($2 ->> ''until'')::timestamptz or i.taken_at is null and i.created_at < ($2 ->> ''until'')::timestamptz)"
  }';
  filter record;
  clause text := '';
begin
  if filters is null or filters = '{}' then
    return '';
  elsif jsonb_typeof(filters) <> 'object' then
    raise exception 'the filters must be a JSON object, not %', jsonb_typeof(filters)
      using errcode = '22023', hint = 'For example {"bucket": "photos"}.';
  end if;
  for filter in select key, value, filters ->> key as text from jsonb_each(filters) loop
    if not clauses ? filter.key then
      raise exception 'unknown filter: %', filter.key
        using errcode = '22023',
          hint = 'Filters are ' || (select string_agg(key, ', ' order by key) from jsonb_each(clauses)) || '.';
    elsif jsonb_typeof(filter.value) <> 'string' then
      raise exception 'filter % must be a string, not %', filter.key, jsonb_typeof(filter.value)
        using errcode = '22023', hint = 'Leave a filter out to have none.';
    elsif filter.key ~ '(since|until)$' then
      begin
        perform filter.text::timestamptz;
      exception when data_exception then
        raise exception 'filter % is no time: %', filter.key, filter.text
          using errcode = '22023', hint = 'Write it like 2026-11-25T10:00:00Z.';
      end;
    elsif filter.key = 'bucket' and not row_security_active('pixseek.images')
      and not exists (select from pixseek.buckets b where b.name = filter.text) then
      raise exception 'unknown bucket: %', filter.text
        using errcode = '22023', hint = 'list_buckets_v1 lists them; put_bucket_v1 registers one.';
    end if;
    clause := clause || ' and ' || (clauses ->> filter.key);
  end loop;
  return clause;
end
$$;

-- What a search is made of, combined: a unit vector, null while a text is not remembered; the places of such texts,
-- from 0; and the stored images among them.
create type pixseek.combination as (vector halfvec, missing integer[], image_ids bigint[]);

-- What is wrong with a part of a query, or null.
create function pixseek.part_fault(part jsonb) returns text
language sql immutable
set search_path = ''
as $$
  select case
    when jsonb_typeof(part) <> 'object' then 'it must be a JSON object'
    when (select count(*) from jsonb_object_keys(part) k where k in ('text', 'embedding', 'image_id')) <> 1
      then 'it takes one of text, embedding and image_id'
    when exists (select from jsonb_object_keys(part) k where k not in ('text', 'embedding', 'image_id', 'weight'))
      then 'it takes one of text, embedding and image_id, and a weight'
    when jsonb_typeof(coalesce(part -> 'weight', '1')) <> 'number'
      or not (coalesce(part ->> 'weight', '1')::numeric between -100 and 100)
      or (part ->> 'weight')::numeric = 0
      then 'its weight must be a number from -100 to 100, and not 0'
    when jsonb_typeof(coalesce(part -> 'text', '""')) <> 'string' then 'its text must be a string'
    when jsonb_typeof(coalesce(part -> 'embedding', '[]')) not in ('array', 'string')
      then 'its embedding must be a vector'
    when jsonb_typeof(coalesce(part -> 'image_id', '1')) <> 'number'
      or not (coalesce(part ->> 'image_id', '1')::numeric between 1 and 9223372036854775807)
      or coalesce(part ->> 'image_id', '1')::numeric % 1 <> 0
      then 'its image_id must be a whole number from 1 on'
  end;
$$;

create function pixseek.check_parts(query jsonb) returns void
language plpgsql immutable
set search_path = ''
as $$
declare
  fault text;
begin
  if jsonb_typeof(query) is distinct from 'array' or jsonb_array_length(query) not between 1 and 16 then
    raise exception 'a query is a list of 1 to 16 parts'
      using errcode = '22023', hint = 'For example [{"text": "a dog"}, {"text": "snow", "weight": -1}].';
  end if;
  select format('part %s of the query: %s', p.place, f.fault) into fault
  from jsonb_array_elements(query) with ordinality p (value, place)
  cross join lateral pixseek.part_fault(p.value) f (fault)
  where f.fault is not null
  order by p.place
  limit 1;
  if fault is not null then
    raise exception '%', fault using errcode = '22023', hint = 'For example {"text": "a dog", "weight": 1}.';
  end if;
end
$$;

-- A picture that is not there, and one that is somebody else's: one answer for both, which PostgREST sends as 404.
create function pixseek.raise_unknown_image(named text) returns void
language plpgsql immutable
set search_path = ''
as $$
begin
  raise exception 'unknown image: %', named
    using errcode = 'PT404', hint = 'Pass the id of a hit, or the name of a picture that was uploaded.';
end
$$;

-- The vector of a stored image.
create function pixseek.image_vector(model pixseek.models, image_id bigint) returns halfvec
language plpgsql stable
set search_path from current
as $$
declare
  is_known boolean;
  embedding halfvec;
begin
  -- The model as a literal: a plan for any model would lock the partitions of all.
  execute format(
    'select true, v.embedding
     from pixseek.images i
     left join pixseek.vectors v on v.image_id = i.id and v.model_id = %s
     where i.id = $1 and i.state not in (''blocked'', ''deleted'')', model.id
  ) into is_known, embedding using image_id;
  if is_known is null then
    perform pixseek.raise_unknown_image(image_id::text);
  elsif embedding is null then
    raise exception 'image % has no vector of model % yet', image_id, model.name
      using errcode = 'PT409', hint = 'Try again when it is indexed.';
  end if;
  return embedding;
end
$$;

-- The vector of a text, if it is remembered.
create function pixseek.text_vector(model pixseek.models, query_text text) returns halfvec
language sql stable
set search_path from current
as $$
  select q.embedding
  from pixseek.queries q
  where q.model_id = model.id and q.digest = pixseek.text_digest(query_text);
$$;

-- As it was, but for the errors of images: their codes were those of a server's fault.
create or replace function pixseek.ask(
  model pixseek.models, query_embedding vector, query_text text, query_image_id bigint, filters jsonb,
  collapse boolean
) returns pixseek.question
language plpgsql stable
set search_path from current
as $$
declare
  question pixseek.question;
begin
  if num_nonnulls(query_embedding, query_text, query_image_id) <> 1 then
    raise exception 'a search takes one of query_embedding, query_text and query_image_id'
      using errcode = '22023', hint = 'Pass exactly one; combine several vectors into one first.';
  end if;
  question.model_id := model.id;
  question.dimensions := model.dimensions;
  question.clause := pixseek.filter_clause(filters);
  question.filters := filters;
  question.excluded_id := query_image_id;
  question.is_collapsed := coalesce(collapse, false);
  question.vector := case
    when query_embedding is not null then pixseek.unit_vector(query_embedding, model)
    when query_text is not null then pixseek.text_vector(model, query_text)
    else pixseek.image_vector(model, query_image_id)
  end;
  return question;
end
$$;

-- A vector that a part of a query brings, with length 1.
create function pixseek.given_vector(model pixseek.models, embedding text) returns halfvec
language plpgsql immutable
set search_path from current
as $$
declare
  given vector;
begin
  begin
    given := embedding::vector;
  exception when data_exception or program_limit_exceeded then
    -- Without pgvector's own words: they repeat the vector.
    raise exception 'an embedding of the query is no list of finite numbers'
      using errcode = '22023', hint = format('Model %s takes %s finite numbers.', model.name, model.dimensions);
  end;
  return pixseek.unit_vector(given, model);
end
$$;

-- The unit vector of one part; null for a text that is not remembered.
create function pixseek.part_vector(model pixseek.models, part jsonb) returns halfvec
language sql stable
set search_path = ''
as $$
  select case
    when part ? 'text' then pixseek.text_vector(model, part ->> 'text')
    when part ? 'image_id' then pixseek.image_vector(model, (part -> 'image_id')::bigint)
    else pixseek.given_vector(model, part ->> 'embedding')
  end;
$$;

-- The parts of a query as one vector: each with length 1, times its weight, added up. Weights count beside the
-- greatest: however small or great all are, the sum is the same.
create function pixseek.combine(model pixseek.models, query jsonb) returns pixseek.combination
language plpgsql stable
set search_path from current
as $$
declare
  combined pixseek.combination := row(null, '{}', '{}');
  part record;
  part_vector halfvec;
  total vector := array_fill(0::real, array[model.dimensions])::vector;
begin
  perform pixseek.check_parts(query);
  for part in
    select p.value, p.place::integer - 1 as place, round(w / max(abs(w)) over (), 9)::real as weight
    from jsonb_array_elements(query) with ordinality p (value, place)
    cross join lateral coalesce((p.value ->> 'weight')::numeric, 1) w
    order by p.place
  loop
    part_vector := pixseek.part_vector(model, part.value);
    if part_vector is null then
      combined.missing := combined.missing || part.place;
    else
      combined.vector := part_vector;
      total := total + array_fill(part.weight, array[model.dimensions])::vector * part_vector::vector;
    end if;
    if part.value ? 'image_id' then
      combined.image_ids := combined.image_ids || (part.value -> 'image_id')::bigint;
    end if;
  end loop;
  if cardinality(combined.missing) > 0 then
    combined.vector := null;
  elsif jsonb_array_length(query) > 1 or query -> 0 ? 'weight' then
    if vector_norm(total) < 1e-3 then
      raise exception 'the parts of the query cancel each other out'
        using errcode = '22023', hint = 'Give them other weights.';
    end if;
    combined.vector := pixseek.unit_vector(total, model);
  end if;
  return combined;
end
$$;

-- A ranking without some images, and of what is left the first.
create function pixseek.without(ranking pixseek.ranking, image_ids bigint[], row_count integer)
returns pixseek.ranking
language sql immutable
set search_path = ''
as $$
  select row(
    ranking.path, coalesce(array_agg(id order by place), '{}'), coalesce(array_agg(distance order by place), '{}')
  )::pixseek.ranking
  from (
    select r.id, r.distance, r.place
    from unnest(ranking.ids, ranking.distances) with ordinality r (id, distance, place)
    where r.id <> all (image_ids)
    order by r.place
    limit row_count
  ) rest;
$$;

-- As it was, but for the size of the index's scan behind a filter: one that most images pass needs little more.
create or replace function pixseek.nearest(question pixseek.question, after pixseek.position, row_count integer)
returns pixseek.ranking
language plpgsql stable
set search_path = ''
as $$
declare
  is_filtered constant boolean := question.clause <> '' or row_security_active('pixseek.images');
  depth constant integer := coalesce(after.rank, 0) + row_count;
  -- To see that the last row asked for has no more copies.
  margin constant integer := 5;
  total constant double precision := (select c.reltuples from pg_class c where c.oid = 'pixseek.images'::regclass);
  passing constant double precision := case when is_filtered then pixseek.estimate(question) end;
  -- The same for all pages of a search, or they would not follow one order.
  ef_search constant integer := case
    when is_filtered then least(440, greatest(160, coalesce(ceil(160 * total / nullif(passing, 0)), 440)))
    else 160
  end;
  candidates bigint[];
  ranking pixseek.ranking;
begin
  if depth < ef_search and (not is_filtered or passing > 6000) then
    ranking := pixseek.scan_index(question, depth + margin, ef_search, false);
    if ranking.distances[depth] < ranking.distances[cardinality(ranking.distances)] then
      return pixseek.cut(ranking, after, row_count);
    end if;
  end if;
  if is_filtered then
    candidates := pixseek.candidates(question);
  end if;
  if candidates is not null then
    ranking := pixseek.compare_candidates(question, candidates, after, row_count);
  elsif depth > 1000 then
    ranking := pixseek.compare_all(question, after, row_count, 'exact');
  else
    ranking := pixseek.cut(pixseek.scan_index(question, depth, ef_search, true), after, row_count);
    if cardinality(ranking.ids) < row_count then
      ranking := pixseek.compare_all(question, after, row_count, 'completed');
    end if;
  end if;
  return ranking;
end
$$;

-- Pictures nearest to a query, as search_images_v1, with these differences:
--   query    a list of 1 to 16 parts, each {"text": …}, {"embedding": […]} or {"image_id": …}, with a "weight" if it is
--            not to be 1; below 0 leads away from it. Images that it names are not among the hits.
--   missing  the places, from 0, of texts that are not remembered: embed them and ask again. Then path is
--            not_remembered, and there are no hits.
--   hits     also average_colour, preview (its name in <bucket>-previews, or null), is_public
--   filters  also since, until: when a picture was taken, or came here if that is not known
create function public.search_images_v2(
  query jsonb,
  match_count integer default 10,
  model_name text default null,
  min_similarity double precision default null,
  filters jsonb default '{}',
  page_cursor text default null,
  collapse boolean default false
) returns jsonb
language plpgsql stable
set search_path from current
as $$
declare
  model pixseek.models;
  combined pixseek.combination;
  question pixseek.question;
  others bigint[];
  after pixseek.position;
  ranking pixseek.ranking;
  page text[];
  reached double precision;
  hits jsonb;
  next_cursor text;
begin
  perform pixseek.checked_count(match_count);
  if page_cursor is null then
    model := pixseek.model_named(model_name);
  else
    -- The pages of a search stay in its model, also when another has become active meanwhile.
    page := pixseek.read_cursor(page_cursor);
    select * into model from pixseek.models m where m.id = page[1]::integer and m.state <> 'dropped';
    if not found or model.name <> coalesce(model_name, model.name) then
      raise exception 'the cursor belongs to a search in another model'
        using errcode = '22023', hint = 'Start again without a cursor.';
    end if;
    after := row(page[2], page[3], page[4]);
  end if;

  combined := pixseek.combine(model, query);
  -- One is left out by the scan itself. So many more are read that the others can go.
  others := array(select distinct o from unnest(combined.image_ids[2:]) o where o <> combined.image_ids[1]);
  question := row(
    model.id, model.dimensions, combined.vector, pixseek.filter_clause(coalesce(filters, '{}')),
    coalesce(filters, '{}'), combined.image_ids[1], coalesce(collapse, false)
  );
  if question.vector is null then
    return jsonb_build_object('model', model.name, 'path', 'not_remembered', 'hits', '[]'::jsonb,
                              'next_cursor', null, 'missing', combined.missing);
  end if;
  if page is not null
    and page[5] <> pixseek.cursor_digest(question, after.rank, after.distance, after.id) then
    raise exception 'the cursor belongs to another search, or was changed'
      using errcode = '22023', hint = 'Repeat the query and the filters with it, or start without one.';
  end if;

  if question.is_collapsed then
    if cardinality(others) > 0 then
      -- Not afterwards alone: one that is no hit would keep its copies from the hits.
      question.clause := question.clause || format(' and i.id <> all (%L)', others);
    end if;
    ranking := pixseek.nearest_distinct(question, after, match_count + cardinality(others));
  else
    ranking := pixseek.nearest(question, after, match_count + cardinality(others));
  end if;
  if cardinality(others) > 0 then
    ranking := pixseek.without(ranking, others, match_count);
  end if;
  reached := -coalesce(min_similarity, model.similarity_floor);
  if cardinality(ranking.ids) = match_count and ranking.distances[match_count] <= reached then
    next_cursor := pixseek.write_cursor(question, row(
      coalesce(after.rank, 0) + match_count + cardinality(others), ranking.distances[match_count],
      ranking.ids[match_count]
    ));
  end if;
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', i.id, 'bucket', i.bucket, 'image', i.name, 'similarity', least(1, -r.distance),
    'content_type', i.content_type, 'width', i.width, 'height', i.height,
    'taken_at', i.taken_at, 'created_at', i.created_at, 'average_colour', i.average_colour,
    'preview', case when i.has_preview then pixseek.preview_name(i.id, i.edition) end,
    'is_public', exists (select from pixseek.buckets b where b.name = i.bucket and b.is_public)
  ) order by r.place), '[]')
  into hits
  from unnest(ranking.ids, ranking.distances) with ordinality r (id, distance, place)
  join pixseek.images i on i.id = r.id
  where r.distance <= reached;
  return jsonb_build_object('model', model.name, 'path', ranking.path, 'hits', hits, 'next_cursor', next_cursor,
                            'missing', '[]'::jsonb);
end
$$;

-- One picture that the caller may see, by its id or by its bucket and name: what a hit says of it, and where it stands
-- (state: pending, indexed or failed, with the reason), whether it is the caller's own, and its ordering key.
create function public.image_v1(
  image_id bigint default null, bucket_name text default null, image_name text default null
) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  found jsonb;
begin
  if num_nonnulls(image_id, bucket_name) <> 1 or num_nonnulls(bucket_name, image_name) = 1 then
    raise exception 'a picture is asked for by its id, or by its bucket and its name'
      using errcode = '22023', hint = 'Pass image_id, or bucket_name and image_name.';
  end if;
  select jsonb_build_object(
    'id', i.id, 'bucket', i.bucket, 'image', i.name, 'content_type', i.content_type, 'size_bytes', i.size_bytes,
    'width', i.width, 'height', i.height, 'taken_at', i.taken_at, 'created_at', i.created_at,
    'average_colour', i.average_colour,
    'preview', case when i.has_preview then pixseek.preview_name(i.id, i.edition) end,
    'is_public', exists (select from pixseek.buckets b where b.name = i.bucket and b.is_public),
    'is_own', coalesce(i.owner = (select auth.uid())::text, false),
    'state', i.state, 'reason', i.reason, 'ordering_key', i.ordering_key
  ) into found
  from pixseek.images i
  where (i.id = image_v1.image_id or i.bucket = bucket_name and i.name = image_name)
    and i.state not in ('blocked', 'deleted');
  if found is null then
    perform pixseek.raise_unknown_image(coalesce(image_id::text, image_name));
  end if;
  return found;
end
$$;

-- Where a model stands: building, active or retired.
create function public.model_state_v1(model_name text) returns text
language sql stable
set search_path = ''
as $$
  select (pixseek.model_named(model_name)).state;
$$;

-- Until when a caller's allowance is used up, in a crash better lost than paid for by every request. Of the caller a
-- digest. (Generic cell rate algorithm: one moment says it all.)
create unlogged table pixseek.allowances (
  digest bytea primary key,
  used_until timestamptz not null
);
create index allowances_used_until on pixseek.allowances (used_until);
alter table pixseek.allowances enable row level security;
grant select, insert, update, delete on pixseek.allowances to service_role;

-- Counts a request: how many seconds its caller has to wait, 0 when it may be answered. A caller may ask per_minute
-- times at once, and so many a minute from then on.
create function public.count_request_v1(caller text, per_minute integer) returns double precision
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
declare
  asked_at constant timestamptz := clock_timestamp();
  a_request constant interval := interval '1 minute' / greatest(per_minute, 1);
  caller_digest constant bytea := sha256(convert_to(caller, 'UTF8'));
  is_new boolean;
begin
  if coalesce(caller, '') = '' or not coalesce(per_minute between 1 and 1000000, false) then
    raise exception 'not a caller and a number of requests a minute: %', coalesce(per_minute::text, 'null')
      using errcode = '22023', hint = 'Pass a name and a number from 1 to 1000000.';
  end if;
  insert into pixseek.allowances as a (digest, used_until)
  values (caller_digest, asked_at + a_request)
  on conflict (digest) do update set used_until = greatest(a.used_until, asked_at) + a_request
  where greatest(a.used_until, asked_at) + a_request <= asked_at + interval '1 minute'
  returning xmax = 0 into is_new;
  if is_new then
    -- Each newcomer clears away two who have all of theirs back.
    delete from pixseek.allowances d where d.digest in (
      select o.digest from pixseek.allowances o where o.used_until < asked_at order by o.used_until limit 2
      for update skip locked
    );
  end if;
  return case when is_new is not null then 0 else (
    select greatest(0.001, extract(epoch from a.used_until + a_request - interval '1 minute' - asked_at))
    from pixseek.allowances a where a.digest = caller_digest
  ) end;
end
$$;

revoke execute on function
  public.search_images_v2, public.image_v1, public.model_state_v1, public.count_request_v1, pixseek.part_fault,
  pixseek.check_parts, pixseek.raise_unknown_image, pixseek.image_vector,
  pixseek.text_vector, pixseek.given_vector, pixseek.part_vector, pixseek.combine, pixseek.without
from public, anon, authenticated;
grant execute on function
  public.search_images_v2, public.image_v1, public.model_state_v1, pixseek.part_fault, pixseek.check_parts,
  pixseek.raise_unknown_image, pixseek.image_vector,
  pixseek.text_vector, pixseek.given_vector, pixseek.part_vector, pixseek.combine, pixseek.without, pixseek.preview_name
to anon, authenticated, service_role;
grant execute on function public.count_request_v1 to service_role;

reset search_path;
