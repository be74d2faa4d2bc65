-- Search. Security invoker: the caller's row-level security decides what can be found.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

select set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), false)
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector';

-- Loads pgvector into this session: only then may a role without superuser rights name hnsw.* below.
select '[1]'::vector;

-- The nearest images in order, and how they were found:
--   index       the HNSW index, which may miss one
--   candidates  few images pass the filter: all of them were compared
--   completed   the index ran short of images that pass: all of them were compared
--   exact       past the depth to which pages follow the index: all images were compared
create type pixseek.ranking as (path text, ids bigint[], distances double precision[]);

-- The position in a search where a page ended: how many images came before, and the last of them.
create type pixseek.position as (rank integer, distance double precision, id bigint);

-- What a search asks for. clause is the filter as SQL, with the values in filters. Collapsed: without
-- near-identical images.
create type pixseek.question as (
  model_id integer, dimensions integer, vector halfvec, clause text, filters jsonb, excluded_id bigint,
  is_collapsed boolean
);

-- The filter as a condition on images i, with $2 for the values; empty for none. Refuses unknown filters.
create function pixseek.filter_clause(filters jsonb) returns text
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
    "taken_until": "i.taken_at < ($2 ->> ''taken_until'')::timestamptz"
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
    elsif filter.key ~ '_(since|until)$' then
      begin
        perform filter.text::timestamptz;
      exception when data_exception then
        raise exception 'filter % is no time: %', filter.key, filter.text
          using errcode = '22023', hint = 'Write it like 2026-11-25T10:00:00Z.';
      end;
    elsif filter.key = 'bucket' and not row_security_active('pixseek.images')
      and not exists (select from pixseek.buckets b where b.name = filter.text) then
      raise exception 'unknown bucket: %', filter.text
        using errcode = '42704', hint = 'list_buckets_v1 lists them; put_bucket_v1 registers one.';
    end if;
    clause := clause || ' and ' || (clauses ->> filter.key);
  end loop;
  return clause;
end
$$;

-- About how many images pass the filter and the caller's policy, by a look at a thousand of them.
create function pixseek.estimate(question pixseek.question) returns double precision
language plpgsql stable
set search_path = ''
as $$
declare
  total double precision := (select c.reltuples from pg_class c where c.oid = 'pixseek.images'::regclass);
  passing bigint;
begin
  -- Whole pages, the same ones each time; a table that was never analysed counts as small.
  if total < 1000 then
    return 0;
  end if;
  execute format(
    'select count(*) from pixseek.images i tablesample system (%s) repeatable (1)
     where i.state not in (''blocked'', ''deleted'') %s', 100 * 1000 / total, question.clause
  ) into passing using null, question.filters;
  return passing * total / 1000;
end
$$;

-- The ids of the images that pass the filter and the caller's policy, or null when they are more than 3,000.
create function pixseek.candidates(question pixseek.question) returns bigint[]
language plpgsql stable
set search_path = ''
as $$
declare
  ids bigint[];
begin
  execute format(
    'select array(
       select i.id from pixseek.images i
       where i.state not in (''blocked'', ''deleted'') and i.id is distinct from $1 %s
       limit 3001
     )', question.clause
  ) into ids using question.excluded_id, question.filters;
  return case when cardinality(ids) <= 3000 then ids end;
end
$$;

-- The first rows of the index's order, with all that tie with the last: equal distances come in any order, so
-- that a cut between them could lose some. $1 is the vector, $2 the filters' values, $3 an image to leave out, $4
-- how many. Model and length as literals: so the planner sees one partition, and the expression of its index.
create function pixseek.scan_query(model_id integer, dimensions integer, clause text) returns text
language sql immutable
set search_path = ''
as $$
  select format(
    $query$
      select 'index'::text as path, array_agg(id order by distance, id) as ids,
             array_agg(distance order by distance, id) as distances
      from (
        select i.id, v.embedding::halfvec(%2$s) <#> $1 as distance
        from pixseek.vectors v
        join pixseek.images i on i.id = v.image_id
        where v.model_id = %1$s and i.state not in ('blocked', 'deleted') and i.id is distinct from $3 %3$s
        order by v.embedding::halfvec(%2$s) <#> $1
        fetch first $4 rows with ties
      ) found
    $query$, model_id, dimensions, clause
  );
$$;

-- Makes a model's own function of that query without a filter, scan_<model>, for scan_index alone: its plan is
-- kept, which spares each search a fifteenth of its time.
create function pixseek.create_scan(model pixseek.models) returns void
language plpgsql
set search_path from current
as $$
declare
  scan text := format('scan_%s', model.id);
begin
  execute format(
    $function$
      create or replace function pixseek.%I(
        vector halfvec, filters jsonb, excluded_id bigint, row_count integer
      ) returns pixseek.ranking
      language plpgsql stable
      set search_path from current
      set plan_cache_mode = force_generic_plan
      as $body$
      declare
        ranking pixseek.ranking;
      begin
        select * into ranking from (%s) scanned;
        return ranking;
      end
      $body$
    $function$, scan, pixseek.scan_query(model.id, model.dimensions, '')
  );
  execute format('revoke execute on function pixseek.%I from public', scan);
  execute format('grant execute on function pixseek.%I to anon, authenticated, service_role', scan);
end
$$;

-- Scans the index; fewer rows when the scan came to its end. A plain scan is the quicker one; it sees ef_search rows
-- before the filter and no more, and an iterative one goes on from there.
create function pixseek.scan_index(
  question pixseek.question, row_count integer, ef_search integer, is_iterative boolean
) returns pixseek.ranking
language plpgsql stable
set search_path from current
set hnsw.max_scan_tuples = 20000
-- Set below; named here so that the old values return at the end.
set hnsw.iterative_scan = off
set hnsw.ef_search = 100
-- The index is the way here, whatever the planner thinks of the filter.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
set jit = off
as $$
declare
  ranking pixseek.ranking;
begin
  perform set_config('hnsw.ef_search', scan_index.ef_search::text, true);
  if is_iterative then
    perform set_config('hnsw.iterative_scan', 'strict_order', true);
  end if;
  execute case
    when question.clause = '' then format('select * from pixseek.%I($1, $2, $3, $4)', 'scan_' || question.model_id)
    else pixseek.scan_query(question.model_id, question.dimensions, question.clause)
  end
  into ranking
  using question.vector, question.filters, question.excluded_id, row_count;
  return ranking;
end
$$;

-- The rows of a source (id, distance) after a position, nearest first; $4 is how many, $5 and $6 the position.
create function pixseek.ranked(source text) returns text
language sql immutable
set search_path = ''
as $$
  select format(
    $query$
      select coalesce(array_agg(id order by distance, id), '{}'),
             coalesce(array_agg(distance order by distance, id), '{}')
      from (
        select id, distance from (%s) compared
        where $5 is null or (distance, id) > ($5, $6)
        order by distance, id
        limit $4
      ) found
    $query$, source
  );
$$;

-- Compares some images. One lookup each: the planner would rather read the whole partition, or follow the HNSW
-- index if adding 0 did not keep it out.
create function pixseek.compare_candidates(
  question pixseek.question, candidates bigint[], after pixseek.position, row_count integer
) returns pixseek.ranking
language plpgsql stable
set search_path from current
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  ranking pixseek.ranking;
begin
  execute pixseek.ranked(format(
    $source$
      select v.image_id as id, (v.embedding::halfvec(%2$s) <#> $1) + 0 as distance
      from unnest($2) candidate
      join pixseek.vectors v on v.image_id = candidate and v.model_id = %1$s
    $source$, question.model_id, question.dimensions
  ))
  into ranking.ids, ranking.distances
  using question.vector, candidates, null, row_count, after.distance, after.id;
  ranking.path := 'candidates';
  return ranking;
end
$$;

-- Compares all images that pass the filter. Adding 0 keeps the index out: it would be approximate.
create function pixseek.compare_all(
  question pixseek.question, after pixseek.position, row_count integer, path text
) returns pixseek.ranking
language plpgsql stable
set search_path from current
set jit = off
as $$
declare
  ranking pixseek.ranking;
begin
  execute pixseek.ranked(format(
    $source$
      select i.id, (v.embedding::halfvec(%2$s) <#> $1) + 0 as distance
      from pixseek.vectors v
      join pixseek.images i on i.id = v.image_id
      where v.model_id = %1$s and i.state not in ('blocked', 'deleted') and i.id is distinct from $3 %3$s
    $source$, question.model_id, question.dimensions, question.clause
  ))
  into ranking.ids, ranking.distances
  using question.vector, question.filters, question.excluded_id, row_count, after.distance, after.id;
  ranking.path := compare_all.path;
  return ranking;
end
$$;

-- The part of a ranking after a position.
create function pixseek.cut(ranking pixseek.ranking, after pixseek.position, row_count integer)
returns pixseek.ranking
language sql immutable
set search_path = ''
as $$
  select row(
    ranking.path, coalesce(array_agg(id order by distance, id), '{}'),
    coalesce(array_agg(distance order by distance, id), '{}')
  )::pixseek.ranking
  from (
    select id, distance
    from unnest(ranking.ids, ranking.distances) r (id, distance)
    where after.distance is null or (distance, id) > (after.distance, after.id)
    order by distance, id
    limit row_count
  ) rest;
$$;

-- The images after a position that are nearest: exactly row_count whenever so many pass the filter and the
-- caller's policy. Up to rank 1,000 pages follow the order of the index, past it the exact order.
create function pixseek.nearest(question pixseek.question, after pixseek.position, row_count integer)
returns pixseek.ranking
language plpgsql stable
set search_path = ''
as $$
declare
  is_filtered constant boolean := question.clause <> '' or row_security_active('pixseek.images');
  ef_search constant integer := case when is_filtered then 440 else 160 end;
  depth constant integer := coalesce(after.rank, 0) + row_count;
  -- To see that the last row asked for has no more copies.
  margin constant integer := 5;
  candidates bigint[];
  ranking pixseek.ranking;
begin
  if depth < ef_search and (not is_filtered or pixseek.estimate(question) > 6000) then
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

-- The same with near-identical images left out: each hit is followed by none whose vector is as near to it as
-- a copy in another size or format. Reads further until row_count are found.
create function pixseek.nearest_distinct(question pixseek.question, after pixseek.position, row_count integer)
returns pixseek.ranking
language plpgsql stable
set search_path from current
as $$
declare
  all_from_start constant pixseek.position := null;
  read_count integer := coalesce(after.rank, 0) + 2 * row_count;
  read pixseek.ranking;
  kept halfvec[];
  hit record;
  found pixseek.ranking;
begin
  loop
    read := pixseek.nearest(question, all_from_start, read_count);
    kept := '{}';
    found := row(read.path, '{}', '{}');
    for hit in execute format(
      'select r.id, r.distance, v.embedding
       from unnest($1, $2) with ordinality r (id, distance, place)
       join pixseek.vectors v on v.image_id = r.id and v.model_id = %s
       order by r.place', question.model_id
    ) using read.ids, read.distances
    loop
      continue when exists (select from unnest(kept) k where -(k <#> hit.embedding) >= 0.98);
      kept := kept || hit.embedding;
      if after is null or (hit.distance, hit.id) > (after.distance, after.id) then
        found.ids := found.ids || hit.id;
        found.distances := found.distances || hit.distance;
        exit when cardinality(found.ids) = row_count;
      end if;
    end loop;
    exit when cardinality(found.ids) = row_count or cardinality(read.ids) < read_count;
    read_count := 2 * read_count;
  end loop;
  return found;
end
$$;

-- A query text as it is remembered: white space and forms of one character do not count. Refuses an empty one.
create function pixseek.text_digest(query_text text) returns bytea
language plpgsql immutable
set search_path = ''
as $$
declare
  normal text := btrim(regexp_replace(normalize(query_text, NFKC), '\s+', ' ', 'g'));
begin
  if coalesce(normal, '') = '' then
    raise exception 'the query text is empty' using errcode = '22023', hint = 'Say what the picture shows.';
  end if;
  return sha256(convert_to(normal, 'UTF8'));
end
$$;

-- Where the next page of a search starts, as text for the client: the position, and a digest that ties it to
-- its search. It opens nothing: whoever brings it finds what their own rights let them find.
create function pixseek.cursor_digest(question pixseek.question, rank integer, distance double precision, id bigint)
returns text
language sql immutable
set search_path from current
as $$
  select left(encode(sha256(
    halfvec_send(question.vector) || convert_to(
      concat_ws('|', question.model_id, question.filters, question.excluded_id, question.is_collapsed,
                rank, distance, id),
      'UTF8')
  ), 'hex'), 32);
$$;

create function pixseek.write_cursor(question pixseek.question, at pixseek.position) returns text
language sql immutable
set search_path = ''
as $$
  -- base64url without line breaks and padding.
  select translate(encode(convert_to(
    concat_ws(' ', question.model_id, at.rank, at.distance, at.id,
              pixseek.cursor_digest(question, at.rank, at.distance, at.id)),
    'UTF8'), 'base64'), E'+/=\n', '-_');
$$;

-- The parts of a cursor: model, rank, distance, id, digest.
create function pixseek.read_cursor(page_cursor text) returns text[]
language plpgsql immutable
set search_path = ''
as $$
declare
  parts text[];
  is_sound boolean := false;
begin
  begin
    parts := string_to_array(convert_from(
      decode(rpad(translate(page_cursor, '-_', '+/'), (length(page_cursor) + 3) / 4 * 4, '='), 'base64'), 'UTF8'
    ), ' ');
    is_sound := cardinality(parts) = 5 and parts[1]::integer > 0 and parts[2]::integer between 1 and 1000000000
      and abs(parts[3]::double precision) < 2 and parts[4]::bigint > 0;
  exception when data_exception then
    is_sound := false;
  end;
  if not coalesce(is_sound, false) then
    raise exception 'this is no cursor of a search'
      using errcode = '22023', hint = 'Pass next_cursor of the page before as it came, or start without one.';
  end if;
  return parts;
end
$$;

-- What a search looks for: a vector, a remembered text, or a stored image (which is left out of its own hits).
-- The vector is null for a text that is not remembered.
create function pixseek.ask(
  model pixseek.models, query_embedding vector, query_text text, query_image_id bigint, filters jsonb,
  collapse boolean
) returns pixseek.question
language plpgsql stable
set search_path from current
as $$
declare
  question pixseek.question;
  is_known boolean;
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
  if query_embedding is not null then
    question.vector := pixseek.unit_vector(query_embedding, model);
  elsif query_text is not null then
    select q.embedding into question.vector
    from pixseek.queries q
    where q.model_id = model.id and q.digest = pixseek.text_digest(query_text);
  else
    -- The model as a literal: a plan for any model would lock the partitions of all.
    execute format(
      'select true, v.embedding
       from pixseek.images i
       left join pixseek.vectors v on v.image_id = i.id and v.model_id = %s
       where i.id = $1 and i.state not in (''blocked'', ''deleted'')', model.id
    ) into is_known, question.vector using query_image_id;
    -- One answer for an image that is not there and one that is somebody else's.
    if is_known is null then
      raise exception 'unknown image: %', query_image_id
        using errcode = 'P0002', hint = 'Pass the id of a hit.';
    elsif question.vector is null then
      raise exception 'image % has no vector of model % yet', query_image_id, model.name
        using errcode = '55000', hint = 'Try again when it is indexed.';
    end if;
  end if;
  return question;
end
$$;

-- Pictures nearest to a query, best first, as one JSON value, which no cap on rows can shorten:
--   model        that was searched
--   path         how (see pixseek.ranking); not_remembered: query_text is unknown, embed it and ask again
--   hits         id, bucket, image, similarity, content_type, width, height, taken_at, created_at
--   next_cursor  for the next page, or null when this one is not full
-- Exactly match_count hits whenever so many pictures pass the filters and the caller's policy and reach
-- min_similarity (the model's floor when null).
-- Filters: bucket, prefix, content_type, created_since, created_until, taken_since, taken_until.
create function public.search_images_v1(
  query_embedding vector default null,
  query_text text default null,
  query_image_id bigint default null,
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
  question pixseek.question;
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

  question := pixseek.ask(model, query_embedding, query_text, query_image_id, coalesce(filters, '{}'),
                          collapse);
  if question.vector is null then
    return jsonb_build_object('model', model.name, 'path', 'not_remembered', 'hits', '[]'::jsonb,
                              'next_cursor', null);
  end if;
  if page is not null
    and page[5] <> pixseek.cursor_digest(question, after.rank, after.distance, after.id) then
    raise exception 'the cursor belongs to another search, or was changed'
      using errcode = '22023', hint = 'Repeat the query and the filters with it, or start without one.';
  end if;

  if question.is_collapsed then
    ranking := pixseek.nearest_distinct(question, after, match_count);
  else
    ranking := pixseek.nearest(question, after, match_count);
  end if;
  reached := -coalesce(min_similarity, model.similarity_floor);
  if cardinality(ranking.ids) = match_count and ranking.distances[match_count] <= reached then
    next_cursor := pixseek.write_cursor(question, row(
      coalesce(after.rank, 0) + match_count, ranking.distances[match_count], ranking.ids[match_count]
    ));
  end if;
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', i.id, 'bucket', i.bucket, 'image', i.name, 'similarity', least(1, -r.distance),
    'content_type', i.content_type, 'width', i.width, 'height', i.height,
    'taken_at', i.taken_at, 'created_at', i.created_at
  ) order by r.place), '[]')
  into hits
  from unnest(ranking.ids, ranking.distances) with ordinality r (id, distance, place)
  join pixseek.images i on i.id = r.id
  where r.distance <= reached;
  return jsonb_build_object('model', model.name, 'path', ranking.path, 'hits', hits, 'next_cursor', next_cursor);
end
$$;

-- Remembers the vector of a query for its model, so that it need not be embedded again. The memory is bounded:
-- the latest 100,000 queries of 90 days.
create function public.remember_query_v1(query_text text, query_embedding vector, model_name text default null)
returns void
language plpgsql
set search_path from current
as $$
declare
  model pixseek.models := pixseek.model_for_writing(model_name);
  latest bigint;
begin
  insert into pixseek.queries (model_id, digest, embedding)
  values (model.id, pixseek.text_digest(query_text), pixseek.unit_vector(query_embedding, model))
  -- A new id too: the oldest go first.
  on conflict (model_id, digest) do update set id = default, embedding = excluded.embedding, created_at = now()
  returning id into latest;
  delete from pixseek.queries where id <= latest - 100000 or created_at < now() - interval '90 days';
end
$$;

revoke execute on function
  public.search_images_v1, public.remember_query_v1, pixseek.filter_clause, pixseek.estimate, pixseek.candidates,
  pixseek.scan_query, pixseek.create_scan, pixseek.scan_index,
  pixseek.ranked, pixseek.compare_candidates, pixseek.compare_all, pixseek.cut, pixseek.nearest,
  pixseek.nearest_distinct, pixseek.text_digest, pixseek.cursor_digest, pixseek.write_cursor,
  pixseek.read_cursor, pixseek.ask
from public, anon, authenticated;
grant execute on function
  public.search_images_v1, pixseek.filter_clause, pixseek.estimate, pixseek.candidates,
  pixseek.scan_query, pixseek.scan_index,
  pixseek.ranked, pixseek.compare_candidates, pixseek.compare_all, pixseek.cut, pixseek.nearest,
  pixseek.nearest_distinct, pixseek.text_digest, pixseek.cursor_digest, pixseek.write_cursor,
  pixseek.read_cursor, pixseek.ask
to anon, authenticated, service_role;
grant execute on function public.remember_query_v1 to service_role;

reset search_path;
